"""The store as a whole."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from courtkeeper.store.connection import Database, locate
from courtkeeper.store.overview import Overview
from courtkeeper.store.owners import Owners
from courtkeeper.store.people import People
from courtkeeper.store.queries import Queries
from courtkeeper.store.recording import Recording
from courtkeeper.store.retention import Retention
from courtkeeper.store.schema import migrate
from courtkeeper.store.slots import Slots


class Store:
    """An open store; a context manager that closes it."""

    def __init__(self, database: Database) -> None:
        """Use a database that has the schema."""
        self.database = database
        self.recording = Recording(database)
        self.queries = Queries(database)
        self.overview = Overview(database)
        self.slots = Slots(database)
        self.owners = Owners(database)
        self.people = People(database)
        self.retention = Retention(database)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self.database.close()


def open_store(root: Path, where: str | None = None) -> Store:
    """Open the store of a checkout, made or brought up to date where it must be.

    `where` is a path or postgresql://…; else COURTKEEPER_STORE, else `var/store/courtkeeper.sqlite`.
    Raises ConfigurationError for a place that can be none and for a store of a newer version,
    CourtkeeperError where it cannot be reached or written.
    """
    database = Database(locate(root, where))
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return Store(database)
