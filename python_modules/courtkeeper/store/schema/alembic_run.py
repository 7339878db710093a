"""Alembic without its ini file: the connection is handed over, so that no password is ever in a URL."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from courtkeeper.store.connection import Database


def configuration() -> Config:
    """Return Alembic's configuration, as its own commands want it."""
    config = Config()
    # Alembic interpolates `%`; a checkout's path may hold one.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def upgrade(database: Database) -> None:
    """Apply every missing revision in one transaction; a second process waits and finds it done."""
    config = configuration()
    with database.alone() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
