"""Alembic without its ini file: the connection is handed over, so that no password is ever in a URL."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from courtkeeper.platform import schema


def configuration() -> Config:
    """Return Alembic's configuration, as its own commands want it."""
    config = Config()
    # Alembic interpolates `%`; a checkout's path may hold one.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def upgrade(dsn: str) -> None:
    """Apply every missing revision, then the grants, in one transaction."""
    config = configuration()
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.exec_driver_sql(schema.GRANTS.read_text(encoding="utf-8"))
    engine.dispose()
