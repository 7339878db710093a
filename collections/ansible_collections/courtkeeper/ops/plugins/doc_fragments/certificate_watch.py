# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules on certificates look at, and by which limits."""

from __future__ import annotations


class ModuleDocFragment:
    """The options that `watch_spec` returns."""

    DOCUMENTATION = r"""
options:
  watch:
    description: Certificates that others manage, each a file or an endpoint; they are looked at only.
    type: list
    elements: dict
    default: []
    suboptions:
      file:
        description: File with the chain in PEM, leaf first.
        type: path
      key:
        description: File with the key of O(watch[].file).
        type: path
      host:
        description: Host name or address that answers TLS.
        type: str
      port:
        description: Port of O(watch[].host).
        type: int
        default: 443
      name:
        description: Name that the certificate must be for, and the server name; by default O(watch[].host).
        type: str
  limits:
    description: Fractions of the lifetime that is left.
    type: dict
    default: {}
    suboptions:
      renew:
        description: Renew from here on, for lifetimes of ten days and more.
        type: float
        default: 0.3333
      renew_short:
        description: Renew from here on, for shorter lifetimes; the other two are scaled in the same measure.
        type: float
        default: 0.5
      warn:
        description: Warn below this.
        type: float
        default: 0.25
      crit:
        description: Be critical below this.
        type: float
        default: 0.1
  trusted_roots:
    description: File with roots in PEM that are trusted beside the host's own.
    type: str
    default: ''
"""
