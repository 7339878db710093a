"""The platform's first schema: the league's data and the application's own tables."""

from pathlib import Path
from typing import cast

import psycopg
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything that 0001_platform.sql names."""
    # Straight to psycopg: SQLAlchemy would read the text's `%` as placeholders.
    connection = cast(psycopg.Connection, op.get_bind().connection.dbapi_connection)
    connection.execute(Path(__file__).with_suffix(".sql").read_bytes())
