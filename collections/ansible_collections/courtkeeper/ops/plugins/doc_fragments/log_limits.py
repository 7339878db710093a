# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""From when on the modules on logs call something a fault."""

from __future__ import annotations


class ModuleDocFragment:
    """The options that `limits_spec` returns."""

    DOCUMENTATION = r"""
options:
  large_mib:
    description: Size of a log from which it has to be covered by a stanza.
    type: int
    default: 100
  stale_hours:
    description: Age in hours from which logrotate's status file is stale.
    type: int
    default: 26
  deleted_mib:
    description: Size from which a deleted file that a process still holds open is named.
    type: int
    default: 10
"""
