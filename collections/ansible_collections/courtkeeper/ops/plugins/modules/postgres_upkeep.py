#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Keep a Postgres database in order."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_upkeep
short_description: Keep a Postgres database in order
version_added: 0.1.0
description:
  - Does what is due in a database and can be done online. VACUUM and ANALYZE of the tables that need it,
    VACUUM FREEZE before autovacuum does it by force, invalid and bloated indexes built again, constraints
    validated, collations refreshed after their indexes. What found a fault is asked again after the repair.
  - The most urgent comes first. What is not expected to end within the window, or needs a lock that somebody
    else holds, is reported as skipped and done in another run.
  - Extensions, indexes for foreign keys, redundant indexes and other people's sessions are touched only
    where they are named.
  - Keeps its history, and snapshots of the usage statistics, in the schema C(courtkeeper) of the database,
    which only its owner may use.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.postgres_database
notes:
  - The role has to own what it looks after, or to be a superuser.
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  window_s:
    description: Seconds that the upkeep may take. What is not expected to fit is not begun.
    type: float
    default: 3600.0
  lock_timeout_s:
    description: Seconds that a statement waits for a lock at most.
    type: float
    default: 2.0
  statement_timeout_s:
    description: Seconds that a statement takes at most, and never more than what is left of the window.
    type: float
    default: 1800.0
  duties:
    description: What is looked after; empty is all.
    type: list
    elements: str
    default: []
    choices:
      - invalid_indexes
      - freeze
      - vacuum
      - analyze
      - constraints
      - collations
      - bloated_indexes
      - bloated_tables
      - extensions
      - foreign_key_indexes
      - redundant_indexes
      - sequences
  thresholds:
    description: "Limits by check, such as C({indexes.bloat: {warn: 50}}). Others keep their defaults."
    type: dict
    default: {}
  repack:
    description: Whether pg_repack may make bloated tables small.
    type: bool
    default: false
  extensions:
    description: Extensions to update to the version that the server has; V(*) is all.
    type: list
    elements: str
    default: []
  create_indexes:
    description: Foreign keys to build an index for, such as V(public.shots.shots_player_id_fkey).
    type: list
    elements: str
    default: []
  drop_indexes:
    description: Indexes to drop where another one repeats them, such as V(public.games_again).
    type: list
    elements: str
    default: []
  terminate:
    description: Which sessions of others may be ended. By default none.
    type: dict
    default: {}
    suboptions:
      idle_in_transaction_s:
        description: Seconds for which a session may be idle in a transaction; V(0) is for ever.
        type: float
        default: 0.0
      query_s:
        description: Seconds that a query may take; V(0) is for ever.
        type: float
        default: 0.0
      allow_users:
        description: Roles whose sessions may be ended; V(*) is every role that is no superuser.
        type: list
        elements: str
        default: []
      never_users:
        description: Roles whose sessions are never ended.
        type: list
        elements: str
        default: []
      never_applications:
        description: Applications whose sessions are never ended.
        type: list
        elements: str
        default: [pg_dump, pg_dumpall, pg_restore]
      grace_s:
        description: Seconds after which a session is ended that goes on with a cancelled query.
        type: float
        default: 5.0
  snapshot_interval_h:
    description: Hours between two snapshots of the usage statistics.
    type: float
    default: 20.0
  snapshot_keep_days:
    description: Days for which snapshots are kept, and actions that later ones on the same object replaced.
    type: float
    default: 90.0
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Look after a database by the socket of its host, for at most half an hour
  courtkeeper.ops.postgres_upkeep:
    database:
      host: /var/run/postgresql
      name: nba
    window_s: 1800
  become: true
  become_user: postgres

- name: Build an index that was asked for, and drop one that another repeats
  courtkeeper.ops.postgres_upkeep:
    database:
      host: db.example.net
      name: nba
      user: courtkeeper_admin
      password: "{{ courtkeeper_secrets.database_admin_password }}"
    duties: [foreign_key_indexes, redundant_indexes]
    create_indexes: [public.shots.shots_player_id_fkey]
    drop_indexes: [public.games_again]
"""

RETURN = r"""
changed:
  description: Whether anything was done to the database.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What was mended, with how to take it back, and what was not, with why.
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
  description: C(tasks), each with its object, the seconds that were expected and those that it took.
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
    from courtkeeper.postgres.settings import database_from
    from courtkeeper.postgres.upkeep.run import upkeep
    from courtkeeper.postgres.upkeep.settings import upkeep_settings_from
except ImportError:
    pass  # require_library says so in one sentence

DUTIES = [
    "invalid_indexes",
    "freeze",
    "vacuum",
    "analyze",
    "constraints",
    "collations",
    "bloated_indexes",
    "bloated_tables",
    "extensions",
    "foreign_key_indexes",
    "redundant_indexes",
    "sequences",
]


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        database=database_option(),
        window_s=option("float", 3600.0),
        lock_timeout_s=option("float", 2.0),
        statement_timeout_s=option("float", 1800.0),
        duties=strings(choices=DUTIES),
        thresholds=option("dict", {}),
        repack=option("bool", False),
        extensions=strings(),
        create_indexes=strings(),
        drop_indexes=strings(),
        terminate=option(
            "dict",
            {},
            options=dict(
                idle_in_transaction_s=option("float", 0.0),
                query_s=option("float", 0.0),
                allow_users=strings(),
                never_users=strings(),
                never_applications=strings(["pg_dump", "pg_dumpall", "pg_restore"]),
                grace_s=option("float", 5.0),
            ),
        ),
        snapshot_interval_h=option("float", 20.0),
        snapshot_keep_days=option("float", 90.0),
        progress_file=option(default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    told = {key: value for key, value in module.params.items() if key not in ("database", "progress_file")}
    return upkeep(
        database_from(module.params["database"]),
        upkeep_settings_from(told),
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
