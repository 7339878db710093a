#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Restore from a vault."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_restore
short_description: Restore a database, a table, files or a cache from a vault
version_added: 0.1.0
description:
  - Restores to the side first, next to what is in use - a database or a directory of a name of its own
    - checks it there against the manifest, and swaps it in at one moment. What was in use before is
    kept until O(remove_former) names it.
  - What is in use is replaced only where O(replace) names it, and sessions are ended only with
    O(end_sessions).
  - In check mode it says what would happen, how long it should take by the rates of the last restores
    and drills, and what would be lost between the backup and now.
  - Where it fails, what is in use is as it was and nothing of the restore is left. What a killed one
    left is removed by the next. C(vault.identity_file) is needed.

author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.vault
requirements:
  - courtkeeper (the Python library, for the Python that runs the module), with C(s3) for buckets
  - pg_restore, not older than the pg_dump of the backup, for databases
  - redis-server or valkey-server for caches
options:
  source:
    description: The source to restore.
    type: str
    required: true
  backup:
    description: A backup, by its id; left out, the newest.
    type: str
    default: ''
  until:
    description: The newest backup taken no later than this (ISO 8601; UTC unless it says otherwise).
    type: str
    default: ''
  destination:
    description: The destination to read from first.
    type: str
    default: ''
  database:
    description: One database; left out, all of them and the roles that are missing.
    type: str
    default: ''
  table:
    description: One table of the database, as C(schema.name).
    type: str
    default: ''
  path:
    description: One tree of a backup of files; left out, all of them.
    type: str
    default: ''
  beside:
    description: Whether it stays beside what is in use and is not swapped in.
    type: bool
    default: false
  replace:
    description:
      - What is in use and may be replaced - databases, tables (C(schema.name)), paths, or the name of a
        Redis source.
    type: list
    elements: str
    default: []
  end_sessions:
    description: Whether sessions of a database that is replaced are ended.
    type: bool
    default: false
  roles:
    description: Whether missing roles are made for one database, too.
    type: bool
    default: false
  accept_differences:
    description: Whether what differs from its manifest is swapped in all the same.
    type: bool
    default: false
  remove_former:
    description: Former states to remove instead of restoring, by the names that a restore gave them.
    type: list
    elements: str
    default: []
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Say what restoring yesterday's database would mean
  courtkeeper.ops.vault_restore:
    vault: "{{ courtkeeper_vault }}"
    source: database
    database: nba
    until: "2026-02-12T06:00:00+00:00"
    replace: [nba]
  check_mode: true
"""

RETURN = r"""
changed:
  description: Whether anything was restored or removed.
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
  description: The backup, and the former states by name, C(backup), C(former), C(lost).
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
    from courtkeeper.vault.restore.former import former
    from courtkeeper.vault.restore.request import request_from
    from courtkeeper.vault.restore.run import restore
    from courtkeeper.vault.settings import vault_from

except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        vault=vault_option(),
        source=dict(type="str", required=True),
        backup=dict(type="str", default=""),
        until=dict(type="str", default=""),
        destination=dict(type="str", default=""),
        database=dict(type="str", default=""),
        table=dict(type="str", default=""),
        path=dict(type="str", default=""),
        beside=dict(type="bool", default=False),
        replace=dict(type="list", elements="str", default=[]),
        end_sessions=dict(type="bool", default=False),
        roles=dict(type="bool", default=False),
        accept_differences=dict(type="bool", default=False),
        remove_former=dict(type="list", elements="str", default=[]),
        progress_file=dict(type="str", default=""),
    )


REQUEST = (
    "source",
    "backup",
    "until",
    "destination",
    "database",
    "table",
    "path",
    "beside",
    "replace",
    "end_sessions",
    "roles",
    "accept_differences",
)


def run(module):
    """Turn the module's parameters into one call of the library."""
    settings = vault_from(told(module.params["vault"]), sealing=False)
    if module.params["remove_former"]:
        return former(
            settings,
            module.params["source"],
            remove=module.params["remove_former"],
            check_mode=module.check_mode,
        )
    return restore(
        settings,
        request_from({name: module.params[name] for name in REQUEST}),
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
