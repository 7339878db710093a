"""The store's schema: one numbered file a step, run by Alembic.

Revision ids are zero-padded numbers, so that they sort as text.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text

from courtkeeper.findings import ConfigurationError
from courtkeeper.store.connection import Database

VERSIONS = Path(__file__).parent / "versions"


def revisions() -> list[str]:
    """Return every revision that this library brings, oldest first, from the names of its files."""
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))


def current(database: Database) -> str | None:
    """Return the revision of the store; None if it has no schema yet."""
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        row = connection.execute(text("SELECT max(version_num) FROM alembic_version")).scalar()
    return None if row is None else str(row)


def migrate(database: Database) -> None:
    """Bring the store to the newest revision; all in one transaction.

    Raises ConfigurationError for a store that a newer Courtkeeper has written.
    """
    before, head = current(database), revisions()[-1]
    if before is not None and before > head:
        raise ConfigurationError(
            f"The store {database.name} has schema {before}, this version of courtkeeper knows up to {head}: "
            "upgrade courtkeeper."
        )
    if before == head:
        return
    # Alembic takes a while to import, and most starts have nothing to migrate.
    from courtkeeper.store.schema.alembic_run import upgrade

    upgrade(database)
