"""Synchronous replicas that are gone: commits wait for them, for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs

_NAMES = re.compile(r'"((?:[^"]|"")*)"|([^\s,()"]+)')


class Synchronous(msgspec.Struct, frozen=True):
    """The setting, the names of the streaming replicas, and how many of them count as synchronous."""

    wanted: str
    connected: list[str]
    synchronous: int
    undo: str


def standby_names(setting: str) -> tuple[int, list[str]]:
    """Return how many replicas have to confirm a commit and which may: `ANY 2 (a, b, c)` → 2, [a, b, c].

    `*` stands for every replica. The server has checked the syntax: what cannot be read gives no names.
    """
    match = re.fullmatch(
        r"\s*(?:(?:FIRST|ANY)\s+)?(\d{1,9})\s*\((.*)\)\s*", setting, re.IGNORECASE | re.DOTALL
    )
    number, listed = (int(match[1]), match[2]) if match else (1, setting)
    return number, [quoted.replace('""', '"') or plain for quoted, plain in _NAMES.findall(listed)]


class SynchronousReplicas(Check[Synchronous]):
    """Looks for replicas that synchronous_standby_names wants and that are not connected."""

    title = "missing synchronous replicas"
    row = Synchronous
    needs = Needs(monitor=True)

    def findings(self, rows: Sequence[Synchronous]) -> Iterator[Finding]:
        """Yield one finding that says that commits hang, else one for each replica that is gone."""
        for row in rows:
            number, names = standby_names(row.wanted)
            there = {name.lower() for name in row.connected}
            gone = [name for name in names if name != "*" and name.lower() not in there]
            if row.synchronous < number:
                yield self._hanging(row, number, gone)
            else:
                for name in gone:
                    yield self.finding(
                        name,
                        Status.WARN,
                        f"The synchronous replica {name} is not connected; commits still go on with "
                        f"{row.synchronous} of the {number} that have to confirm them.",
                        fix=f"-- start the replica {name}, or take it out of synchronous_standby_names",
                    )

    def _hanging(self, row: Synchronous, number: int, gone: Sequence[str]) -> Finding:
        missing = f" ({', '.join(gone)} not connected)" if gone else ""
        return self.finding(
            "synchronous_standby_names",
            Status.CRIT,
            f"{row.synchronous} of {number} synchronous replicas confirm commits{missing}: "
            "every commit waits.",
            observed=row.synchronous,
            threshold=number,
            unit="replicas",
            fix="ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf(); "
            "-- only until the replica is back: until then a commit is on this server alone",
            undo=row.undo,
        )
