"""Say as JSON what the platform of a test host says and holds: pages of the API, tables, roles, keys. With
`fill` a key is put into Redis first that is not the API's.

Runs there, with the library's Python; passwords come on standard input.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import httpx
import psycopg
import redis

DAYS = ("2026-02-11", "2026-02-12")
# The API's own counts go on with every question.
LIVELY = "api:cache:counters"
TABLES = """
SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables ORDER BY 1
"""
ROLES = """
SELECT r.rolname, r.rolsuper, r.rolcanlogin, a.rolpassword,
       (SELECT array_agg(m.roleid::regrole::text ORDER BY m.roleid::regrole::text)
          FROM pg_auth_members m WHERE m.member = r.oid)
  FROM pg_roles r JOIN pg_authid a USING (oid) WHERE r.rolname !~ '^pg_' ORDER BY 1
"""


def pages(api: httpx.Client) -> dict[str, Any]:
    """Return what the API answers, by path."""
    found = {}
    for day in DAYS:
        answer = api.get("/games", params={"date": day})
        answer.raise_for_status()
        found[day] = answer.json()
    games = [game["game_id"] for day in DAYS for game in found[day]["games"]]
    for path in [f"/games/{game}{what}" for game in games for what in ("", "/events", "/box")]:
        found[path] = digest(api.get(path).raise_for_status().json())
    return found


def tables(connection: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    """Return the number of rows and a digest of all of them, by table."""
    found = {}
    for (name,) in connection.execute(TABLES).fetchall():
        rows = connection.execute(f"SELECT t::text FROM ONLY {name} t ORDER BY 1".encode()).fetchall()  # noqa: S608
        found[name] = [len(rows), digest(rows)]
    return found


def keys(cache: redis.Redis) -> dict[str, str]:
    """Return a digest of the value of every key."""
    names = [key for key in cache.scan_iter() if key.decode() != LIVELY]
    return {name.decode(): digest(cache.dump(name).hex()) for name in names}


def digest(value: object) -> str:
    """Return a short digest of plain data."""
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode()).hexdigest()[:16]


def main() -> None:
    """Ask, and say what was answered."""
    passwords = json.load(sys.stdin)
    cache = redis.Redis(password=passwords["cache_password"])
    if "fill" in sys.argv:
        cache.set("kept:for ever", "not the API's")
    with httpx.Client(base_url="http://127.0.0.1:8000", timeout=30) as api:
        found: dict[str, Any] = {"pages": pages(api), "cache": keys(cache)}
        cache.unlink(*cache.scan_iter("api:game*"))
        found["fresh"] = pages(api)  # of the database, not of the cache
    if "fill" in sys.argv:
        found["cache"] = keys(cache)  # as a backup will find it
    with psycopg.connect(
        host="127.0.0.1",
        dbname="nba",
        user="courtkeeper_admin",
        password=passwords["database_admin_password"],
    ) as connection:
        found["tables"] = tables(connection)
        found["roles"] = digest(connection.execute(ROLES.encode()).fetchall())
        found["versions"] = [
            connection.info.parameter_status("server_version"),
            cache.info("server")["redis_version"],
        ]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
