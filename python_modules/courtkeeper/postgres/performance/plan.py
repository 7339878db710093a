"""What a plan says: its cost, its lines, and which tables it reads whole for want of an index.

A plan is what EXPLAIN (FORMAT JSON, VERBOSE) returns. Pure; what is not as expected is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from courtkeeper.postgres.querytext import shape

_CONDITIONS = ("Filter", "Hash Cond", "Merge Cond", "Join Filter", "Index Cond", "Recheck Cond")
_MOST_LINES = 40
_LONGEST = 160
_NAME = r'(?:"(?:[^"]|"")++"|(?<![\w$])[^\W\d][\w$]*+)'
_CAST = r'(?:::[\w" ]++(?:\[\])?)?+'
# `(e.status)::text = $1`; VERBOSE writes the table's alias before each column.
_LEFT = re.compile(rf"({_NAME})\.({_NAME})\)*+{_CAST}\)*+\s*+(=|<=|>=|<(?!>)|>)")
_RIGHT = re.compile(rf"(?<![<>=!~*])(=|<=|>=|<|>)\s*+\(*+({_NAME})\.({_NAME})(?![\w.(])")
_CALLED = re.compile(r'(?:"((?:[^"]|"")++)"|(?<![\w$"])([^\W\d][\w$]*+))\(')
_LONGEST_READ = 20_000
_WRITES = ("ModifyTable", "LockRows")


class Scan(msgspec.Struct, frozen=True):
    """A table that is read whole: its columns compared by =, by < or >, and those that sort the rows."""

    schema: str
    table: str
    equal: tuple[str, ...]
    ranged: tuple[str, ...]
    ordered: tuple[str, ...]


def nodes(plan: object, depth: int = 0) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the nodes of a plan from the top, each with its depth."""
    if isinstance(plan, Mapping):
        yield depth, plan
        children = plan.get("Plans")
        for child in children if isinstance(children, list) else []:
            yield from nodes(child, depth + 1)


def cost(plan: Mapping[str, Any]) -> float:
    """Return the planner's cost of the whole plan, in its own unit."""
    return _number(plan, "Total Cost")


def writes(plan: Mapping[str, Any]) -> bool:
    """Whether a plan changes or locks rows."""
    return any(node.get("Node Type") in _WRITES for _, node in nodes(plan))


def called(plan: Mapping[str, Any]) -> set[str]:
    """Return the names of the functions that a plan's expressions call, without their schemas; rather more.

    What stands in a literal is taken for one as well.
    """
    texts = (
        text
        for _, node in nodes(plan)
        for value in node.values()
        for text in ([value] if isinstance(value, str) else value if isinstance(value, list) else [])
        if isinstance(text, str)
    )
    found: set[str] = set()
    for text in texts:
        found |= {word or quoted.replace('""', '"') for quoted, word in _CALLED.findall(text)}
    return found | {str(node["Function Name"]) for _, node in nodes(plan) if "Function Name" in node}


def uses_index(plan: Mapping[str, Any]) -> bool:
    """Whether any part of a plan reads an index."""
    return any("Index Name" in node for _, node in nodes(plan))


def lines(plan: Mapping[str, Any]) -> list[str]:
    """Return a plan as EXPLAIN writes it for people, but shorter, and without any literal."""
    written = []
    for depth, node in nodes(plan):
        text = str(node.get("Node Type", "?"))
        if "Index Name" in node:
            text += f" using {node['Index Name']}"
        if "Relation Name" in node:
            text += f" on {node.get('Schema', '')}.{node['Relation Name']}"
        text += f" (cost {cost(node):,.0f}, {_number(node, 'Plan Rows'):,.0f} rows"
        if "Actual Total Time" in node:
            text += f"; took {_number(node, 'Actual Total Time'):,.1f} ms for "
            text += f"{_number(node, 'Actual Rows'):,.0f} rows, {_number(node, 'Actual Loops'):,.0f} times"
        written.append("  " * depth + text + ")")
        written += [
            f"{'  ' * depth}  {key}: {shape(str(node[key]), _LONGEST)}" for key in _CONDITIONS if key in node
        ]
    left_out = len(written) - _MOST_LINES
    return written[:_MOST_LINES] + ([f"and {left_out} lines more"] if left_out > 0 else [])


def scans(plan: Mapping[str, Any]) -> list[Scan]:
    """Return the tables that a plan reads whole although it wants only some of the rows, or their order."""
    equal, ranged = _compared(plan)
    found = []
    for node, ordered in _whole(plan, ()):
        alias = str(node.get("Alias", ""))
        scan = Scan(
            str(node.get("Schema", "")),
            str(node.get("Relation Name", "")),
            tuple(equal.get(alias, ())),
            tuple(ranged.get(alias, ())),
            tuple(column for name, column in ordered if name == alias),
        )
        if scan.table and (scan.equal or scan.ranged or scan.ordered):
            found.append(scan)
    return found


def _compared(plan: Mapping[str, Any]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the columns of each alias that conditions anywhere in the plan compare."""
    equal: dict[str, list[str]] = {}
    ranged: dict[str, list[str]] = {}
    for _, node in nodes(plan):
        for key in _CONDITIONS:
            text = str(node.get(key, ""))[:_LONGEST_READ]
            hits = [(alias, column, by) for alias, column, by in _LEFT.findall(text)]
            hits += [(alias, column, by) for by, alias, column in _RIGHT.findall(text)]
            for alias, column, by in hits:
                kept = (equal if by == "=" else ranged).setdefault(_plain(alias), [])
                if _plain(column) not in kept:
                    kept.append(_plain(column))
    return equal, ranged


def _whole(
    plan: object, ordered: tuple[tuple[str, str], ...]
) -> Iterator[tuple[Mapping[str, Any], tuple[tuple[str, str], ...]]]:
    """Yield the sequential scans, each with the columns that a limited sort right above wants."""
    if not isinstance(plan, Mapping):
        return
    kind = plan.get("Node Type")
    if kind == "Seq Scan":
        yield plan, ordered
    below: tuple[tuple[str, str], ...] = ()
    if kind == "Limit":
        below = (("", ""),)  # a sort below it is worth an index
    elif kind in ("Sort", "Incremental Sort") and ordered:
        keys = plan.get("Sort Key")
        columns = [re.fullmatch(rf"({_NAME})\.({_NAME})(?: DESC)?", str(key)) for key in keys or () if keys]
        below = tuple((_plain(hit[1]), _plain(hit[2])) for hit in columns if hit)
    elif kind in ("Gather", "Gather Merge", "Append"):
        below = ordered
    children = plan.get("Plans")
    for child in children if isinstance(children, list) else []:
        yield from _whole(child, below)


def _number(node: Mapping[str, Any], key: str) -> float:
    value = node.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
