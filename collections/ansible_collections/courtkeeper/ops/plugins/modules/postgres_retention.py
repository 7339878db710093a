#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Archive or delete the rows of operational tables that are past their time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_retention
short_description: Archive or delete rows that are past their time
version_added: 0.1.0
description:
  - Moves the old rows of each declared table to an archive table, deletes them, or takes out whole
    partitions, in bounded batches. Each batch is one transaction that ends well only if as many rows were
    copied and deleted as were chosen.
  - Rows that somebody else holds, or to which other rows still refer, are left for the next run.
  - Killed at any point and run again, it loses nothing and doubles nothing.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.postgres_database
notes:
  - The role has to be allowed to select from, update and delete from the tables; best it owns them.
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  tables:
    description: The tables and how long their rows are kept. Names are written as in SQL.
    type: list
    elements: dict
    required: true
    suboptions:
      table:
        description: The table; without a schema, one of the schema C(public).
        type: str
        required: true
      column:
        description: The column that says how old a row is, of type timestamptz or date.
        type: str
        required: true
      keep_days:
        description: So many days a row is kept.
        type: int
        required: true
      to:
        description:
          - Where the rows go. C(archive) moves them to O(tables[].archive_table); C(delete) and
            C(drop_partitions) without an archive table cannot be undone.
        type: str
        choices: [archive, delete, drop_partitions]
        default: archive
      where:
        description: A condition in SQL that a row has to meet as well, such as C(status = 'done').
        type: str
        default: ''
      archive_table:
        description:
          - The archive table, created where it is missing. Empty means one of the same name in the schema
            C(archive), and none for C(drop_partitions).
        type: str
        default: ''
      batch_rows:
        description: At most so many rows go in one transaction.
        type: int
        default: 10000
  window_s:
    description: After so many seconds no further batch is begun; 0 means no end.
    type: float
    default: 0
  pause_s:
    description: Rest between two batches, in seconds.
    type: float
    default: 0
  max_replica_lag_mb:
    description: While a replica is further behind than this, the next batch waits; 0 means never.
    type: float
    default: 50
  lock_timeout_s:
    description: A lock that is not to be had in this time is not waited for.
    type: float
    default: 2
  statement_timeout_s:
    description: No statement runs longer than this.
    type: float
    default: 60
  progress_file:
    description: File to which progress is written, one JSON line a batch.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Keep 90 days of jobs that have ended, and the rest in the archive
  courtkeeper.ops.postgres_retention:
    database:
      host: db.example.net
      name: nba
      user: courtkeeper_admin
      password: "{{ courtkeeper_secrets.database_admin_password }}"
    tables:
      - table: jobs
        column: finished_at
        keep_days: 90
        where: status IN ('done', 'failed', 'cancelled')
"""

RETURN = r"""
changed:
  description: Whether a row was moved or deleted, or an archive table was made.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: One a table, each with its status, a sentence, and the SQL that puts archived rows back.
  type: list
  elements: dict
  returned: always
actions:
  description: What was done, or in check mode would be done.
  type: list
  elements: str
  returned: always
metrics:
  description: Rows due, moved, deleted and left, batches, and seconds.
  type: dict
  returned: always
details:
  description: For each table how many rows were due and how old the oldest was.
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library
from ansible_collections.courtkeeper.ops.plugins.module_utils.options import option, required
from ansible_collections.courtkeeper.ops.plugins.module_utils.postgres import database_option

try:
    from courtkeeper import progress
    from courtkeeper.postgres.retention import retention, settings_from
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        database=database_option(),
        tables=required(
            "list",
            elements="dict",
            options=dict(
                table=required(),
                column=required(),
                keep_days=required("int"),
                to=option(default="archive", choices=["archive", "delete", "drop_partitions"]),
                where=option(default=""),
                archive_table=option(default=""),
                batch_rows=option("int", 10000),
            ),
        ),
        window_s=option("float", 0),
        pause_s=option("float", 0),
        max_replica_lag_mb=option("float", 50),
        lock_timeout_s=option("float", 2),
        statement_timeout_s=option("float", 60),
        progress_file=option(default=""),
    )


def run(parameters, check):
    """Turn the module's parameters into one call of the library."""
    progress_file = parameters.pop("progress_file")
    return retention(
        settings_from(parameters),
        now=datetime.now(UTC),
        check=check,
        progress=progress.writer(progress_file),
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: run(dict(module.params), module.check_mode))


if __name__ == "__main__":
    main()
