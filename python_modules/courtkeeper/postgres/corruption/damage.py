"""What came of reading, as findings: damage by the relation that has it, and what was not read and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from courtkeeper.findings import Status
from courtkeeper.postgres.corruption.pieces import Function, Relation, forbidden, unreadable
from courtkeeper.postgres.corruption.workers import Ending, Outcome

_NAMES = 5
_MESSAGE = 300

# `invalid page in block 3 of relation base/5/16384`, `could not read block 3 in file "base/5/16384.1"`
_FILE = re.compile(r"\b(?:base/\d+|global|pg_tblspc/\d+/[\w.]+/\d+)/(\d+)")
_BLOCK = re.compile(r"\bblocks? (\d+)\b|\bindex tid=\((\d+),", re.IGNORECASE)


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A finding without its id; `relation` is None where it is about the whole database."""

    status: Status
    summary: str
    fix: str
    relation: Relation | None = None
    observed: int
    unit: str


class Damage(msgspec.Struct, frozen=True):
    """What is wrong with one relation: (block or None, the server's sentence), each once."""

    relation: Relation
    problems: tuple[tuple[int | None, str], ...]


def attribute(outcomes: Iterable[Outcome], relations: Sequence[Relation]) -> tuple[list[Damage], set[int]]:
    """Return the damage of each relation, and the oids of those that others' damage kept from being read.

    A read of an index fails where a page of its table is unreadable: the file in the server's message
    tells whose page it is.
    """
    by_file = {relation.filenode: relation for relation in relations if relation.filenode}
    found: dict[int, dict[tuple[int | None, str], None]] = {}
    kept: set[int] = set()
    for outcome in outcomes:
        if outcome.ending is not Ending.DAMAGED:
            continue
        for block, message in outcome.problems:
            file = _FILE.search(message)
            owner = by_file.get(int(file[1])) if file else None
            owner = owner or outcome.piece.relation
            if owner != outcome.piece.relation:
                kept.add(outcome.piece.relation.oid)
            found.setdefault(owner.oid, {})[_block(message) if block is None else block, message] = None
    by_oid = {relation.oid: relation for relation in relations}
    return [Damage(by_oid[oid], tuple(problems)) for oid, problems in found.items()], kept - found.keys()


def _block(message: str) -> int | None:
    match = _BLOCK.search(message)
    return int(match[1] or match[2]) if match else None


def judge(
    outcomes: Sequence[Outcome],
    relations: Sequence[Relation],
    functions: Sequence[Function],
    *,
    version: int,
    budget_s: float,
    role: str,
) -> Iterator[Judgement]:
    """Yield all findings: the damaged relations, then what was not read, or that all is sound."""
    damages, kept = attribute(outcomes, relations)
    damaged = {damage.relation.oid for damage in damages}
    names = {relation.oid: relation.name for relation in relations}
    for damage in damages:
        yield _damaged(damage, names, damaged)
    read = {outcome.piece.relation.oid for outcome in outcomes}
    left = list(_left(outcomes, kept, len(read), budget_s))
    left += _unable(relations, functions, version, role)
    yield from left
    if not damages and not left:
        yield _sound(relations, functions, read)


def _damaged(damage: Damage, names: dict[int, str], damaged: set[int]) -> Judgement:
    relation = damage.relation
    block, message = damage.problems[0]
    where = "" if block is None else f" in block {block}"
    count = len(damage.problems)
    more = f" There are {count - 1} more problems in it." if count > 1 else ""
    table = names.get(relation.table_oid, "its table")
    if relation.method != "heap":
        what = f"The index {relation.name} of {table}"
    else:
        what = (
            f"The TOAST table of {relation.toast_of}" if relation.toast_of else f"The table {relation.name}"
        )
    fix = (
        _heap_fix(relation, block)
        if relation.method == "heap"
        else _index_fix(relation, table, table_is_damaged=relation.table_oid in damaged)
    )
    return Judgement(
        status=Status.CRIT,
        summary=f"{what} is damaged{where}: {_short(message)}.{more}",
        fix=fix,
        relation=relation,
        observed=count,
        unit="problems",
    )


def _index_fix(relation: Relation, table: str, *, table_is_damaged: bool) -> str:
    statement = f"REINDEX INDEX {'CONCURRENTLY ' if relation.concurrently else ''}{relation.name};"
    remark = "" if relation.concurrently else " -- locks the table while it runs"
    if table_is_damaged:
        return f"{statement} -- only when {table} is mended: it would be built from damaged rows"
    return statement + remark


def _heap_fix(relation: Relation, block: int | None) -> str:
    advice = (
        "nothing mends a table by itself: keep a copy of the data directory first, then restore the table "
        "from a backup that is older than the damage, or fail over to a sound replica; look at the disk, too"
    )
    if block is None or relation.toast_of:
        return f"-- {relation.toast_of or relation.name}: {advice}"
    # A statement for a person to run; the name is quoted by the server.
    shown = f"SELECT ctid, * FROM {relation.name} WHERE ctid >= '({block},0)' AND ctid < '({block + 1},0)';"  # noqa: S608
    return f"{shown} -- shows what can still be read of the block; {advice}"


def _left(outcomes: Sequence[Outcome], kept: set[int], total: int, budget_s: float) -> Iterator[Judgement]:
    why = {
        Ending.TIME: (
            f"were not reached in {budget_s:g} s",
            "allow more time (corruption_budget_s) or more connections (jobs)",
        ),
        Ending.TOO_BIG: (
            f"take longer than {budget_s:g} s by themselves",
            "allow more time (corruption_budget_s)",
        ),
        Ending.LOCKED: ("are locked by somebody else", "check again when the locks are gone"),
    }
    for ending, (reason, fix) in why.items():
        yield from _not_read(_relations(outcomes, ending), total, reason, fix)
    hidden = [o.piece.relation for o in outcomes if o.piece.relation.oid in kept]
    yield from _not_read(hidden, total, "read pages that are damaged elsewhere", "mend that first")
    refused: dict[str, list[Relation]] = {}
    for outcome in outcomes:
        if outcome.ending is Ending.REFUSED:
            refused.setdefault(_short(outcome.problems[0][1]), []).append(outcome.piece.relation)
    for message, relations in refused.items():
        yield Judgement(
            status=Status.UNKNOWN,
            summary=f"{_named(relations)} could not be read: {message}.",
            fix="see the server's log; this may be damage",
            observed=len(relations),
            unit="relations",
        )


def _relations(outcomes: Iterable[Outcome], ending: Ending) -> list[Relation]:
    return list({o.piece.relation.oid: o.piece.relation for o in outcomes if o.ending is ending}.values())


def _not_read(relations: Sequence[Relation], total: int, reason: str, fix: str) -> Iterator[Judgement]:
    if relations:
        yield Judgement(
            status=Status.SKIPPED,
            summary=f"{len(relations)} of {total} tables and indexes {reason}: {_named(relations)}.",
            fix=fix,
            observed=len(relations),
            unit="relations",
        )


def _unable(
    relations: Sequence[Relation], functions: Sequence[Function], version: int, role: str
) -> Iterator[Judgement]:
    """Yield what amcheck could read if it were newer or if we were allowed to call it."""
    refused = forbidden(functions)
    if refused:
        yield Judgement(
            status=Status.SKIPPED,
            summary=f"Damage was not looked for: the role may not call {_and(f.name for f in refused)}.",
            fix=" ".join(f"GRANT EXECUTE ON FUNCTION {f.signature} TO {role};" for f in refused),
            observed=len(refused),
            unit="functions",
        )
    elif (heaps := unreadable(relations, functions).get("heap")) is not None:
        fix = "ALTER EXTENSION amcheck UPDATE;" if version >= 14 else "upgrade the server to 14 or later"
        yield from _not_read(heaps, len(relations), "are tables, which this amcheck cannot read", fix)


def _sound(relations: Sequence[Relation], functions: Sequence[Function], read: set[int]) -> Judgement:
    others = unreadable(relations, functions)
    count = sum(map(len, others.values()))
    beside = f" {count} of kinds that amcheck cannot read ({', '.join(sorted(others))})." if count else ""
    return Judgement(
        status=Status.OK,
        summary=f"{len(read)} tables and indexes were read whole and are sound.{beside}",
        fix="",
        observed=len(read),
        unit="relations",
    )


def _named(relations: Sequence[Relation]) -> str:
    largest = sorted(relations, key=lambda relation: -relation.pages)[:_NAMES]
    shown = ", ".join(relation.name for relation in largest)
    more = len(relations) - _NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)


def _short(message: str) -> str:
    text = " ".join(message.split()).rstrip(".")
    return text if len(text) <= _MESSAGE else text[:_MESSAGE] + "…"
