"""The platform's schema: one numbered SQL file per step, run by Alembic.

`migrate` brings a database to the newest step, `current` says which step it has, `head` which is newest.
Revision ids are zero-padded numbers, so that they sort as text.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

from courtkeeper.findings import ConfigurationError

VERSIONS = Path(__file__).parent / "versions"
GRANTS = Path(__file__).parent / "grants.sql"


def revisions() -> list[str]:
    """Return every revision that this library brings, oldest first, from the names of its files."""
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))


def head() -> str:
    """Return the newest revision that this library brings."""
    return revisions()[-1]


def current(dsn: str) -> str | None:
    """Return the revision of the database; None if it has no schema yet. Raises `psycopg.Error`."""
    with psycopg.connect(dsn) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    return str(row[0]) if row and row[0] is not None else None


def migrate(dsn: str) -> list[str]:
    """Bring the database to `head()` and set the grants of its roles; return the revisions applied.

    `dsn` must be that of the owner. All in one transaction: a step that fails leaves nothing behind.
    Raises ConfigurationError if the database is newer than this library, `psycopg.Error` as it comes.
    """
    before = current(dsn)
    if before is not None and before > head():
        raise ConfigurationError(
            f"The database has schema {before}, this version of courtkeeper knows up to {head()}: "
            "upgrade courtkeeper."
        )
    if before == head():
        return []
    # Alembic and SQLAlchemy take over a second to import, and most starts have nothing to migrate.
    from courtkeeper.platform.schema.alembic_run import upgrade

    upgrade(dsn)
    return [revision for revision in revisions() if before is None or revision > before]
