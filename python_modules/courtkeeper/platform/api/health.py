"""How the platform is, as the API sees it: cheap for a probe, detailed for a person."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from courtkeeper.findings import Status
from courtkeeper.platform.api import cache, database

# How a refresh ends that brought no fresh data (docs/nba.md).
_NOT_FINISHED = {
    "failed": "The newest refresh failed",
    "incomplete": "The newest refresh was incomplete",
    "interrupted": "The newest refresh was interrupted",
}

Check = dict[str, Any]


async def brief(data: database.Database) -> tuple[int, dict[str, Any]]:
    """Return 200 if the database answers, else 503, with a body that says so."""
    try:
        await data.ping()
    except (*database.UNAVAILABLE, psycopg.Error):
        return 503, {"status": Status.CRIT, "error": "The database does not answer.", "pid": os.getpid()}
    return 200, {"status": Status.OK, "pid": os.getpid()}


async def detailed(
    data: database.Database, store: cache.Cache, *, stale_after_h: float, now: datetime | None = None
) -> tuple[int, dict[str, Any]]:
    """Return every check with its status and latency; 503 if the database does not answer."""
    moment = now or datetime.now(UTC)
    checks = {
        "database": await _timed(lambda: _database(data)),
        "cache": await _timed(lambda: _cache(store)),
        "freshness": await _timed(lambda: _freshness(data, moment, timedelta(hours=stale_after_h))),
    }
    worst = max((Status(check["status"]) for check in checks.values()), key=lambda status: status.severity)
    code = 503 if checks["database"]["status"] is Status.CRIT else 200
    return code, {"status": worst, "checked_at": moment, "pid": os.getpid(), "checks": checks}


async def _timed(check: Callable[[], Awaitable[Check]]) -> Check:
    start = time.perf_counter()
    result = await check()
    return {**result, "latency_ms": round((time.perf_counter() - start) * 1000, 2)}


async def _database(data: database.Database) -> Check:
    try:
        await data.ping()
    except (*database.UNAVAILABLE, psycopg.Error):
        return {"status": Status.CRIT, "summary": "The database does not answer: nothing can be served anew."}
    return {"status": Status.OK, "summary": "The database answers."}


async def _cache(store: cache.Cache) -> Check:
    try:
        await store.ping()
    except cache.UNAVAILABLE:
        return {
            "status": Status.WARN,
            "summary": "The cache does not answer: every request asks the database.",
        }
    return {"status": Status.OK, "summary": "The cache answers."}


async def _freshness(data: database.Database, now: datetime, stale_after: timedelta) -> Check:
    try:
        found = await data.freshness()
    except (*database.UNAVAILABLE, psycopg.Error):
        return {"status": Status.UNKNOWN, "summary": "Nobody knows: the database was not able to say."}
    status, summary = _judge(found, now, stale_after)
    return {
        "status": status,
        "summary": summary,
        "last_refresh": found.last_refresh,
        "newest_refresh": found.newest_run,
        "newest_final_game": found.newest_final_game,
        "open_issues": {"warn": found.open_warn, "crit": found.open_crit},
    }


def _judge(found: database.Freshness, now: datetime, stale_after: timedelta) -> tuple[Status, str]:
    if found.open_crit:
        return Status.CRIT, f"{found.open_crit} critical data quality issues are open."
    problem = _NOT_FINISHED.get(found.newest_run or "")
    if found.last_refresh is None:
        return (
            (Status.WARN, f"{problem}, and none has finished yet.")
            if problem
            else (Status.UNKNOWN, "No refresh has finished yet.")
        )
    age = now - found.last_refresh
    if problem:
        return Status.WARN, f"{problem}: the last that finished did {age.total_seconds() / 3600:.0f} h ago."
    if age > stale_after:
        return Status.WARN, f"The last refresh finished {age.total_seconds() / 3600:.0f} h ago."
    if found.open_warn:
        return Status.WARN, f"{found.open_warn} data quality issues are open."
    return Status.OK, "The last refresh is recent and no data quality issue is open."
