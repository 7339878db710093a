"""The statements of the upkeep, each in a file of its own that runs in psql as well."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from courtkeeper.postgres.query import with_parameters


@cache
def script(name: str) -> str:
    """Return a file as it is: statements without parameters."""
    return (files(__package__) / f"{name}.sql").read_text(encoding="utf-8")


@cache
def statement(name: str) -> str:
    """Return a statement as psycopg takes it with parameters: `:name` becomes one."""
    return with_parameters(script(name))
