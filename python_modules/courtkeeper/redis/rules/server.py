"""The server itself: its version, and whether its settings can be kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.rule import Limit, Rule
from courtkeeper.redis.snapshot import Snapshot


class Version(Rule):
    """Looks for a server that gets no fixes any more. A distribution may keep an old one alive longer."""

    name = "version"
    title = "versions too old"
    limits: ClassVar = {
        "redis": Limit(6.2, "major.minor", "RedisInsight asks for 6; 6.2 is the oldest that still got fixes"),
        "valkey": Limit(7.2, "major.minor", "the first Valkey; older ones do not exist"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        server = snapshot.server
        oldest = str(self.limit[server.kind])
        major, _, minor = oldest.partition(".")
        if (0, 0) < server.version[:2] < (int(major), int(minor or 0)):
            yield self.finding(
                server.title,
                Status.WARN,
                f"{server.title} is older than {oldest}.",
                observed=".".join(map(str, server.version)),
                threshold=oldest,
                fix=f"upgrade it to {oldest} or newer, replicas first",
            )


class ConfigFile(Rule):
    """Looks for a server whose settings are lost when it starts again."""

    name = "config_file"
    title = "servers without a configuration file"
    modes = frozenset({"standalone", "cluster", "sentinel", ""})

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        if not snapshot.server.config_file:
            yield self.finding(
                "config_file",
                Status.WARN,
                "The server has no configuration file: CONFIG REWRITE cannot keep what is set.",
                fix="start it with a file that holds its arguments",
            )
