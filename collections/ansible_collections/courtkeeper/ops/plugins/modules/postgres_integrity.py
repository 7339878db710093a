#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Check the integrity of a Postgres database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_integrity
short_description: Check the integrity of a Postgres database
version_added: 0.1.0
description:
  - Asks a database the checks of the chosen groups and returns what is wrong, each with its object, a
    sentence, and the statement that mends it.
  - Nothing on the server is ever changed, with or without check mode. Every statement is read-only and
    bounded in time; what is locked or takes too long is reported as skipped, never waited for.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.postgres_database
notes:
  - A superuser sees all; a role with C(pg_monitor) sees most, and what it may not see is skipped with the
    grant that would help.
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  groups:
    description: Groups of checks, such as V(indexes) and V(corruption). With no O(checks) either, all.
    type: list
    elements: str
    default: []
  checks:
    description: Single checks, such as V(capacity.sequence), beside those of the O(groups).
    type: list
    elements: str
    default: []
  thresholds:
    description: "Limits by check, such as C({capacity.sequence: {warn: 60}}); others keep their defaults."
    type: dict
    default: {}
  rules:
    description: Rules of the platform's own, asked by the group C(data) in read-only transactions.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the rule demands.
        type: str
        required: true
      sql:
        description: One statement that returns the rows that offend the rule.
        type: str
        required: true
      severity:
        description: How bad an offended rule is.
        type: str
        choices: [warn, crit]
        default: warn
      summary:
        description: A sentence for the finding.
        type: str
        default: ''
      fix:
        description: What would mend it.
        type: str
        default: ''
      limit:
        description: So many offending rows are shown.
        type: int
        default: 10
  settings_expected:
    description: "Settings of the server that are to be so, such as C({work_mem: 64MB})."
    type: dict
    default: {}
  roles_expected:
    description: Roles that may be superusers or have CREATEDB, CREATEROLE or BYPASSRLS.
    type: list
    elements: str
    default: []
  state_directory:
    description:
      - Directory on the host that runs the module, in which is noted what the group C(corruption) read
        when, so that what its time did not reach comes first next time. Made if it is missing.
      - Empty means that the order begins at another place each day.
    type: path
    default: ''
  performance_directory:
    description:
      - The O(state_directory) of M(courtkeeper.ops.postgres_performance) on the same host. A setting that
        it applied and that still has this value is no drift, although ALTER SYSTEM overrides a file.
    type: path
    default: ''
  jobs:
    description: Connections of the group C(corruption); V(0) is one for each CPU of the host that runs it.
    type: int
    default: 0
  corruption_budget_s:
    description: Seconds for the group C(corruption). What they do not reach is skipped and named.
    type: float
    default: 900.0
  corruption_unique:
    description:
      - Whether the group C(corruption) also looks for duplicates in unique indexes, on Postgres 17 and later.
    type: bool
    default: false
  lock_timeout_s:
    description: Seconds that a statement waits for a lock at most.
    type: float
    default: 2.0
  statement_timeout_s:
    description: Seconds that a statement takes at most, the group C(corruption) apart.
    type: float
    default: 60.0
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Check a database by the socket of its host
  courtkeeper.ops.postgres_integrity:
    database:
      host: /var/run/postgresql
      name: nba
    state_directory: /var/lib/courtkeeper/integrity
  become: true
  become_user: postgres

- name: Look for damage and for sequences near their end
  courtkeeper.ops.postgres_integrity:
    database:
      host: db.example.net
      name: nba
      user: auditor
      password: "{{ courtkeeper_secrets.database_admin_password }}"
    groups: [corruption]
    checks: [capacity.sequence]
    thresholds:
      capacity.sequence:
        warn: 60
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
  description: Always empty, as nothing is changed.
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
from ansible_collections.courtkeeper.ops.plugins.module_utils.options import option, required, strings
from ansible_collections.courtkeeper.ops.plugins.module_utils.postgres import database_option

try:
    from courtkeeper import progress
    from courtkeeper.postgres.check import choose
    from courtkeeper.postgres.integrity import integrity
    from courtkeeper.postgres.settings import database_from, settings_from
except ImportError:
    pass  # require_library says so in one sentence

SETTINGS = (
    "rules",
    "settings_expected",
    "roles_expected",
    "state_directory",
    "performance_directory",
    "jobs",
    "corruption_budget_s",
    "corruption_unique",
    "lock_timeout_s",
    "statement_timeout_s",
)


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        database=database_option(),
        groups=strings(),
        checks=strings(),
        thresholds=option("dict", {}),
        rules=option(
            "list",
            [],
            elements="dict",
            options=dict(
                name=required(),
                sql=required(),
                severity=option(default="warn", choices=["warn", "crit"]),
                summary=option(default=""),
                fix=option(default=""),
                limit=option("int", 10),
            ),
        ),
        settings_expected=option("dict", {}),
        roles_expected=strings(),
        state_directory=option("path", ""),
        performance_directory=option("path", ""),
        jobs=option("int", 0),
        corruption_budget_s=option("float", 900.0),
        corruption_unique=option("bool", False),
        lock_timeout_s=option("float", 2.0),
        statement_timeout_s=option("float", 60.0),
        progress_file=option(default=""),
    )


def run(parameters):
    """Turn the module's parameters into one call of the library."""
    return integrity(
        database_from(parameters["database"]),
        choose(parameters["groups"], parameters["checks"], parameters["thresholds"]),
        settings_from({name: parameters[name] for name in SETTINGS}),
        progress=progress.writer(parameters["progress_file"]),
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: run(module.params))


if __name__ == "__main__":
    main()
