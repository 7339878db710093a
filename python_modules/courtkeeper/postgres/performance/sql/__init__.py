"""The statements of the performance duty, each in a file of its own that runs in psql as well."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import msgspec

from courtkeeper.database import Connection

Kind = TypeVar("Kind", bound=msgspec.Struct)


@cache
def statement(name: str) -> str:
    """Return a file as psycopg takes it with parameters: psql's `:name` becomes one."""
    text = (files(__package__) / f"{name}.sql").read_text(encoding="utf-8").replace("%", "%%")
    return re.sub(r"(?<![:\w]):([a-z_]+)\b", r"%(\1)s", text)


def rows(
    connection: Connection, name: str, kind: type[Kind], parameters: Mapping[str, Any] | None = None
) -> list[Kind]:
    """Return the rows of a file's statement as structs, asked in a transaction of its own."""
    with connection.transaction():
        cursor = connection.execute(statement(name).encode(), parameters or {})
        names = [column.name for column in cursor.description or ()]
        return [msgspec.convert(dict(zip(names, row, strict=True)), kind, strict=False) for row in cursor]
