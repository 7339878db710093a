"""`verify_data_integrity()` reads no more of a game than it needs."""

from pathlib import Path
from typing import cast

import psycopg
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the function by that of 0002_verify_in_bounded_reads.sql."""
    # Straight to psycopg: SQLAlchemy would read the text's `%` as placeholders.
    connection = cast(psycopg.Connection, op.get_bind().connection.dbapi_connection)
    connection.execute(Path(__file__).with_suffix(".sql").read_bytes())
