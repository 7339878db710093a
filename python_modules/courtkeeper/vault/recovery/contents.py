"""Whether the databases of a backup are on a server already, as an earlier try left them."""

from __future__ import annotations

from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.restore import database
from courtkeeper.vault.restore.server import Target
from courtkeeper.vault.settings import PostgresSource


def are_there(source: PostgresSource, backup: Backup) -> bool:
    """Tell whether all of them are there with the rows and checksums of the manifest.

    Some of them, or others, are no answer: then a restore refuses what is in use, and a person has to look.
    """
    target = Target.of(source)
    dumps = [part for part in backup.manifest.parts if part.kind == "pg_dump"]
    with target.connected() as connection:
        there = {str(name) for (name,) in connection.execute("SELECT datname FROM pg_database")}
    if not all(part.database in there for part in dumps):
        return False
    for part in dumps:
        with target.connected(part.database) as inside:
            if not part.tables or database.differences(inside, part):
                return False
    return True
