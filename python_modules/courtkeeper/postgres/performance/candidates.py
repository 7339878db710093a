"""Which indexes are worth a try, by what plans read whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from courtkeeper.postgres.performance.plan import Scan

_WIDEST = 3


class Table(msgspec.Struct, frozen=True):
    """A table: `columns` maps names to names quoted for SQL, `distinctness` to values per row (0..1).

    `leaf_name` is the partition that was read, `name` the partitioned table (or the table itself). `indexes`
    holds the columns of each btree index that covers all rows (None in the place of an expression).
    """

    name: str
    leaf_name: str
    schema: str
    table: str
    is_partitioned: bool
    columns: dict[str, str]
    distinctness: dict[str, float]
    indexes: tuple[tuple[str | None, ...], ...]
    writes: int


class Candidate(msgspec.Struct, frozen=True):
    """An index that may help: on `name`, by `columns`."""

    table: Table
    columns: tuple[str, ...]

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """Return what makes it the same index as another candidate."""
        return self.table.name, self.columns

    @property
    def listed(self) -> str:
        """Return its columns as SQL lists them."""
        return ", ".join(self.table.columns[column] for column in self.columns)

    @property
    def shown(self) -> str:
        """Return it as a person reads it: `public.games (season, home_team_id)`."""
        return f"{self.table.name} ({self.listed})"


def candidates(scan: Scan, table: Table) -> list[Candidate]:
    """Return the indexes that may spare a scan: the compared columns, those with the most values first.

    One that an index of the table begins with is left out: the planner had it and did not take it.
    """

    def many_values(column: str) -> float:
        return -table.distinctness.get(column, 0.0)

    equal = sorted((column for column in scan.equal if column in table.columns), key=many_values)
    rest = [column for column in (*scan.ordered, *scan.ranged) if column in table.columns]
    rest = [column for column in dict.fromkeys(rest) if column not in equal]
    wide = (*equal[:_WIDEST], *rest[:1])
    tries: list[tuple[str, ...]] = [wide, tuple(equal[:_WIDEST]), tuple(equal[:1]), tuple(rest[:1])]
    return [
        Candidate(table, columns)
        for columns in dict.fromkeys(columns for columns in tries if columns)
        if not covered(columns, table.indexes)
    ]


def covered(columns: Sequence[str], indexes: Sequence[Sequence[str | None]]) -> bool:
    """Whether an index begins with the same columns."""
    return any(tuple(index[: len(columns)]) == tuple(columns) for index in indexes)
