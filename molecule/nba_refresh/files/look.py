"""Say as JSON what the feed, Postgres, Redis and the journal of a test host hold; with `fill`, fill the cache
with pages of the feed's games first. Runs there, with the agent's Python; passwords come on standard input.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import httpx
import psycopg
import redis

NIGHTS = ("2026-02-11", "2026-02-12")
# What the refresh never touches: a game and a day that the feed's two nights do not have.
OTHERS = ("api:game:0022500001:game", "api:games:2025-10-21")
# One row a game: what the feed says of it too.
STORED = """
SELECT game_id, game_date::text, home_score, away_score,
       (SELECT count(*) FROM play_events e WHERE e.game_id = g.game_id),
       (SELECT count(*) FROM player_game_stats s WHERE s.game_id = g.game_id),
       (SELECT sum(assists) FROM player_game_stats s WHERE s.game_id = g.game_id)
  FROM games g WHERE loaded_at IS NOT NULL ORDER BY game_id
"""
BY_GAME = ("games", "play_events", "player_game_stats", "team_game_stats", "data_quality_issues")
WHOLE = ("teams", "players", "cache_outbox")


def feed_says(url: str) -> dict[str, list[Any]]:
    """Return of each game: day, scores, events, players, assists."""
    with httpx.Client(base_url=url, headers={"Referer": "https://www.nba.com/"}, timeout=30) as feed:
        schedule = feed.get("/static/json/staticData/scheduleLeagueV2.json").json()
        listed = [game for day in schedule["leagueSchedule"]["gameDates"] for game in day["games"]]
        days = {game["gameId"]: game["gameDateEst"][:10] for game in listed}
        return {game_id: [day, *_payloads(feed, game_id)] for game_id, day in days.items() if day in NIGHTS}


def _payloads(feed: httpx.Client, game_id: str) -> list[int]:
    live = "/static/json/liveData"
    plays = feed.get(f"{live}/playbyplay/playbyplay_{game_id}.json").json()["game"]["actions"]
    box = feed.get(f"{live}/boxscore/boxscore_{game_id}.json").json()["game"]
    teams = (box["homeTeam"], box["awayTeam"])
    lines = [player["statistics"] for team in teams for player in team["players"]]
    return [*(team["score"] for team in teams), len(plays), len(lines), sum(x["assists"] for x in lines)]


def database_says(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Return the stored games as the feed says them, and digests of all rows: by game, and of the rest."""
    digests: dict[str, str] = {}
    for table in BY_GAME:
        for game_id, rows in connection.execute(
            f"SELECT game_id, array_agg(t::text ORDER BY t::text) FROM {table} t GROUP BY 1".encode()  # noqa: S608
        ):
            digests[game_id] = _digest([digests.get(game_id, ""), table, rows])
    for table in WHOLE:
        digests[table] = _digest(connection.execute(f"TABLE {table} ORDER BY 1".encode()).fetchall())
    stored = {row[0]: list(row[1:]) for row in connection.execute(STORED.encode())}
    waiting = connection.execute("SELECT count(*) FROM cache_outbox").fetchone()
    return {"stored": stored, "digests": digests, "waiting": waiting[0] if waiting else None}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:12]


def pages(games: dict[str, list[Any]]) -> list[str]:
    """Return the cache keys of the reference API for `games`."""
    of_games = [f"api:game:{game_id}:{page}" for game_id in games for page in ("game", "events", "box")]
    return [*of_games, *(f"api:games:{day}" for day in NIGHTS)]


def cache_says(cache: redis.Redis) -> dict[str, Any]:
    """Return which pages the cache holds, and the generation counters."""
    every = sorted(cache.scan_iter("api:*"))
    return {
        "pages": [key for key in every if not key.startswith("api:generation:")],
        "generations": {key: int(cache.get(key)) for key in every if key.startswith("api:generation:")},
    }


def journal_says(passwords: list[str]) -> dict[str, Any]:
    """Return whether the host's journal names our module, and whether it holds a password."""
    text = subprocess.run(
        ["journalctl", "--no-pager"], check=True, capture_output=True, text=True, errors="replace"
    ).stdout
    return {"names_module": "nba_refresh" in text, "holds_secret": any(word in text for word in passwords)}


def main() -> None:
    """Do what the argument says."""
    given = json.load(sys.stdin)
    passwords = given["passwords"]
    cache = redis.Redis(password=passwords["cache_password"], decode_responses=True)
    games = feed_says(given["feed"])
    if sys.argv[1] == "fill":
        cache.mset(dict.fromkeys([*pages(games), *OTHERS], "a page"))
    with psycopg.connect(
        host="127.0.0.1",
        dbname="nba",
        user="courtkeeper_admin",
        password=passwords["database_admin_password"],
    ) as connection:
        seen = database_says(connection)
    found = {"feed": games, **seen, **cache_says(cache), "journal": journal_says(list(passwords.values()))}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
