"""Running the refresh against real servers, and looking at what it left in the database."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Result, Status
from courtkeeper.nba.client import FeedSettings
from courtkeeper.nba.refresh import refresh
from courtkeeper.nba.settings import RefreshSettings

NIGHT = date(2026, 2, 11)
# The day after, at noon in New York.
NOW = datetime(2026, 2, 12, 17, 0, tzinfo=UTC)
SIMULATED = {
    "kind": "simulated",
    "seed": 7,
    "first_night": NIGHT.isoformat(),
    "now": NOW.isoformat(),
    "games_per_night": 3,
}

SIMULATED_GAMES = ("0022501996", "0022501997", "0022501998")

# Everything that a refresh writes, but for its own log of runs. Times are the injected clock's.
LEAGUE_TABLES = {
    "teams": "team_id",
    "players": "player_id",
    "games": "game_id",
    "play_events": "season, game_id, event_id",
    "player_game_stats": "game_id, player_id",
    "team_game_stats": "game_id, team_id",
    "data_quality_issues": "game_id, issue_type",
    "cache_outbox": "game_id, game_date",
}
# Numbers that a rolled back transaction uses up.
_WITHOUT = {"cache_outbox": "- 'outbox_id'"}


def database_settings(dsn: str) -> DatabaseSettings:
    """The refresh's settings for the database that `dsn` names."""
    d = conninfo_to_dict(dsn)
    return DatabaseSettings(
        host=str(d["host"]),
        port=int(str(d["port"])),
        name=str(d["dbname"]),
        user=str(d["user"]),
        password=str(d["password"]),
    )


def settings(dsn: str, feed_url: str, directory: Path, **more: Any) -> RefreshSettings:
    """Settings of a refresh that asks the feed as fast as it can and retries at once."""
    feed = {"requests_per_second": 500, "backoff_s": 0.01, "timeout_s": 5, **more.pop("feed", {})}
    return RefreshSettings(
        database=database_settings(dsn),
        cache=more.pop("cache", None),
        payload_directory=directory / "payloads",
        feed=FeedSettings(cdn_url=feed_url, stats_url=feed_url, **feed),
        **more,
    )


def run(
    refresh_settings: RefreshSettings,
    *,
    first: date | None = NIGHT,
    last: date | None = NIGHT,
    now: datetime = NOW,
    **more: Any,
) -> Result:
    """Refresh one night (by default) at a fixed time."""
    return refresh(refresh_settings, first=first, last=last, now=now, **more)


def rows(dsn: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a query answers."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode(), parameters or None).fetchall()


def snapshot(dsn: str) -> dict[str, list[Any]]:
    """Every row of every table that a refresh writes, comparable with another database's."""
    with psycopg.connect(dsn) as connection:
        return {
            table: [
                row[0]
                for row in connection.execute(
                    f"SELECT to_jsonb(t) {_WITHOUT.get(table, '')} FROM {table} t ORDER BY {order}".encode()
                )
            ]
            for table, order in LEAGUE_TABLES.items()
        }


def admin(dsn: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection for breaking things by hand; what it did is committed at the end of the block."""
    return psycopg.connect(dsn)


def by_id(result: Result, finding_id: str) -> list[Any]:
    """The result's findings with this id."""
    return [f for f in result.findings if f.id == finding_id]


def bad(result: Result) -> list[str]:
    """`id subject` of the findings that are warnings or worse."""
    return [f"{f.id} {f.subject}" for f in result.findings if f.status in (Status.WARN, Status.CRIT)]
