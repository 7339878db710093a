"""Empty stores to test on."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from support.postgres import Server

ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)]
_numbers = itertools.count()


@contextmanager
def store_url(request: pytest.FixtureRequest, engine: str, directory: Path) -> Iterator[str]:
    """Yield where an empty store is: a file in `directory`, or a database of its own on the shared server."""
    if engine == "sqlite":
        yield str(directory / "store.sqlite")
        return
    server: Server = request.getfixturevalue("postgres")
    name = f"store_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        given = psycopg.conninfo.conninfo_to_dict(server.admin_dsn)
        try:
            yield f"postgresql://{given['user']}:{server.admin_password}@{server.host}:{server.port}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
