"""Records as runs leave them, for the tests and for whoever works on the page's looks.

`PYTHONPATH=python_modules:tests python -m unit.report.samples DIR` renders every one into DIR.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from courtkeeper.findings import Finding, Status
from courtkeeper.report import render
from courtkeeper.runner.record import HostFinding, RunRecord, RunStatus, TaskRecord

START = datetime(2026, 2, 12, 11, 0, 4, tzinfo=UTC)
HOSTILE = (
    "</title></style></script><script>alert(1)</script><img src=x onerror=alert(1)>"
    "\"' onload='alert(1)' &amp; {{ 7*7 }} {% raw %} \x00\x1b[31mred\x1b[0m \u202egnp.exe \ud800"
)
TEAMS = "ATL BKN BOS CHA CHI CLE DAL DEN DET GSW HOU IND LAC LAL MEM MIA MIL MIN NOP NYK OKC ORL".split()  # noqa: SIM905
TEAMS += ["PHI", "PHX", "POR", "SAC", "SAS", "TOR", "UTA", "WAS"]


def flow(seed: int, away: int, home: int, minutes: int = 48) -> list[list[float]]:
    """Return a lead that wanders to the final score, as a game's does, at 80 points."""
    rng = random.Random(seed)
    lead, points = 0.0, [[0, 0]]
    final = home - away
    for step in range(1, 79):
        share = step / 79
        lead += rng.choice((-3, -2, -2, 0, 0, 2, 2, 3)) + (final * share - lead) * 0.03
        points.append([round(minutes * 60 * share), round(lead)])
    return [*points, [minutes * 60, final]]


def game(
    index: int, away: str, home: str, score: tuple[int, int], outcome: str = "loaded", **changes: Any
) -> dict[str, Any]:
    """Return one entry of `details.games`, good unless `changes` say otherwise."""
    events = 400 + (index * 37) % 220
    minutes = changes.pop("minutes", 48)
    rows = events + 40 if outcome == "loaded" else 0
    return {
        "game_id": f"00225{index:05d}",
        "game_date": "2026-02-11",
        "away": away,
        "home": home,
        "away_score": score[0],
        "home_score": score[1],
        "outcome": outcome,
        "events": events,
        "players": 20 + index % 9,
        "completeness": 1.0,
        "box_accuracy": 1.0,
        "player_consistency": 1.0,
        "metadata": 1.0,
        "inserted": rows,
        "updated": 0,
        "deleted": 0,
        "reason": "",
        "flow": flow(index, *score, minutes),
    } | changes


def missing(index: int, away: str, home: str, score: tuple[int, int]) -> dict[str, Any]:
    """Return a Final game of which the source has no play-by-play."""
    unknown = dict.fromkeys(("completeness", "box_accuracy", "player_consistency", "metadata"))
    empty = {"events": 0, "players": 0, "inserted": 0, "flow": []}
    reason = "The game is Final, but the source answers 404 for its play-by-play."
    return game(index, away, home, score, "missing", **unknown, **empty, reason=reason)


def unverified(index: int, away: str, home: str, score: tuple[int, int]) -> dict[str, Any]:
    """Return a game that is stored, of which the feed could not be asked this time."""
    reason = "It was stored before; the feed answers 503, so it could not be compared now."
    return missing(index, away, home, score) | {"outcome": "unverified", "reason": reason}


def tasks(main_s: float, *, failed: str = "", changed: bool = True) -> list[TaskRecord]:
    """Return the tasks of the role, the library's call being the long one."""
    made = [
        TaskRecord(
            name="Check the arguments of the role",
            host="platform",
            status="ok",
            duration_s=0.11,
            role="nba_refresh",
        ),
        TaskRecord(
            name="Check that the schema is current",
            host="platform",
            status="ok",
            duration_s=0.52,
            role="nba_refresh",
        ),
        TaskRecord(
            name="Refresh the games",
            host="platform",
            status="failed" if failed else "changed" if changed else "ok",
            duration_s=main_s,
            role="nba_refresh",
            action="courtkeeper.ops.nba_refresh",
            message=failed,
        ),
    ]
    if not failed:
        made.append(
            TaskRecord(
                name="Verify what is in the database",
                host="platform",
                status="ok",
                duration_s=0.74,
                role="nba_refresh",
            )
        )
    return made


def _night(games: list[dict[str, Any]], source: str, **changes: Any) -> dict[str, Any]:
    return {
        "source": source,
        "simulated": source == "simulated",
        "date_from": "2026-02-04",
        "date_to": "2026-02-11",
        "steps": [
            {"name": "discover games", "duration_s": 1.21},
            {"name": "fetch", "duration_s": 9.84},
            {"name": "parse", "duration_s": 0.42},
            {"name": "quality gate", "duration_s": 0.18},
            {"name": "load", "duration_s": 1.37},
            {"name": "invalidate cache", "duration_s": 0.06},
        ],
        "games": games,
    } | changes


def _record(**changes: Any) -> RunRecord:
    given = {
        "run_id": "20260212T110004Z-nba_refresh-1a2b",
        "job": "nba_refresh",
        "inventory": "inventory/embedded",
        "check": False,
        "started_at": START,
        "finished_at": START + timedelta(seconds=17.3),
        "status": RunStatus.OK,
    } | changes
    return RunRecord(**given)


def _found(**values: Any) -> HostFinding:
    return HostFinding(host=values.pop("host", "platform"), finding=Finding(**values))


def _quality_ok(entry: dict[str, Any]) -> HostFinding:
    return _found(
        id="nba.game.quality",
        subject=f"{entry['away']} @ {entry['home']} ({entry['game_id']})",
        status=Status.OK,
        summary="All four measures of quality hold their thresholds",
        observed=1.0,
        threshold=0.99,
        unit="ratio",
    )


def recorded_night() -> RunRecord:
    """The night of 2026-02-11: two games loaded, one Final without a payload."""
    games = [
        game(775, "ATL", "CHA", (107, 110), events=603, players=36, inserted=641),
        game(776, "MEM", "DEN", (113, 138), events=573, players=35, inserted=610),
        missing(777, "NYK", "PHI", (138, 89)),
    ]
    findings = [
        *map(_quality_ok, games[:2]),
        _found(
            id="nba.game.missing",
            subject="NYK @ PHI (0022500777)",
            status=Status.CRIT,
            summary="The game is Final, but the source has no play-by-play for it",
            observed=0,
            threshold=50,
            unit="events",
            fix="Run the refresh again once the source publishes it; the look-back asks again for seven days",
        ),
        _found(
            id="nba.integrity.verify",
            subject="database nba",
            status=Status.OK,
            summary="verify_data_integrity() returns nothing for the loaded games",
            observed=0,
            threshold=0,
            unit="issues",
        ),
    ]
    return _record(
        findings=findings,
        details=_night(games, "recorded"),
        changed=True,
        tasks=tasks(13.6),
        host_stats={"platform": {"ok": 4, "changed": 1, "failures": 0, "unreachable": 0, "skipped": 0}},
        actions=[
            "Loaded ATL @ CHA (0022500775): 641 rows inserted",
            "Loaded MEM @ DEN (0022500776): 610 rows inserted",
            "Invalidated 7 keys of the cache",
        ],
        metrics={"rows_inserted": 1251, "fetch_duration_s": 9.84, "payload_bytes": 1_482_113, "requests": 9},
        diffs=[
            {
                "before_header": "games of 2026-02-11",
                "after_header": "games of 2026-02-11",
                "before": "0022500775 absent\n0022500776 absent\n0022500777 absent\n",
                "after": "0022500775 ATL 107 CHA 110\n0022500776 MEM 113 DEN 138\n0022500777 absent\n",
            }
        ],
    )


def simulated_night() -> RunRecord:
    """Eleven simulated games, all good, one with two overtimes."""
    rng = random.Random(11)
    games = []
    for index in range(11):
        away = rng.randint(92, 131)
        home = away + rng.choice((-23, -14, -9, -6, -3, 2, 4, 8, 11, 17, 31))
        changes = {"minutes": 58} if index == 4 else {}
        games.append(game(900 + index, TEAMS[2 * index], TEAMS[2 * index + 1], (away, home), **changes))
    findings = [_quality_ok(g) for g in games]
    return _record(
        findings=findings,
        details=_night(games, "simulated"),
        changed=True,
        tasks=tasks(13.6),
        host_stats={"platform": {"ok": 4, "changed": 1, "failures": 0, "unreachable": 0, "skipped": 0}},
        actions=[
            f"Loaded {g['away']} @ {g['home']} ({g['game_id']}): {g['inserted']} rows inserted" for g in games
        ],
        metrics={"rows_inserted": sum(g["inserted"] for g in games), "requests": 34},
    )


def mixed_night() -> RunRecord:
    """Fifteen games with every outcome there is: quarantined, corrected, unknown, missing."""
    games = [game(500 + i, TEAMS[2 * i], TEAMS[2 * i + 1], (101 + i, 98 + 2 * i)) for i in range(11)]
    games.append(
        game(
            391,
            "DET",
            "CHI",
            (147, 144),
            "quarantined",
            completeness=0.8333,
            box_accuracy=0.9091,
            minutes=68,
            events=707,
            inserted=0,
            reason="Completeness 83.3 % is below 95 %: DET free throws 28 in the events, 27 in the box score",
        )
    )
    games.append(
        game(
            443,
            "PHX",
            "SAC",
            (104, 118),
            "quarantined",
            box_accuracy=0.9091,
            reason="Box accuracy 90.9 % is below 99 %: steals 10/9 in the events, 11/10 in the box score",
        )
    )
    games.append(game(512, "WAS", "UTA", (99, 120), player_consistency=None))
    games.append(
        game(
            498,
            "SAS",
            "TOR",
            (111, 109),
            "corrected",
            game_date="2026-02-09",
            updated=3,
            deleted=1,
            reason="The league moved one rebound from SAS 9 to SAS 12",
        )
    )
    games.append(missing(515, "POR", "ORL", (90, 97)))
    findings = [_quality_ok(g) for g in games[:11]]
    findings += [
        _found(
            id="nba.game.quarantined",
            subject="DET @ CHI (0022500391)",
            status=Status.CRIT,
            summary="The game fell short of the quality gate and was not loaded",
            observed=0.8333,
            threshold=0.95,
            unit="ratio",
            fix="Wait for the league's correction, or load it by hand after reading the reason",
            applied="Kept the payload in quarantine; what was in the database stays",
            undo="courtkeeper quarantine release 0022500391",
        ),
        _found(
            id="nba.game.unknown",
            subject="WAS @ UTA (0022500512)",
            status=Status.UNKNOWN,
            summary="The source has no player box score, so the players' numbers could not be judged",
            threshold=0.98,
            unit="ratio",
        ),
        _found(
            id="nba.feed.retries",
            subject="stats.nba.com",
            status=Status.WARN,
            summary="The feed had to be asked again unusually often",
            observed=14,
            threshold=5,
            unit="retries",
            fix="Lower the rate of requests in nba_refresh_requests_per_second",
        ),
        _found(
            id="nba.cache.invalidate",
            subject="cache",
            status=Status.SKIPPED,
            summary="The cache was not looked at because none is configured",
        ),
    ]
    return _record(
        findings=findings,
        details=_night(games, "live"),
        changed=True,
        tasks=tasks(41.2),
        finished_at=START + timedelta(seconds=46),
    )


def second_run() -> RunRecord:
    """A look-back of 88 games in which nothing had changed."""
    games = []
    for index in range(88):
        night = date(2026, 2, 4) + timedelta(days=index // 11)
        away, home = TEAMS[index % 30], TEAMS[(index * 7 + 3) % 30]
        games.append(
            game(
                400 + index,
                away,
                home,
                (100 + index % 20, 95 + index % 31),
                "unchanged",
                game_date=night.isoformat(),
            )
        )
    return _record(
        findings=[_quality_ok(g) for g in games],
        details=_night(games, "simulated"),
        tasks=tasks(11.0, changed=False),
        host_stats={"platform": {"ok": 4, "changed": 0, "failures": 0, "unreachable": 0, "skipped": 0}},
    )


def first_lookback() -> RunRecord:
    """A first run: 88 games loaded at once, one of an earlier night missing."""
    record = second_run()
    for entry in record.details["games"]:
        entry["outcome"] = "loaded"
        entry["inserted"] = entry["events"]
    record.details["games"][3] |= missing(403, "CHA", "OKC", (101, 99)) | {"game_date": "2026-02-04"}
    record.changed = True
    return record


def unverified_night() -> RunRecord:
    """Eleven games stored before, two of which the feed would not show again."""
    games = [
        game(900 + i, TEAMS[2 * i], TEAMS[2 * i + 1], (101 + i, 98 + 2 * i), "unchanged") for i in range(9)
    ]
    games += [
        unverified(909 + i, TEAMS[2 * i + 18], TEAMS[2 * i + 19], (99 + i, 104 - 3 * i)) for i in range(2)
    ]
    findings = [_quality_ok(g) for g in games[:9]]
    findings += [
        _found(
            id="nba.game.unverified",
            subject=f"{g['away']} @ {g['home']} ({g['game_id']})",
            status=Status.UNKNOWN,
            summary="The game is stored, but could not be compared with the feed",
            fix="Run the refresh again when the feed answers",
        )
        for g in games[9:]
    ]
    return _record(findings=findings, details=_night(games, "live"), tasks=tasks(31.0, changed=False))


def archive() -> RunRecord:
    """An import of a season archive: another job, the same part of its own."""
    record = simulated_night()
    record.job = "nba_import"
    record.details |= {"source": "archive", "simulated": False}
    return record


def failed() -> RunRecord:
    """A run that failed in the middle: the database went away."""
    message = (
        "The database at 127.0.0.1:5439 went away while DEN @ MEM was being loaded. "
        "Games loaded before it are complete; this one was rolled back. Start the database and run again."
    )
    return _record(
        status=RunStatus.FAILED,
        message=message,
        tasks=tasks(6.3, failed="connection to server at 127.0.0.1, port 5439 failed: Connection refused"),
        finished_at=START + timedelta(seconds=8.4),
        host_stats={"platform": {"ok": 2, "changed": 0, "failures": 1, "unreachable": 0}},
    )


def refused() -> RunRecord:
    """A run that never started: its date lies in the future."""
    return _record(
        status=RunStatus.REFUSED,
        message="The date 2027-02-11 lies in the future. Give one that has been played: --date 2026-02-11.",
        finished_at=START,
    )


def timed_out() -> RunRecord:
    """A run that ran out of its time."""
    return _record(
        status=RunStatus.TIMEOUT,
        message="The job was stopped after 1,800 s; every process it had started is gone.",
        finished_at=START + timedelta(minutes=30, seconds=4),
        tasks=tasks(1799.0, failed="stopped"),
    )


def cancelled() -> RunRecord:
    """A run that somebody stopped."""
    return _record(
        status=RunStatus.CANCELLED, message="Cancelled by SIGINT.", tasks=tasks(3.0, failed="stopped")
    )


def running() -> RunRecord:
    """A run that has not ended."""
    return _record(status=RunStatus.RUNNING, finished_at=None, tasks=tasks(1.0)[:2])


def check_mode() -> RunRecord:
    """The recorded night as a plan."""
    record = recorded_night()
    record.check = True
    record.actions = ["Load ATL @ CHA (0022500775): 641 rows", "Load MEM @ DEN (0022500776): 610 rows"]
    return record


def performance() -> RunRecord:
    """Costly statements: one with a trend and a plan, one that has none."""
    record = generic()
    record.job = "database_performance"
    record.details = {
        "performance": {
            "statements": [
                {
                    "queryid": "7310958267520387251",
                    "role": "platform_api",
                    "text": "SELECT * FROM play_events WHERE game_id = $1 AND player_id = $2",
                    "calls": 48210,
                    "total_ms": 5_231_000.5,
                    "mean_ms": 108.5,
                    "share": 0.617,
                    "read_bytes": 91_000_000_000,
                    "temp_bytes": 0,
                    "trend": [
                        ["2026-02-10T06:00:00+00:00", 40.1],
                        ["2026-02-11T06:00:00+00:00", None],
                        ["2026-02-12T06:00:00+00:00", 108.5],
                    ],
                    "plan": [
                        "Gather (cost 91,000, 12 rows)",
                        "  Parallel Seq Scan on public.play_events (cost 90,000)",
                    ],
                },
                {
                    "queryid": "-22",
                    "role": "courtkeeper",
                    "text": "VACUUM games",
                    "calls": 3,
                    "total_ms": 3.0,
                    "mean_ms": 1.0,
                    "share": 0.0,
                    "temp_bytes": 4096,
                    "plan": "it is a utility statement",
                },
            ]
        }
    }
    return record


def generic() -> RunRecord:
    """A job without a part of its own, on three hosts."""
    hosts = ("db1.example.org", "db2.example.org", "web1.example.org")
    findings = [
        _found(
            host=host,
            id="postgres.sequence.exhaustion",
            subject=f"public.{table}_id_seq",
            status=status,
            summary="The sequence has used much of its range"
            if status is not Status.OK
            else "The sequence has room",
            observed=used,
            threshold=0.75,
            unit="ratio",
            fix="Change the column to bigint: roles/postgres_upkeep says how"
            if status is not Status.OK
            else "",
        )
        for host, table, used, status in (
            (hosts[0], "play_events", 0.93, Status.CRIT),
            (hosts[1], "api_requests", 0.78, Status.WARN),
            (hosts[0], "users", 0.01, Status.OK),
            (hosts[2], "audit_log", 0.02, Status.OK),
        )
    ]
    findings.append(
        _found(
            host=hosts[1],
            id="postgres.table.bloat",
            subject="public.api_requests",
            status=Status.OK,
            summary="The table was rebuilt and is small again",
            observed=734_003_200,
            threshold=1_073_741_824,
            unit="bytes",
            applied="Reindexed public.api_requests",
            undo="Nothing to undo: the gate held",
        )
    )
    made = [
        TaskRecord(
            name=name,
            host=host,
            status=status,
            duration_s=seconds + hosts.index(host) * 0.2,
            role="postgres_upkeep",
        )
        for host in hosts
        for name, status, seconds in (
            ("Gather the facts that the role needs", "ok", 1.2),
            ("Check sequences, tables and indexes", "ok", 3.9),
            ("Rebuild what is bloated", "changed" if host == hosts[1] else "skipped", 22.4),
        )
    ]
    return _record(
        run_id="20260212T110004Z-postgres_upkeep-9f00",
        job="postgres_upkeep",
        inventory="inventory/example",
        findings=findings,
        tasks=made,
        changed=True,
        actions=["Reindexed public.api_requests on db2.example.org"],
        metrics={"bytes_freed_bytes": 1_287_651_328, "indexes_rebuilt": 1, "lock_wait_s": 0.04},
        host_stats={
            h: {"ok": 3, "changed": int(h == hosts[1]), "failures": 0, "dark": 0, "skipped": 2} for h in hosts
        },
        finished_at=START + timedelta(seconds=84),
    )


def empty() -> RunRecord:
    """A run that found nothing, did nothing and says nothing."""
    return _record()


def hostile(job: str = "nba_refresh") -> RunRecord:
    """Every text of a record is out to break the page."""
    bad = game(
        1,
        "A</svg><script>alert(2)</script>",
        HOSTILE,
        (1, 2),
        reason=HOSTILE,
        game_id=HOSTILE,
        box_accuracy=0.5,
    )
    finding = Finding(
        id=HOSTILE,
        subject=HOSTILE,
        status=Status.CRIT,
        summary=HOSTILE,
        observed=HOSTILE,
        threshold=HOSTILE,
        unit=HOSTILE,
        fix=HOSTILE,
        applied=HOSTILE,
        undo=HOSTILE,
    )
    return _record(
        run_id=HOSTILE,
        job=job,
        inventory=HOSTILE,
        status=RunStatus.FAILED,
        message=HOSTILE,
        findings=[HostFinding(host=HOSTILE, finding=finding), HostFinding(host="other", finding=finding)],
        tasks=[
            TaskRecord(
                name=HOSTILE, host=HOSTILE, status=s, duration_s=1.0, role=HOSTILE, message=HOSTILE + s
            )
            for s in ("failed", HOSTILE)
        ],
        host_stats={HOSTILE: {"ok": 1, HOSTILE: 2}},
        actions=[HOSTILE],
        metrics={HOSTILE: 1.0, HOSTILE + "_s": float("nan")},
        diffs=[{"before_header": HOSTILE, "before": HOSTILE, "after": "x"}, {"prepared": HOSTILE}],
        details=_night([bad], HOSTILE, date_to=HOSTILE, steps=[{"name": HOSTILE, "duration_s": 2}]),
    )


def ten_thousand() -> RunRecord:
    """More findings than anybody reads."""
    wanted = [Status.CRIT] * 20 + [Status.WARN] * 4_000 + [Status.OK] * 5_980
    findings = [
        _found(
            id=f"postgres.index.unused.{i}",
            subject=f"public.index_{i}",
            status=status,
            summary="Nobody used it " + "for long " * 60,
        )
        for i, status in enumerate(wanted)
    ]
    return _record(
        job="postgres_upkeep", findings=findings, actions=[f"Looked at index {i}" for i in range(5_000)]
    )


ALL = {
    f.__name__: f
    for f in (
        recorded_night,
        simulated_night,
        mixed_night,
        second_run,
        first_lookback,
        unverified_night,
        archive,
        failed,
        refused,
        timed_out,
        cancelled,
        running,
        check_mode,
        generic,
        performance,
        empty,
        hostile,
        ten_thousand,
    )
}


def main(out_dir: Path) -> list[Path]:
    """Render every sample into `out_dir` and return the pages."""
    out_dir.mkdir(parents=True, exist_ok=True)
    pages = []
    for name, build in ALL.items():
        page = out_dir / f"{name}.html"
        page.write_text(render(build()), encoding="utf-8")
        pages.append(page)
    return pages


if __name__ == "__main__":
    main(Path(sys.argv[1]))
