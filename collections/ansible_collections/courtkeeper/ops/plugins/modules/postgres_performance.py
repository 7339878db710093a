#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Look at the performance of a Postgres database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_performance
short_description: Look at the performance of a Postgres database, and tune what is named
version_added: 0.1.0
description:
  - Names the statements that cost most and those that got worse, with their plans, the indexes that would
    make them cheaper, the indexes that are in the way, and the settings that do not fit the machine.
  - Only the settings and indexes that O(apply_settings) and O(drop_indexes) name are changed, each with
    what takes it back. What was measured of the statements is kept in the schema C(courtkeeper).
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.postgres_database
notes:
  - A superuser sees and may do all; for another role, C(pg_monitor) is the least.
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  parts:
    description: What is looked at; empty is all.
    type: list
    elements: str
    default: []
    choices: [statements, indexes, redundant_indexes, settings]
  top:
    description: So many statements are shown of each measure.
    type: int
    default: 10
  slow_mean_ms:
    description: A statement is slow that takes more than so many milliseconds on average.
    type: float
    default: 1000.0
  busy_mean_ms:
    description: The same, for one that has O(busy_share_pct) of all time.
    type: float
    default: 100.0
  busy_share_pct:
    description: Per cent of the time of all statements from which on O(busy_mean_ms) holds.
    type: float
    default: 10.0
  min_calls:
    description: A statement that was called less often is not judged.
    type: int
    default: 5
  regression_ratio:
    description: A statement got worse whose mean is so many times what it was before.
    type: float
    default: 2.0
  min_gain_pct:
    description: An index is advised that makes a plan cheaper by so many per cent.
    type: float
    default: 50.0
  analyze:
    description: Whether statements that only read and have no parameters are run for their plans.
    type: bool
    default: false
  memory_mb:
    description: Memory of the server's machine; V(0) is that of this host, where the server is on it.
    type: int
    default: 0
  cpus:
    description: CPUs of the server's machine; V(0) is likewise.
    type: int
    default: 0
  storage:
    description: What the data lie on. Advice on the costs of pages is given for V(ssd) only.
    type: str
    choices: [unknown, ssd, hdd]
    default: unknown
  apply_settings:
    description: Settings to change as advised, such as V(work_mem).
    type: list
    elements: str
    default: []
  drop_indexes:
    description: Indexes of the plan to drop, such as V(public.games_again). Any other is refused.
    type: list
    elements: str
    default: []
  state_directory:
    description: Directory on the host that runs the module, for the statements that take changes back.
    type: path
    default: ''
  lock_timeout_s:
    description: Seconds that a statement waits for a lock at most.
    type: float
    default: 2.0
  statement_timeout_s:
    description: Seconds that a statement takes at most.
    type: float
    default: 30.0
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Look at a database by the socket of its host
  courtkeeper.ops.postgres_performance:
    database:
      host: /var/run/postgresql
      name: nba
  become: true
  become_user: postgres

- name: Drop an index of the reviewed plan, and change a setting as advised
  courtkeeper.ops.postgres_performance:
    database:
      host: db.example.net
      name: nba
      user: courtkeeper_admin
      password: "{{ courtkeeper_secrets.database_admin_password }}"
    memory_mb: 16384
    cpus: 8
    drop_indexes: [public.games_again]
    apply_settings: [work_mem]
    state_directory: /var/lib/courtkeeper/performance
"""

RETURN = r"""
changed:
  description: Whether a setting or an index was changed.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: Advice, each with a sentence, what would follow it and what takes that back.
  type: list
  elements: dict
  returned: always
actions:
  description: What was changed or, in check mode, what would be changed.
  type: list
  elements: str
  returned: success
metrics:
  description: Numbers with their units in the names.
  type: dict
  returned: success
details:
  description: C(performance), with the statements that cost most, their plans, and the indexes to drop.
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library
from ansible_collections.courtkeeper.ops.plugins.module_utils.options import option, strings
from ansible_collections.courtkeeper.ops.plugins.module_utils.postgres import database_option

try:
    from courtkeeper import progress
    from courtkeeper.postgres.performance.run import performance
    from courtkeeper.postgres.performance.settings import performance_settings_from
    from courtkeeper.postgres.settings import database_from
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        database=database_option(),
        parts=strings(choices=["statements", "indexes", "redundant_indexes", "settings"]),
        top=option("int", 10),
        slow_mean_ms=option("float", 1000.0),
        busy_mean_ms=option("float", 100.0),
        busy_share_pct=option("float", 10.0),
        min_calls=option("int", 5),
        regression_ratio=option("float", 2.0),
        min_gain_pct=option("float", 50.0),
        analyze=option("bool", False),
        memory_mb=option("int", 0),
        cpus=option("int", 0),
        storage=option(default="unknown", choices=["unknown", "ssd", "hdd"]),
        apply_settings=strings(),
        drop_indexes=strings(),
        state_directory=option("path", ""),
        lock_timeout_s=option("float", 2.0),
        statement_timeout_s=option("float", 30.0),
        progress_file=option(default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    told = {key: value for key, value in module.params.items() if key not in ("database", "progress_file")}
    return performance(
        database_from(module.params["database"]),
        performance_settings_from(told),
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
