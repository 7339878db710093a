"""What a tuning says: findings and their sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.tuning.change import Outcome, Undone
from courtkeeper.redis.tuning.gate import worse
from courtkeeper.redis.tuning.journal import Entry
from courtkeeper.redis.tuning.node import Node
from courtkeeper.redis.tuning.plan import Change, Plan, shown
from courtkeeper.redis.tuning.settings import TuningSettings

_PREFIX = "redis.tuning"


def servers(number: int) -> str:
    """`1 server`, `3 servers`."""
    return f"{number} server{'' if number == 1 else 's'}"


def parameters(number: int) -> str:
    """`1 parameter`, `3 parameters`."""
    return f"{number} parameter{'' if number == 1 else 's'}"


def listed(changes: Sequence[Change]) -> str:
    """`maxmemory 0 -> 1073741824, …`."""
    return ", ".join(str(one) for one in changes)


def way_back(changes: Sequence[Change], *, rewrite: bool) -> str:
    """The commands that set the old values again."""
    pairs = " ".join(f"{one.name} {_quoted(one.before)}" for one in changes)
    return f"CONFIG SET {pairs}{'; CONFIG REWRITE' if rewrite else ''}"


def immutable(node: Node, one: Change) -> str:
    """The sentence for a single value that is taken at a start only."""
    return (
        f"{one.name} of {node.where} is taken at a start only: write `{one.name} {shown(one.after)}` into "
        f"{_file(node)}, restart the server, and then leave it here or out"
    )


def differences(node: Node, plan: Plan) -> list[Finding]:
    """One finding for each value that is not as wanted, and those of `beside`."""
    found = [
        Finding(
            id=f"{_PREFIX}.differs",
            subject=f"{node.where} {one.name}",
            status=Status.WARN,
            summary=f"{one.name} is {shown(one.before)}, {shown(one.after)} is wanted",
            observed=one.before,
            threshold=one.after,
            fix="run redis_tuning with mode: apply, which takes it back if the server is the worse for it",
        )
        for one in plan.changes
    ]
    if not plan.changes and not plan.restart:
        found.append(as_wanted(node))
    return found + beside(node, plan)


def as_wanted(node: Node) -> Finding:
    """A server on which there is nothing to do."""
    return Finding(
        id=f"{_PREFIX}.differs",
        subject=node.where,
        status=Status.OK,
        summary=f"{node.where} has the values that are wanted",
    )


def beside(node: Node, plan: Plan) -> list[Finding]:
    """What cannot be set while the server runs, or not at all."""
    found = [
        Finding(
            id=f"{_PREFIX}.needs_restart",
            subject=f"{node.where} {one.name}",
            status=Status.WARN,
            summary=f"{one.name} is {shown(one.before)}, {shown(one.after)} is wanted: taken at a start only",
            observed=one.before,
            threshold=one.after,
            fix=f"write `{one.name} {shown(one.after)}` into {_file(node)} and restart",
        )
        for one in plan.restart
    ]
    return found + [
        Finding(
            id=f"{_PREFIX}.unsupported",
            subject=f"{node.where} {name}",
            status=Status.SKIPPED,
            summary=f"{name} of the profile is left out: {why}",
        )
        for name, why in plan.unsupported
    ]


def advice(node: Node, told: TuningSettings, plans: Mapping[str, Plan]) -> list[Finding]:
    """A profile without a maxmemory is half a profile."""
    planned = {one.name: one.after for one in plans.get(node.where, Plan()).changes}
    if not told.profile or "maxmemory" in told.told() or planned.get("maxmemory"):
        return []
    if node.info.get("maxmemory", "0") != "0":
        return []
    return [
        Finding(
            id=f"{_PREFIX}.maxmemory",
            subject=node.where,
            status=Status.WARN,
            summary=f"{node.where} has no maxmemory: it grows until the machine ends it",
            observed=0,
            unit="B",
            fix="give maxmemory beside the profile: what the machine can spare, less forks and buffers",
        )
    ]


def applied(node: Node, changes: Sequence[Change], outcome: Outcome) -> Finding:
    """A change that was kept."""
    return Finding(
        id=f"{_PREFIX}.applied",
        subject=node.where,
        status=Status.OK,
        summary=f"{parameters(len(changes))} set on {node.where}: nothing that could be judged is worse",
        applied=listed(changes) + ("; CONFIG REWRITE" if outcome.rewritten else ""),
        undo=way_back(changes, rewrite=outcome.rewritten),
    )


def unjudged(node: Node, outcome: Outcome) -> list[Finding]:
    """What nobody can say about a change that was kept: a server without load shows no harm."""
    names = ("99th percentile of commands", "commands a second", "statistics")
    why = [str(m) for m in outcome.measures if m.verdict == "unjudged" and m.name in names]
    if not why:
        return []
    return [
        Finding(
            id=f"{_PREFIX}.unjudged",
            subject=node.where,
            status=Status.UNKNOWN,
            summary=f"whether {node.where} is slower cannot be said: {'; '.join(why)}",
            fix="run it while the server is at work, or watch it for longer (gate: observe_s)",
        )
    ]


def regressed(node: Node, changes: Sequence[Change], outcome: Outcome) -> Finding:
    """A change that was taken back."""
    found = worse(outcome.measures)
    first = found[0]
    left = (
        f"; {', '.join(outcome.left)} was set by somebody else meanwhile and is left" if outcome.left else ""
    )
    return Finding(
        id=f"{_PREFIX}.regressed",
        subject=node.where,
        status=Status.CRIT,
        summary=f"the change made {node.where} worse and was taken back: {'; '.join(map(str, found))}",
        observed=round(first.after, 3),
        threshold=round(first.limit, 3),
        unit=first.unit,
        fix="leave these values as they are, or change fewer at a time to see which one it is",
        applied=f"tried {listed(changes)}; then {way_back(changes, rewrite=outcome.rewritten)}{left}",
        undo="none needed: the old values are back"
        + ("" if outcome.rewritten else ", the file was not touched"),
    )


def stopped(node: Node, untouched: Sequence[str]) -> Finding:
    """The nodes behind one that was the worse for it."""
    return Finding(
        id=f"{_PREFIX}.stopped",
        subject=", ".join(untouched),
        status=Status.SKIPPED,
        summary=f"{', '.join(untouched)} was not changed, as {node.where} was the worse for it",
    )


def not_persistent(node: Node) -> Finding:
    """Values that a restart loses, as was asked for."""
    return Finding(
        id=f"{_PREFIX}.not_persistent",
        subject=node.where,
        status=Status.WARN,
        summary=f"what was set on {node.where} does not survive a restart: its file was not written",
        fix="start the server with a file and tune it with persist: true",
    )


def ineffective(node: Node, changes: Sequence[Change]) -> Finding:
    """Values that a server takes and does not keep."""
    return Finding(
        id=f"{_PREFIX}.ineffective",
        subject=node.where,
        status=Status.WARN,
        summary=f"{node.where} takes {listed(changes)} and still gives the old values: nothing is changed",
        fix="leave them out, or write what the server can have",
    )


def pending(entry: Entry) -> Finding:
    """A change on its way, while we only look."""
    return Finding(
        id=f"{_PREFIX}.interrupted",
        subject=entry.where,
        status=Status.WARN,
        summary=f"{_unended(entry)}: {listed(entry.changes)}",
        fix="run redis_tuning with mode: apply, which takes that back first",
    )


def pending_action(entry: Entry) -> str:
    """What a run would do about it."""
    if entry.step == "keeping":
        return f"{entry.where}: end the tuning of {entry.began}, which the gate had let pass"
    return f"{entry.where}: take back the tuning of {entry.began}: {listed(entry.changes)}"


def recovered(entry: Entry, undone: Undone) -> Finding:
    """What an interrupted run had set is taken back."""
    what = f"set {', '.join(undone.back)} back" if undone.back else "found the old values in place"
    left = f"; {', '.join(undone.left)} was set by somebody else meanwhile and is left" if undone.left else ""
    return Finding(
        id=f"{_PREFIX}.interrupted",
        subject=entry.where,
        status=Status.WARN,
        summary=f"{_unended(entry)}: {what}{left}",
        applied=f"{what}{left}",
        undo=f"CONFIG SET {' '.join(f'{c.name} {_quoted(c.after)}' for c in entry.changes)}",
    )


def restarted(entry: Entry, remaining: Sequence[str]) -> Finding:
    """The server lost by itself what an interrupted run had set."""
    rest = f"; {', '.join(remaining)} is in its file as tried, and is left" if remaining else ""
    return Finding(
        id=f"{_PREFIX}.interrupted",
        subject=entry.where,
        status=Status.WARN,
        summary=f"{_unended(entry)}, which was started again since{rest}",
        applied=f"nothing to take back{rest}",
    )


def finished(entry: Entry, *, written: bool) -> Finding:
    """An interrupted run had passed its gate: the rest of it is done."""
    return Finding(
        id=f"{_PREFIX}.interrupted",
        subject=entry.where,
        status=Status.WARN,
        summary=f"{_unended(entry)}, though the gate had let it pass: ended now",
        applied="CONFIG REWRITE" if written else "nothing was left to do",
        undo=way_back(entry.changes, rewrite=written),
    )


def moved(entry: Entry) -> Finding:
    """An interrupted run had passed its gate, and somebody has set other values since."""
    return Finding(
        id=f"{_PREFIX}.interrupted",
        subject=entry.where,
        status=Status.WARN,
        summary=f"{_unended(entry)}, and others have set its parameters since: they are left as they are",
        applied="nothing: others have set the values since",
    )


def detail(node: Node, plan: Plan, outcome: Outcome | None) -> dict[str, Any]:
    """A node's part of `details`."""
    state = "unchanged" if not plan.changes else "not changed"
    if outcome:
        state = "kept" if outcome.kept else "taken back"
    return {
        "where": node.where,
        "role": node.server.role,
        "server": node.server.title,
        "outcome": state,
        "changes": [{"name": c.name, "before": c.before, "after": c.after} for c in plan.changes],
        "needs_restart": [{"name": c.name, "before": c.before, "after": c.after} for c in plan.restart],
        "measures": [str(measure) for measure in outcome.measures] if outcome else [],
    }


def _quoted(value: str) -> str:
    return f'"{value}"' if not value or " " in value else value


def _unended(entry: Entry) -> str:
    return f"a tuning of {entry.began} did not come to its end on {entry.where}"


def _file(node: Node) -> str:
    return node.server.config_file or "its file"
