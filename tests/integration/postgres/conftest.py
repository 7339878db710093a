"""A server whose database is broken on purpose, and a way to ask it one check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Finding
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.integrity import integrity
from support.clusters import Cluster, cluster
from support.postgres import Server
from support.upkeep import Upkeep

Ask = Callable[..., list[Finding]]


@pytest.fixture
def admin(postgres: Server, database_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The owner's connection to a fresh database, each statement a transaction of its own."""
    with psycopg.connect(postgres.admin_dsn_for(database_dsn), autocommit=True) as connection:
        yield connection


@pytest.fixture
def ask(postgres: Server, database_dsn: str) -> Ask:
    """Ask one check of that database, as its owner: `ask("indexes.invalid", warn=5)`."""
    settings = DatabaseSettings.from_dsn(postgres.admin_dsn_for(database_dsn))

    def asked(name: str, **limits: float) -> list[Finding]:
        thresholds: Mapping[str, Mapping[str, float]] = {name: limits} if limits else {}
        return integrity(settings, choose(names=[name], thresholds=thresholds)).findings

    return asked


@pytest.fixture
def upkeep(postgres: Server, database_dsn: str) -> Upkeep:
    """The upkeep of that database, as its owner."""
    return Upkeep(postgres.admin_dsn_for(database_dsn))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A bare cluster of a module's own about which no check has anything to say."""
    directory: Path = tmp_path_factory.mktemp("sound")
    with cluster(directory) as server:
        yield server
