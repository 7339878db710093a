#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Prove backups by restoring them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Prove backups by restoring them into a scratch instance
version_added: 0.1.0
description:
  - Restores the newest backup of each source and, in turn, an older one into a scratch instance of a
    random name - for databases a second Postgres made by initdb - and destroys it afterwards, whatever
    happens. What a killed drill left is destroyed by the next.
  - Measures the time to the first committed write (RTO) and the age of the newest thing that came back
    (RPO), compares rows and checksums of every table with the manifest, runs pg_amcheck, and asks the
    declared queries.
  - Puts evidence beside each backup that came out as it went in, and keeps a trend with a forecast
    against the agreed limits. A backup that cannot be restored is a critical finding and keeps no other
    from its turn.
  - What is in use is not touched. C(vault.identity_file) is needed.

author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.vault
requirements:
  - courtkeeper (the Python library, for the Python that runs the module), with C(s3) for buckets
  - initdb, postgres, pg_restore and pg_amcheck, of the server's version or later, for databases
  - redis-server or valkey-server for caches
options:
  sources:
    description: The sources to drill; none means all.
    type: list
    elements: str
    default: []
  backup_id:
    description: A backup to drill alone.
    type: str
    default: ''
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Prove the backups, every week
  courtkeeper.ops.restore_drill:
    vault:
      name: nba
      destinations:
        - name: disk
          kind: directory
          path: /srv/backups
      sources:
        - name: database
          kind: postgres
          host: /var/run/postgresql
      identity_file: /root/identity.txt
      state_directory: /var/lib/courtkeeper/vault
      policy:
        drill:
          rto_minutes: 15
          rpo_hours: 24
"""

RETURN = r"""
changed:
  description: Whether anything was proven or cleared away.
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
details:
  description: What each drill showed, C(drills).
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
    from courtkeeper import progress
    from courtkeeper.vault.drill.run import drill
    from courtkeeper.vault.policy import policy_from
    from courtkeeper.vault.settings import vault_from
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        vault=vault_option(),
        sources=dict(type="list", elements="str", default=[]),
        backup_id=dict(type="str", default=""),
        progress_file=dict(type="str", default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    settings = vault_from(told(module.params["vault"]), sealing=False)
    return drill(
        settings,
        policy_from(settings.policy).drill,
        sources=module.params["sources"],
        backup_id=module.params["backup_id"],
        check_mode=module.check_mode,
        progress=progress.writer(module.params["progress_file"]),
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: run(module))


if __name__ == "__main__":
    main()
