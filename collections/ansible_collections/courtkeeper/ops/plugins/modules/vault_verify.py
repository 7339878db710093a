#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Verify the backups of a vault."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_verify
short_description: Verify the backups of a vault
version_added: 0.1.0
description:
  - Tells of every declared source whether a young backup of it is on every destination, so that a backup
    that never ran is seen like one that failed; compares sizes and tables with the backups before.
  - Reads the newest backup of each source from each destination, whole as far as the policy's C(read_mb)
    go, and older ones in turn, and compares every hash with the manifest's. Where C(vault.identity_file) is
    at hand, archives are opened and listed. It is not a drill, as nothing is restored.
  - Asks buckets for object lock, versions, encryption, public access and lifecycle, and looks at the disk and
    the permissions of directories.
  - A copy that is damaged gets C(damaged.json) put beside it, so that nobody counts on it. Nothing else is
    changed. A destination that fails is a critical finding and hides no other.

author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.vault
requirements:
  - courtkeeper (the Python library, for the Python that runs the module), with C(s3) for buckets
  - pg_restore, not older than the server, where archives are to be listed
options:
  backup_id:
    description:
      - A backup to read whole on every destination instead. One that was marked as damaged is read again, and
        the mark taken away where it is good.
    type: str
    default: ''
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Verify the backups, and say if one is older than a day
  courtkeeper.ops.vault_verify:
    vault:
      name: nba
      destinations:
        - name: frankfurt
          kind: s3
          bucket: nba-backups
          region: eu-central-1
      sources:
        - name: database
          kind: postgres
          host: /var/run/postgresql
      state_directory: /var/lib/courtkeeper/vault
      policy:
        verify:
          fresh_hours: 26
          read_mb: 4096
"""

RETURN = r"""
changed:
  description: Whether a copy was marked as damaged, or a mark taken away.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What is missing, old, broken or unsafe, and what is well.
  type: list
  elements: dict
  returned: always
actions:
  description: What was done or, in check mode, what would be done.
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


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library
from ansible_collections.courtkeeper.ops.plugins.module_utils.vault import told, vault_option

try:
    from datetime import UTC, datetime

    from courtkeeper import progress
    from courtkeeper.vault.policy import policy_from
    from courtkeeper.vault.settings import vault_from
    from courtkeeper.vault.verify import verify
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        vault=vault_option(),
        backup_id=dict(type="str", default=""),
        progress_file=dict(type="str", default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    settings = vault_from(told(module.params["vault"]), sealing=False)
    return verify(
        settings,
        policy_from(settings.policy),
        now=datetime.now(UTC),
        check=module.check_mode,
        backup_id=module.params["backup_id"],
        progress=progress.writer(module.params["progress_file"]),
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: run(module))


if __name__ == "__main__":
    main()
