"""What would be changed on a node: wanted against what is, without asking the server anything."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.tuning.normalise import canonical
from courtkeeper.redis.tuning.parameters import spelling


class Change(msgspec.Struct, frozen=True):
    """A parameter by the server's name, its value now and then; `told` where not only a profile wants it."""

    name: str
    before: str
    after: str
    told: bool = True

    def __str__(self) -> str:
        return f"{self.name} {shown(self.before)} -> {shown(self.after)}"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`changes` can be made now, `restart` only in the file before a start, `unsupported` not at all.

    `unsupported` maps a name to why this build does not have or refuse it; only a profile's end there.
    """

    changes: tuple[Change, ...] = ()
    restart: tuple[Change, ...] = ()
    unsupported: tuple[tuple[str, str], ...] = ()


def plan(now: Mapping[str, str], told: Mapping[str, str], profiled: Mapping[str, str], where: str) -> Plan:
    """Compare what is wanted with `now` (CONFIG GET *). Values that mean the same are no change.

    `told` has to be there: raises ConfigurationError for a parameter that the server does not have, whereas
    one that only the profile wants is left out.
    """
    known = frozenset(now)
    changes, unsupported, unknown = [], [], []
    for name, value in {**profiled, **told}.items():
        called = spelling(name, known)
        if not called:
            if name in told:
                unknown.append(name)
            else:
                unsupported.append((name, "this version does not have it"))
            continue
        after = canonical(name, value, now[called])
        if after != canonical(name, now[called], now[called]):
            changes.append(Change(called, now[called], after, name in told))
    if unknown:
        raise ConfigurationError(
            f"the server {where} has no parameter {', '.join(sorted(unknown))}: mend its name or drop it"
        )
    return Plan(changes=tuple(sorted(changes, key=lambda c: c.name)), unsupported=tuple(sorted(unsupported)))


def memory_problem(changes: tuple[Change, ...], used: int, where: str) -> str:
    """Return why a new maxmemory would evict, or refuse writes, at once; '' where it would not.

    `used` is what counts against it: used_memory less mem_not_counted_for_evict, in bytes.
    """
    for change in changes:
        if change.name == "maxmemory" and change.after.isdecimal() and 0 < int(change.after) < used:
            return (
                f"maxmemory {change.after} is below the {used} bytes that {where} uses: keys would be "
                "evicted in mass, or writes refused; raise it, or allow that (allow_eviction)"
            )
    return ""


def as_diff(plans: Mapping[str, Plan]) -> dict[str, str]:
    """Return `before` and `after` as the lines of a configuration, a heading a node."""
    sides: dict[str, list[str]] = {"before": [], "after": []}
    for where, made in plans.items():
        if made.changes:
            for side, lines in sides.items():
                lines.append(f"# {where}")
                lines.extend(f"{c.name} {shown(getattr(c, side))}" for c in made.changes)
    return {side: "".join(f"{line}\n" for line in lines) for side, lines in sides.items() if lines}


def shown(value: str) -> str:
    """Return a value as a redis.conf has it: quoted where it is empty."""
    return value or '""'
