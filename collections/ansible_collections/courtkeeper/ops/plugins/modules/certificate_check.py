#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Judge certificates in files and at endpoints."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_check
short_description: Judge certificates in files and at endpoints
version_added: 0.1.0
description:
  - Looks at chains in files and at what endpoints serve over TLS, and judges how much of the lifetime
    is left, the names, the chain's order and completeness, the strength, and the key with its permissions.
  - Changes nothing.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
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

EXAMPLES = r"""
- name: Judge what the load balancer serves
  courtkeeper.ops.certificate_check:
    watch:
      - host: www.example.net
      - file: /etc/ssl/private/mail.pem
        key: /etc/ssl/private/mail.key
        name: mail.example.net
"""

RETURN = r"""
changed:
  description: Always false.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What was found, each with its status, a sentence and what would mend it.
  type: list
  elements: dict
  returned: always
actions:
  description: Always empty.
  type: list
  elements: str
  returned: success
metrics:
  description: Numbers with their units in the names.
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.certificates import watch_spec
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library

try:
    from courtkeeper.hosts.certificates.settings import settings_from
    from courtkeeper.hosts.certificates.watch import check
except ImportError:
    pass  # require_library says so in one sentence


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=watch_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: check(settings_from(module.params), now=datetime.now(UTC)))


if __name__ == "__main__":
    main()
