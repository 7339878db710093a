"""What amcheck is asked: relations, the pieces that big ones are read in, and the statement of a piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from psycopg import sql

# 512 MiB of a table: about ten seconds of work, so that parallel readers end together.
PIECE_PAGES = 65536
# From 8 MiB on an index is compared with its table by one connection and looked at for duplicates by
# another: the second takes 60 % of the time of the first (17.10, 1.5 M rows).
_APART_PAGES = 1024
# More rows than a person reads; the damage of one relation is one finding.
_ROWS_AT_MOST = 1000


class Relation(msgspec.Struct, frozen=True):
    """A table, TOAST table or index. `name` is quoted; `table_oid` is an index's table, else 0."""

    oid: int
    name: str
    method: str
    filenode: int
    pages: int
    table_oid: int
    is_unique: bool
    toast_of: str
    concurrently: bool


class Function(msgspec.Struct, frozen=True):
    """One of amcheck's functions as this server has it; `schema` is quoted."""

    name: str
    schema: str
    signature: str
    allowed: bool
    checks_unique: bool


class Piece(msgspec.Struct, frozen=True):
    """A relation, or blocks of it from `number` times PIECE_PAGES on; `last` has no end, as tables grow."""

    relation: Relation
    function: Function
    number: int
    last: bool
    pages: int  # to be read, as the statistics know them; for an index with those of its table
    compare: bool = True  # an index with its table
    unique: bool = False  # whether a unique index holds a value twice

    @property
    def key(self) -> str:
        """Return a name that is the same from run to run (an oid is not: REINDEX changes it)."""
        if not self.compare:
            return f"{self.relation.name}#unique"
        return f"{self.relation.name}#{self.number}" if self.number else self.relation.name

    def statement(self) -> sql.Composed:
        """Return the statement; its rows (block, tuple, attribute, message) are what is wrong.

        An index's damage comes as an error instead. A relation that is gone gives no row.
        """
        name = sql.SQL("{}.{}").format(
            sql.SQL(self.function.schema),  # quoted by the server
            sql.Identifier(self.function.name),
        )
        oid = sql.Literal(self.relation.oid)
        if self.function.name == "verify_heapam":
            return _HEAP.format(function=name, oid=oid, limit=_ROWS_AT_MOST, **self._blocks())
        if self.function.name == "bt_index_check":
            # Always named where it is known: without it another function, with other grants, is called.
            flag = f", checkunique := {self.unique}" if self.function.checks_unique else ""
            unique = sql.SQL(flag)
            return _BTREE.format(function=name, oid=oid, compare=self.compare, unique=unique)
        return _GIN.format(function=name, oid=oid)

    def _blocks(self) -> dict[str, sql.Composable]:
        if self.number == 0 and self.last:
            return {"first": sql.SQL("NULL"), "end": sql.SQL("NULL"), "there": sql.SQL("")}
        # What was cut off since is no error.
        size = "pg_relation_size(c.oid) / current_setting('block_size')::int"
        first = self.number * PIECE_PAGES
        end = sql.SQL("NULL" if self.last else f"least({first + PIECE_PAGES}, {size}) - 1")
        there = sql.SQL(f" AND {size} > {first}")
        return {"first": sql.Literal(first), "end": end, "there": there}


_HEAP = sql.SQL("""
SELECT v.blkno, v.offnum, v.attnum, v.msg
  FROM pg_class c,
       LATERAL {function}(relation := c.oid, on_error_stop := false, check_toast := true,
                          skip := 'none', startblock := {first}, endblock := {end}) v
 WHERE c.oid = {oid}{there} LIMIT {limit}""")
_BTREE = sql.SQL("""
SELECT {function}(index := c.oid, heapallindexed := {compare}{unique})
  FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
 WHERE c.oid = {oid} AND i.indisvalid AND i.indisready AND i.indislive""")
_GIN = sql.SQL("""
SELECT {function}(index := c.oid)
  FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
 WHERE c.oid = {oid} AND i.indisvalid AND i.indisready AND i.indislive""")

_FUNCTION_OF = {"heap": "verify_heapam", "btree": "bt_index_check", "gin": "gin_index_check"}


def split(relations: Iterable[Relation], functions: Sequence[Function], *, unique: bool) -> Iterator[Piece]:
    """Yield the pieces of all relations that one of `functions` can read; `unique`: duplicates as well."""
    best = {function.name: function for function in reversed(functions) if function.allowed}
    relations = list(relations)
    pages = {relation.oid: relation.pages for relation in relations}
    for relation in relations:
        function = best.get(_FUNCTION_OF.get(relation.method, ""))
        if function is None:
            continue
        if relation.method != "heap":
            read = relation.pages + pages.get(relation.table_oid, 0)
            yield from _index(relation, function, read, unique=unique)
            continue
        for first in range(0, max(relation.pages, 1), PIECE_PAGES):
            left = relation.pages - first
            yield Piece(relation, function, first // PIECE_PAGES, left <= PIECE_PAGES, min(left, PIECE_PAGES))


def _index(relation: Relation, function: Function, pages: int, *, unique: bool) -> Iterator[Piece]:
    unique = unique and relation.is_unique and function.checks_unique
    apart = unique and relation.pages >= _APART_PAGES
    yield Piece(relation, function, 0, True, pages, unique=unique and not apart)
    if apart:
        yield Piece(relation, function, 0, True, relation.pages, compare=False, unique=True)


def unreadable(relations: Iterable[Relation], functions: Sequence[Function]) -> dict[str, list[Relation]]:
    """Return the relations that none of `functions` reads, by what kind (`gist`) they are."""
    known = {function.name for function in functions if function.allowed}
    left: dict[str, list[Relation]] = {}
    for relation in relations:
        if _FUNCTION_OF.get(relation.method) not in known:
            left.setdefault(relation.method, []).append(relation)
    return left


def forbidden(functions: Iterable[Function]) -> list[Function]:
    """Return the functions that are there and that we may not call, the newest form of each."""
    named = {function.name: function for function in reversed(list(functions))}
    return [function for function in named.values() if not function.allowed]
