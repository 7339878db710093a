"""From a `.sql` file to rows: psql's variables as parameters, rows as structs, names as SQL writes them."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
import psycopg

from courtkeeper.database import Connection

Struct = TypeVar("Struct", bound=msgspec.Struct)


def with_parameters(text: str) -> str:
    """Return a statement for psql as psycopg takes it: its variables (`:warn`, and `:'expected'` for text)
    are parameters.
    """
    return re.sub(r"(?<![:\w]):('?)([a-z_]+)\b\1", r"%(\2)s", text.replace("%", "%%"))


def structs(cursor: psycopg.Cursor[Any], kind: type[Struct]) -> list[Struct]:
    """Return the rows of a statement as structs with the columns' names as fields."""
    names = [column.name for column in cursor.description or ()]
    return [msgspec.convert(dict(zip(names, row, strict=True)), kind, strict=False) for row in cursor]


def quoted(connection: Connection, *names: str) -> str:
    """Return a name as the server writes it, quoted only where it has to be: `public.games`, `"user"`."""
    row = connection.execute(
        "SELECT string_agg(format('%%I', n), '.' ORDER BY place)"
        " FROM unnest(%s::text[]) WITH ORDINALITY u(n, place)",
        [list(names)],
    ).fetchone()
    return str(row[0]) if row else ""
