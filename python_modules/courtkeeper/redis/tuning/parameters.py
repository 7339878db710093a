"""What a server does not tell of its parameters: Redis 7.0 to 8, Valkey 7.2 to 9."""

from __future__ import annotations

# Names of the same parameter, first the one to call it by (config.c of Redis 7.0.15 and Valkey 9.1). A
# server shows both in CONFIG GET, and of two in one CONFIG SET the last one wins without a word.
_PAIRS = (
    ("busy-reply-threshold", "lua-time-limit"),
    ("cluster-replica-no-failover", "cluster-slave-no-failover"),
    ("cluster-replica-validity-factor", "cluster-slave-validity-factor"),
    ("slowlog-log-slower-than", "commandlog-execution-slower-than"),
    ("slowlog-max-len", "commandlog-slow-execution-max-len"),
    ("hash-max-listpack-entries", "hash-max-ziplist-entries"),
    ("hash-max-listpack-value", "hash-max-ziplist-value"),
    ("list-max-listpack-size", "list-max-ziplist-size"),
    ("min-replicas-max-lag", "min-slaves-max-lag"),
    ("min-replicas-to-write", "min-slaves-to-write"),
    ("primaryauth", "masterauth"),
    ("primaryuser", "masteruser"),
    ("repl-ping-replica-period", "repl-ping-slave-period"),
    ("replica-announce-ip", "slave-announce-ip"),
    ("replica-announce-port", "slave-announce-port"),
    ("replica-ignore-maxmemory", "slave-ignore-maxmemory"),
    ("replica-lazy-flush", "slave-lazy-flush"),
    ("replica-priority", "slave-priority"),
    ("replica-read-only", "slave-read-only"),
    ("replica-serve-stale-data", "slave-serve-stale-data"),
    ("replicaof", "slaveof"),
    ("zset-max-listpack-entries", "zset-max-ziplist-entries"),
    ("zset-max-listpack-value", "zset-max-ziplist-value"),
)
ALIASES = {name: other for pair in _PAIRS for name, other in (pair, pair[::-1])}
_ONE = {other: name for name, other in _PAIRS}

# Values with units (MEMORY_CONFIG), which read back in bytes.
MEMORY = frozenset(
    {
        "active-defrag-ignore-bytes",
        "auto-aof-rewrite-min-size",
        "client-query-buffer-limit",
        "cluster-link-sendbuf-limit",
        "hash-max-listpack-value",
        "hll-sparse-max-bytes",
        "maxmemory",
        "maxmemory-clients",
        "proto-max-bulk-len",
        "repl-backlog-size",
        "set-max-listpack-value",
        "slot-migration-max-failover-repl-bytes",
        "stream-node-max-bytes",
        "zset-max-listpack-value",
    }
)

# Words that the server takes in any case and gives back in small letters.
WORDS = frozenset(
    {
        "acl-pubsub-default",
        "appendfsync",
        "cluster-config-save-behavior",
        "cluster-preferred-endpoint-type",
        "log-format",
        "log-timestamp-format",
        "loglevel",
        "maxmemory-policy",
        "oom-score-adj",
        "propagation-error-behavior",
        "repl-diskless-load",
        "sanitize-dump-payload",
        "shutdown-on-sigint",
        "shutdown-on-sigterm",
    }
)

# Lists of numbers, whose blanks do not count.
NUMBERS = frozenset({"latency-tracking-info-percentiles", "oom-score-adj-values"})

# Never set, kept, shown or taken back by us: their values are secrets.
SECRETS = frozenset(
    {
        "hash-seed",
        "masterauth",
        "masteruser",
        "primaryauth",
        "primaryuser",
        "requirepass",
        "tls-client-key-file-pass",
        "tls-key-file-pass",
    }
)

# What a server is and where it is found, which is for whoever sets it up: a way back could not reach it.
IDENTITY = frozenset(
    {
        "aclfile",
        "availability-zone",
        "bind",
        "bind-source-addr",
        "dbfilename",
        "dir",
        "import-mode",
        "latency-tracking",  # without it the gate is blind
        "logfile",
        "port",
        "protected-mode",
        "replica-read-only",
        "replicaof",
        "tls-port",
        "unixsocket",
    }
)
_IDENTITY_PREFIXES = ("cluster-announce-", "replica-announce", "rdma-", "tls-")


def one_name(name: str) -> str:
    """Return the one name that is meant by a parameter's names: `hash-max-ziplist-value` is
    `hash-max-listpack-value`. Small letters; any text goes in."""
    small = name.strip().lower()
    return _ONE.get(small, small)


def spelling(name: str, known: frozenset[str] | set[str]) -> str:
    """Return the name by which a server that has the parameters `known` calls the parameter; '' for none."""
    wanted = one_name(name)
    return next((n for n in (wanted, ALIASES.get(wanted, wanted)) if n in known), "")


def why_untouchable(name: str) -> str:
    """Return why a parameter is none of ours, as the end of a sentence; '' where it may be tuned."""
    wanted = one_name(name)
    if wanted in SECRETS or wanted.startswith(("user ", "sentinel ")):
        return "holds a secret, which has no place in a plan: set it where the server's secrets are kept"
    if wanted in IDENTITY or wanted.startswith(_IDENTITY_PREFIXES):
        return "says what the server is or how it is reached, no matter of tuning: set it in its file"
    return ""
