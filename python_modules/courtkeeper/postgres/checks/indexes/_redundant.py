"""What duplicate and overlapping indexes share: one index goes because another does its work."""

from __future__ import annotations

import re

import msgspec


class RedundantIndex(msgspec.Struct, frozen=True):
    """`index_name` on `table_name` can go, because `kept_name` answers all that it does.

    `definition` is what pg_get_indexdef says, `bytes` its size with all partitions.
    """

    index_name: str
    kept_name: str
    table_name: str
    is_partitioned: bool
    bytes: int
    definition: str


def drop(name: str, *, is_partitioned: bool = False) -> str:
    """Return the statement that drops an index; a partitioned one cannot be dropped concurrently."""
    return f"DROP INDEX {'' if is_partitioned else 'CONCURRENTLY '}{name};"


def create(definition: str, *, is_partitioned: bool = False) -> str:
    """Return the statement that builds an index again from the server's own definition of it."""
    if is_partitioned:  # the server says ON ONLY, which would leave the partitions out
        return re.sub(r" ON ONLY ", " ON ", definition, count=1) + ";"
    return re.sub(r"^CREATE( UNIQUE)? INDEX ", r"CREATE\1 INDEX CONCURRENTLY ", definition) + ";"
