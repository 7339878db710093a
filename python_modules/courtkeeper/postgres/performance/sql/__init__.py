"""The statements of the performance duty, each in a file of its own that runs in psql as well."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from courtkeeper.database import Connection
from courtkeeper.postgres.query import Struct, structs, with_parameters


@cache
def statement(name: str) -> str:
    """Return a file as psycopg takes it with parameters: psql's `:name` becomes one."""
    return with_parameters((files(__package__) / f"{name}.sql").read_text(encoding="utf-8"))


def rows(
    connection: Connection, name: str, kind: type[Struct], parameters: Mapping[str, Any] | None = None
) -> list[Struct]:
    """Return the rows of a file's statement as structs, asked in a transaction of its own."""
    with connection.transaction():
        return structs(connection.execute(statement(name).encode(), parameters or {}), kind)
