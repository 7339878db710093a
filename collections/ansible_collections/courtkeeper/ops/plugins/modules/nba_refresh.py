#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Refresh a play-by-play database from the league's feed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nba_refresh
short_description: Refresh a play-by-play database from the league's feed
version_added: 0.1.0
description:
  - Fetches every Final game of a day and of the days before it, judges each game by comparing its
    play-by-play with its box score, and makes the database equal to what the feed says.
  - A game that fails the quality gate is quarantined with its reason and never replaces good data.
  - Late corrections are applied as updates and deletes; the cache is told after the commit.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  date:
    description:
      - Last day to refresh, C(YYYY-MM-DD), as a day in US Eastern time.
      - Empty means yesterday in New York, or every game of the O(archive).
    type: str
    default: ''
  look_back_days:
    description: How many days before O(date) are read again for late corrections.
    type: int
    default: 7
  database:
    description: The platform's database.
    type: dict
    required: true
    suboptions:
      host:
        description: Host name or address, or the directory of the Unix socket.
        type: str
        required: true
      port:
        description: Port.
        type: int
        default: 5432
      name:
        description: Name of the database.
        type: str
        required: true
      user:
        description: Role that may write the league's tables.
        type: str
        required: true
      password:
        description: The role's password.
        type: str
        default: ''
  cache:
    description: The API's cache (Redis or Valkey); left out, nothing is invalidated.
    type: dict
    suboptions:
      host:
        description: Host name or address.
        type: str
        required: true
      port:
        description: Port.
        type: int
        default: 6379
      database:
        description: Number of the logical database.
        type: int
        default: 0
      password:
        description: Password of the default user.
        type: str
        default: ''
  feed:
    description: Where the feed is and how to treat it.
    type: dict
    default: {}
    suboptions:
      cdn_url:
        description: Base URL of the live data.
        type: str
        default: https://cdn.nba.com
      stats_url:
        description: Base URL of the statistics.
        type: str
        default: https://stats.nba.com
      requests_per_second:
        description: At most so many requests a second for each host.
        type: float
        default: 1.0
      timeout_s:
        description: Seconds after which a whole request is given up.
        type: float
        default: 20.0
      attempts:
        description: How often a request is tried.
        type: int
        default: 4
      backoff_s:
        description: Seconds before the first retry; doubled for each further one, with jitter.
        type: float
        default: 1.0
      max_retry_after_s:
        description: A host that asks to wait longer than this is left alone for the rest of the run.
        type: float
        default: 120.0
  thresholds:
    description: The least value (0 to 1) of each measure at which a game is good.
    type: dict
    default: {}
    suboptions:
      completeness:
        description: Scores, sums and period events that agree.
        type: float
        default: 0.95
      box_accuracy:
        description: Team statistics that agree with the official box score.
        type: float
        default: 0.99
      player_consistency:
        description: Player statistics that agree with the official box score.
        type: float
        default: 0.98
      metadata:
        description: Team ids, date, arena, status and final score that are present.
        type: float
        default: 1.0
  payload_directory:
    description: Directory that keeps every raw payload, compressed and named by its content.
    type: path
    required: true
  source:
    description: What reports call the feed.
    type: str
    choices: [live, recorded, simulated]
    default: live
  replay:
    description: Parse the kept payloads again instead of asking the feed.
    type: bool
    default: false
  archive:
    description: A season archive in the nbastats format (C(.tar.xz), one CSV a game), instead of the feed.
    type: path
  archive_log:
    description: The season's C(leaguegamelog) payload, which the O(archive) needs.
    type: path
  progress_file:
    description: File to which progress is written, one JSON line a game.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Refresh last night's games
  courtkeeper.ops.nba_refresh:
    database:
      host: db.example.net
      name: nba
      user: courtkeeper
      password: "{{ courtkeeper_secrets.database_password }}"
    cache:
      host: cache.example.net
      password: "{{ courtkeeper_secrets.cache_password }}"
    payload_directory: /var/lib/courtkeeper/payloads
"""

RETURN = r"""
changed:
  description: Whether a stored game, an issue or the cache differs from before.
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
  description: What was done, or in check mode would be done.
  type: list
  elements: str
  returned: success
metrics:
  description: Numbers with their units in the names.
  type: dict
  returned: success
details:
  description: The games with their quality, and how long each step took.
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

try:
    from courtkeeper import progress
    from courtkeeper.nba.refresh import refresh
    from courtkeeper.nba.settings import days_to_refresh, settings_from
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        date=option(default=""),
        look_back_days=option("int", 7),
        database=required(
            "dict",
            options=dict(
                host=required(),
                port=option("int", 5432),
                name=required(),
                user=required(),
                password=option(default="", no_log=True),
            ),
        ),
        cache=dict(
            type="dict",
            options=dict(
                host=required(),
                port=option("int", 6379),
                database=option("int", 0),
                password=option(default="", no_log=True),
            ),
        ),
        feed=dict(
            type="dict",
            default={},
            apply_defaults=True,
            options=dict(
                cdn_url=option(default="https://cdn.nba.com"),
                stats_url=option(default="https://stats.nba.com"),
                requests_per_second=option("float", 1.0),
                timeout_s=option("float", 20.0),
                attempts=option("int", 4),
                backoff_s=option("float", 1.0),
                max_retry_after_s=option("float", 120.0),
            ),
        ),
        thresholds=dict(
            type="dict",
            default={},
            apply_defaults=True,
            options=dict(
                completeness=option("float", 0.95),
                box_accuracy=option("float", 0.99),
                player_consistency=option("float", 0.98),
                metadata=option("float", 1.0),
            ),
        ),
        payload_directory=required("path"),
        source=option(default="live", choices=["live", "recorded", "simulated"]),
        replay=option("bool", False),
        archive=dict(type="path"),
        archive_log=dict(type="path"),
        progress_file=option(default=""),
    )


def run(parameters, check):
    """Turn the module's parameters into one call of the library."""
    now = datetime.now(UTC)
    settings = settings_from(parameters)
    first = last = None
    if parameters["date"] or not settings.archive:
        first, last = days_to_refresh(parameters["date"], parameters["look_back_days"], now=now)
    return refresh(
        settings,
        first=first,
        last=last,
        now=now,
        check=check,
        progress=progress.writer(parameters["progress_file"]),
    )


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_together=[("archive", "archive_log")],
        mutually_exclusive=[("archive", "replay")],
        supports_check_mode=True,
    )
    require_library(module)
    finish(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
