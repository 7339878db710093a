#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Back up databases, caches and files into a vault."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_backup
short_description: Back up databases, caches and files into a vault
version_added: 0.1.0
description:
  - Reads each source once and sends it, compressed by zstd and sealed for one or more recipients by age, to
    all destinations at once. What lies there is plain standard files, which anyone restores with C(age),
    C(zstd) and C(pg_restore), C(tar) or a Redis.
  - A manifest, written last, says what the backup is. Without it there is none, however a run ended.
  - A source or a destination that fails is a critical finding and does not keep the others from their turn;
    a destination that failed is tried again from a good copy.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.vault
requirements:
  - courtkeeper (the Python library, for the Python that runs the module), with C(s3) for buckets
  - pg_dump and pg_dumpall, not older than the server, for sources that are Postgres
options:
  sources:
    description: The sources to back up this time, by name; none means all.
    type: list
    elements: str
    default: []
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Back up a database and the configuration to a disk and to a bucket
  courtkeeper.ops.vault_backup:
    vault:
      name: nba
      recipients: [age1qqj7czpflrqkhtt8mjqhvw5ydv6kpqpqv5fhvw5ydv6kpqpqv5fsq3rcsm]
      destinations:
        - name: disk
          kind: directory
          path: /srv/backups
          mounted: true
        - name: frankfurt
          kind: s3
          bucket: nba-backups
          region: eu-central-1
      sources:
        - name: database
          kind: postgres
          host: /var/run/postgresql
        - name: config
          kind: files
          paths: [/etc]
      state_directory: /var/lib/courtkeeper/vault
"""

RETURN = r"""
changed:
  description: Whether there is a new backup.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What was backed up where, and what was not, with why.
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
  description: C(backups), each with its source, its id and its sizes.
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
    from courtkeeper.vault.backup import backup
    from courtkeeper.vault.settings import vault_from
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        vault=vault_option(),
        sources=dict(type="list", elements="str", default=[]),
        progress_file=dict(type="str", default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    return backup(
        vault_from(told(module.params["vault"])),
        only=module.params["sources"],
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
