"""What the API asks Postgres. Every answer is one statement, so it is of one moment."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection, rows
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from courtkeeper.platform.api.config import Database as Settings

# What says that the database, not the question, is at fault: answered with 503.
UNAVAILABLE = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)


def _statement(name: str) -> bytes:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_bytes()


_GAMES = _statement("games")
_OF_GAME = {name: _statement(name) for name in ("game", "events", "box")}
_FRESHNESS = _statement("freshness")


class Freshness(NamedTuple):
    """When data last came in, how many issues are open, and how the newest refresh that has ended did."""

    last_refresh: datetime | None
    newest_final_game: date | None
    open_warn: int
    open_crit: int
    newest_run: str | None


class Database:
    """A pool of connections that outlives a restart of the server. Methods raise `UNAVAILABLE`."""

    def __init__(self, settings: Settings) -> None:
        self.pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            kwargs={
                "host": settings.host,
                "port": settings.port,
                "dbname": settings.database,
                "user": settings.user,
                "password": settings.password,
                "autocommit": True,
                "connect_timeout": 2,
                "sslmode": "disable",
                "gssencmode": "disable",
                "application_name": "courtkeeper-api",
                "options": "-c statement_timeout=5s",
            },
            min_size=1,
            max_size=8,
            timeout=2.0,  # a request waits no longer for a connection
            # Give up early and try anew with the next request: the default backs off for minutes,
            # and the server may be back long before.
            reconnect_timeout=2.0,
            check=AsyncConnectionPool.check_connection,
            open=False,
            name="api",
        )

    async def open(self) -> None:
        """Start the pool without waiting for the server: it may come later."""
        await self.pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close(timeout=2.0)

    async def games(self, day: date) -> bytes:
        """Return the games of a day as JSON."""
        body = await self._body(_GAMES, {"date": day})
        return body or b""

    async def of_game(self, what: str, game_id: str) -> bytes | None:
        """Return `game`, `events` or `box` of a game as JSON; None if the game is unknown."""
        return await self._body(_OF_GAME[what], {"game_id": game_id})

    async def freshness(self) -> Freshness:
        """Return how fresh the data are."""
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=rows.args_row(Freshness))
            row = await (await cursor.execute(_FRESHNESS)).fetchone()
        assert row is not None  # noqa: S101 - a SELECT of scalars has one row
        return row

    async def ping(self) -> None:
        """Ask the least that proves that it answers."""
        async with self.pool.connection() as connection:
            await connection.execute("SELECT 1")

    async def _body(self, statement: bytes, arguments: dict[str, Any]) -> bytes | None:
        async with self.pool.connection() as connection:
            row = await (await connection.execute(statement, arguments)).fetchone()
        return row[0].encode() if row else None
