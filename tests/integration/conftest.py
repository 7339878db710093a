"""Real servers that the integration tests share, one set for each test process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.feed import recorded_dir
from support.postgres import Server, drop_database, fresh_database, postgres_server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Postgres with the platform's schema."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database_dsn(postgres: Server) -> Iterator[str]:
    """An empty database with the platform's schema, for one test."""
    dsn = fresh_database(postgres)
    yield dsn
    drop_database(postgres, dsn)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The directory that holds the recorded responses."""
    directory = recorded_dir()
    if directory is None:
        pytest.skip("no recorded responses: set COURTKEEPER_RECORDED to the directory that holds recorded/")
    return directory


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter that runs the tests, for processes of their own."""
    return sys.executable
