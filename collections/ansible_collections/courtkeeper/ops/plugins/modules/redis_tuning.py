#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Tune Redis and Valkey servers, with a way back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_tuning
short_description: Tune Redis and Valkey servers, with a way back
version_added: 0.1.0
description:
  - Gives servers the values of a profile and single values over them. Watches a server, writes the old values
    down, sets all new ones at once, watches again, and sets the old ones again where the server is the worse
    for it. Only what is kept is written to the server's file, and only where something was changed.
  - Finds the replicas of a master, the servers behind a Sentinel and the nodes of a cluster. Changes one
    after another, replicas first, and stops at the first that is the worse for it.
  - What a run that was killed had set is taken back by the next one, before anything else.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.redis_server
options:
  mode:
    description:
      - V(check) asks all checks of the servers and says which values differ from what is wanted.
      - V(apply) makes them so.
    type: str
    choices: [check, apply]
    default: check
  profile:
    description: The kind of work that the servers do; empty where only O(parameters) are wanted.
    type: str
    choices: ['', cache, session, queue, persistent]
    default: ''
  parameters:
    description:
      - Single values, by the names and in the words of a C(redis.conf), which go over those of O(profile).
      - One that a server does not know, refuses, or takes at a start only is an error, and nothing is
        changed; one of a profile is left out and reported.
      - Passwords, addresses, and whose replica a server is are no matter of tuning and are refused.
    type: dict
    default: {}
  scope:
    description: V(all) the servers that belong together, or V(node), this one alone, whatever its role.
    type: str
    choices: [all, node]
    default: all
  sentinel_master:
    description: The name that the Sentinel in O(server) knows the servers by; empty where it has only one.
    type: str
    default: ''
  node_user:
    description: User of the servers behind a Sentinel, where it is not that of O(server).
    type: str
    default: ''
  node_password:
    description: Password of the servers behind a Sentinel, where it is not that of O(server).
    type: str
    default: ''
  persist:
    description:
      - Whether what is kept is written to the server's file (CONFIG REWRITE). A server that was started
        without one is refused then.
      - With V(false) it is lost at the next start, which is reported.
    type: bool
    default: true
  allow_eviction:
    description: Whether C(maxmemory) may go below what is used, which evicts keys at once.
    type: bool
    default: false
  thresholds:
    description: "Limits of the checks that V(check) asks, such as C({memory.use: {warn: 70}})."
    type: dict
    default: {}
  gate:
    description: How long is watched, and how much worse is worse.
    type: dict
    default: {}
    suboptions:
      observe_s:
        description: Seconds to watch before a change, and again after it.
        type: float
        default: 30.0
      settle_s:
        description: Seconds after a change that do not count for latency and throughput.
        type: float
        default: 2.0
      p99_ratio:
        description: The 99th percentile of the commands' times may grow by this.
        type: float
        default: 1.5
      p99_floor_us:
        description: Microseconds by which it may grow in any case.
        type: float
        default: 25.0
      min_calls:
        description: Calls in half of the time that it takes to be judged.
        type: int
        default: 1000
      ops_ratio:
        description: Commands a second may fall to this part of what they were.
        type: float
        default: 0.7
      min_ops_s:
        description: Commands a second that it takes to be judged.
        type: float
        default: 100.0
      events_ratio:
        description: Evictions, error replies and refused connections a second may grow by this.
        type: float
        default: 1.5
      evictions_s:
        description: Evictions a second more than before that are no alarm.
        type: float
        default: 10.0
      errors_s:
        description: Error replies a second more than before that are no alarm.
        type: float
        default: 1.0
      rejected_s:
        description: Refused connections a second more than before that are no alarm.
        type: float
        default: 0.0
      fork_ratio:
        description: A fork may take this many times as long as the last one before.
        type: float
        default: 2.0
      fork_floor_ms:
        description: Milliseconds that a fork may take in any case.
        type: float
        default: 100.0
  state_directory:
    description: Directory in which the way back is kept while a change is on its way, for its owner alone.
    type: path
    default: /var/lib/courtkeeper/redis_tuning
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: See what a cache would want
  courtkeeper.ops.redis_tuning:
    server:
      password: "{{ courtkeeper_secrets.cache_password }}"
    profile: cache

- name: Tune a cache and its replicas, and keep what does no harm
  courtkeeper.ops.redis_tuning:
    mode: apply
    server:
      host: cache.example.net
      password: "{{ courtkeeper_secrets.cache_password }}"
    profile: cache
    parameters:
      maxmemory: 4gb
      maxmemory-policy: volatile-lru

- name: Tune the servers that a Sentinel watches
  courtkeeper.ops.redis_tuning:
    mode: apply
    server:
      host: sentinel.example.net
      port: 26379
    sentinel_master: sessions
    node_password: "{{ courtkeeper_secrets.session_password }}"
    profile: session
"""

RETURN = r"""
changed:
  description: Whether a server has other values than before.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What was changed and how to take it back, what was taken back and why, what needs a restart.
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
  description: C(tuning), each node with its changes, what was measured, and what became of it.
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library
from ansible_collections.courtkeeper.ops.plugins.module_utils.redis import option, server_option

try:
    from courtkeeper import progress
    from courtkeeper.redis.server import server_from
    from courtkeeper.redis.tuning.run import tune
    from courtkeeper.redis.tuning.settings import tuning_settings_from
except ImportError:
    pass  # require_library says so in one sentence


def gate_option():
    """How a change is judged."""
    return option(
        "dict",
        {},
        apply_defaults=True,
        options=dict(
            observe_s=option("float", 30.0),
            settle_s=option("float", 2.0),
            p99_ratio=option("float", 1.5),
            p99_floor_us=option("float", 25.0),
            min_calls=option("int", 1000),
            ops_ratio=option("float", 0.7),
            min_ops_s=option("float", 100.0),
            events_ratio=option("float", 1.5),
            evictions_s=option("float", 10.0),
            errors_s=option("float", 1.0),
            rejected_s=option("float", 0.0),
            fork_ratio=option("float", 2.0),
            fork_floor_ms=option("float", 100.0),
        ),
    )


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        server=server_option(),
        mode=option(default="check", choices=["check", "apply"]),
        profile=option(default="", choices=["", "cache", "session", "queue", "persistent"]),
        parameters=option("dict", {}),
        scope=option(default="all", choices=["all", "node"]),
        sentinel_master=option(default=""),
        node_user=option(default=""),
        node_password=option(default="", no_log=True),
        persist=option("bool", True),
        allow_eviction=option("bool", False),
        thresholds=option("dict", {}),
        gate=gate_option(),
        state_directory=option("path", "/var/lib/courtkeeper/redis_tuning"),
        progress_file=option(default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    told = {key: value for key, value in module.params.items() if key not in ("server", "progress_file")}
    return tune(
        server_from(module.params["server"]),
        tuning_settings_from(told, check_mode=module.check_mode),
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
