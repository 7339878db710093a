#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Look after the cache in a Redis or Valkey server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cache_upkeep
short_description: Look after the cache in a Redis or Valkey server
version_added: 0.1.0
description:
  - Tells the hit rate of each declared pattern of keys between two runs, and whether that was measured or
    estimated. Removes the keys of patterns that are asked for in vain, where that was measured and they were
    declared removable. Gives keys without a time to live the declared one.
  - Lets the server free what is past its time, gives unused memory back, rewrites the append-only file and
    saves a snapshot where they are due, and sees how they end. Names big, hot and idle keys.
  - Works in small batches, and waits while the server answers later than the latency budget allows. What is
    left is reported and done in another run.
  - A replica is only looked at. A node of a cluster is looked after for its own slots.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.redis_server
options:
  duties:
    description: What is looked after; empty is all.
    type: list
    elements: str
    default: []
    choices:
      - hit_rates
      - removal
      - ttl
      - expired
      - memory
      - memory_purge
      - aof_rewrite
      - snapshot
      - keys
  patterns:
    description:
      - Keys that are known. V(*) stands for anything; a pattern begins with a name, and no two may have a
        key in common.
    type: list
    elements: dict
    default: []
    suboptions:
      pattern:
        description: The pattern, such as V(api:game:*:events).
        type: str
        required: true
      ttl_s:
        description: Time to live, in seconds, that keys without one get; V(0) is none.
        type: int
        default: 0
      removable:
        description: Whether its keys may be removed where their hit rate is too low.
        type: bool
        default: false
  protected:
    description: Patterns of keys that are never removed and never get a time to live.
    type: list
    elements: str
    default: []
  counters:
    description:
      - Hashes in which the application counts its hits and misses, in fields C(hit:<pattern>) and
        C(miss:<pattern>). They are protected too.
    type: list
    elements: str
    default: []
  state_directory:
    description:
      - Directory on the host that runs the module for the readings between two runs (0700). Made if it is
        missing; empty means that nothing is kept, so that no hit rate of a pattern is known.
    type: path
    default: ''
  keep_readings:
    description: So many readings are kept.
    type: int
    default: 30
  least_hit_rate:
    description: A pattern with a lower hit rate, 0 to 1, is asked for in vain.
    type: float
    default: 0.7
  cache_hit_rate_target:
    description: What the hit rate of the whole cache should be.
    type: float
    default: 0.95
  cache_hit_rate_alert:
    description: Below this hit rate of the whole cache is an alert.
    type: float
    default: 0.9
  least_requests:
    description: With fewer requests between two readings nothing is judged.
    type: int
    default: 100
  window_s:
    description: Seconds after which nothing more is begun.
    type: float
    default: 900.0
  latency_budget_ms:
    description:
      - So much longer than its fastest answer may the server take for a PING; else the upkeep waits.
    type: float
    default: 5.0
  patience_s:
    description: So long it waits in a row before it puts the rest off.
    type: float
    default: 60.0
  share:
    description: Part of the time, 0 to 1, in which it asks the server anything.
    type: float
    default: 0.25
  batch:
    description: Keys in a batch at most.
    type: int
    default: 50
  sample_keys:
    description: Keys that are looked at closely, in size, age and use; V(0) is none.
    type: int
    default: 10000
  memory_warn_percent:
    description: Percent of maxmemory in use that warn.
    type: float
    default: 80.0
  memory_crit_percent:
    description: Percent of maxmemory in use that are critical.
    type: float
    default: 95.0
  purge_over_mb:
    description: MB that the allocator holds unused before they are given back.
    type: float
    default: 10.0
  purge_over_ratio:
    description: How much more than is in use it has to hold for that.
    type: float
    default: 1.1
  aof_growth_percent:
    description: Growth since its last rewrite by which the append-only file is rewritten.
    type: float
    default: 50.0
  aof_least_mb:
    description: Smaller append-only files are left alone.
    type: float
    default: 64.0
  snapshot_max_age_s:
    description: Age at which a server that keeps snapshots gets a new one, if anything has changed.
    type: float
    default: 1200.0
  persistence_timeout_s:
    description: So long the end of a rewrite or a snapshot is waited for.
    type: float
    default: 600.0
  big_key_bytes:
    description: A key that takes so many bytes is big.
    type: int
    default: 100000
  hot_key_frequency:
    description: A key whose LFU counter, 1 to 255, is at least this is hot.
    type: int
    default: 100
  idle_key_s:
    description: A key without a time to live that nobody used for so many seconds is idle.
    type: int
    default: 604800
  list_keys:
    description: So many keys, and patterns without a time to live, are named of each kind.
    type: int
    default: 10
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Look after a cache, and remove what is asked for in vain
  courtkeeper.ops.cache_upkeep:
    server:
      password: "{{ courtkeeper_secrets.cache_password }}"
    patterns:
      - pattern: api:game:*:events
        ttl_s: 3600
        removable: true
    protected: ['api:generation:*']
    counters: ['api:cache:counters']
    state_directory: /var/lib/courtkeeper/cache_upkeep

- name: Only give keys a time to live, gently
  courtkeeper.ops.cache_upkeep:
    server:
      host: cache.example.net
      tls: true
    duties: [ttl]
    patterns:
      - pattern: session:*
        ttl_s: 86400
    latency_budget_ms: 2
"""

RETURN = r"""
changed:
  description: Whether anything was done to the server or its keys.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What was found and done, each with its status, a sentence, and what would mend it.
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
  description: C(cache_upkeep), with each pattern's hits, misses, and how they are known.
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
    from courtkeeper.redis.upkeep.run import upkeep
    from courtkeeper.redis.upkeep.settings import upkeep_settings_from
except ImportError:
    pass  # require_library says so in one sentence

DUTIES = [
    "hit_rates",
    "removal",
    "ttl",
    "expired",
    "memory",
    "memory_purge",
    "aof_rewrite",
    "snapshot",
    "keys",
]


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        server=server_option(),
        duties=option("list", [], elements="str", choices=DUTIES),
        patterns=option(
            "list",
            [],
            elements="dict",
            options=dict(
                pattern=dict(type="str", required=True),
                ttl_s=option("int", 0),
                removable=option("bool", False),
            ),
        ),
        protected=option("list", [], elements="str"),
        counters=option("list", [], elements="str"),
        state_directory=option("path", ""),
        keep_readings=option("int", 30),
        least_hit_rate=option("float", 0.7),
        cache_hit_rate_target=option("float", 0.95),
        cache_hit_rate_alert=option("float", 0.9),
        least_requests=option("int", 100),
        window_s=option("float", 900.0),
        latency_budget_ms=option("float", 5.0),
        patience_s=option("float", 60.0),
        share=option("float", 0.25),
        batch=option("int", 50),
        sample_keys=option("int", 10000, no_log=False),
        memory_warn_percent=option("float", 80.0),
        memory_crit_percent=option("float", 95.0),
        purge_over_mb=option("float", 10.0),
        purge_over_ratio=option("float", 1.1),
        aof_growth_percent=option("float", 50.0),
        aof_least_mb=option("float", 64.0),
        snapshot_max_age_s=option("float", 1200.0),
        persistence_timeout_s=option("float", 600.0),
        big_key_bytes=option("int", 100000, no_log=False),
        hot_key_frequency=option("int", 100, no_log=False),
        idle_key_s=option("int", 604800, no_log=False),
        list_keys=option("int", 10, no_log=False),
        progress_file=option(default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    told = {key: value for key, value in module.params.items() if key not in ("server", "progress_file")}
    return upkeep(
        server_from(module.params["server"]),
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
