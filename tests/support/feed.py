"""A real feed server for tests.

    with feed_server(tmp_path, kind="simulated", seed=7, first_night="2026-02-01",
                     now="2026-02-12T17:00:00+00:00") as feed:
        client = ...base URL of both hosts: feed.url...
        feed.set_faults([{"kind": "rate_limit", "retry_after": 1, "times": 1}])
        feed.log()          # [{"time", "path", "query", "headers", "status", "fault"}, ...]

`port` and `host` are chosen here. `FEED_HEADERS` are headers that both hosts accept.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
FEED_HEADERS = {
    "Referer": "https://www.nba.com/",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
}
START_TIMEOUT_S = 120.0


def recorded_dir() -> Path | None:
    """Return the directory that holds `recorded/`, or None where there are no recordings.

    `COURTKEEPER_RECORDED` names it; otherwise it is `../shared/nba` beside the checkout.
    """
    named = os.environ.get("COURTKEEPER_RECORDED")
    directory = Path(named) if named else ROOT.parent / "shared" / "nba"
    return directory if (directory / "recorded").is_dir() else None


class Feed:
    """A running feed server."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        # One for all requests: to make a client takes longer than most answers.
        self._client = httpx.Client(base_url=url, headers={"Connection": "close"}, timeout=30.0)

    def set_faults(self, faults: list[dict[str, Any]]) -> None:
        """Replace the faults in force."""
        self._post("faults", faults)

    def correct(self, game_id: str = "") -> int:
        """Publish the waiting late corrections (of one game); return how many switched."""
        return int(self._post("correct", {"game_id": game_id})["corrected"])

    def set_now(self, now: str | None) -> None:
        """Freeze the feed's clock at an ISO time with an offset, or free it with None."""
        self._post("now", {"now": now})

    def log(self) -> list[dict[str, Any]]:
        """Return the last requests, oldest first."""
        requests: list[dict[str, Any]] = self._client.get("/__feed/log").json()["requests"]
        return requests

    def clear_log(self) -> None:
        """Forget the requests so far."""
        self._client.delete("/__feed/log").raise_for_status()

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET `path` with headers that both hosts accept."""
        options.setdefault("headers", FEED_HEADERS)
        return self._client.get(path, **options)

    def _post(self, name: str, body: Any) -> Any:
        response = self._client.post(f"/__feed/{name}", json=body)
        if response.is_error:
            raise ValueError(response.json()["error"])
        return response.json()


@contextmanager
def feed_server(tmp_dir: Path, **config: Any) -> Iterator[Feed]:
    """Run a feed server with `config` (see `courtkeeper.platform.feed.config`) until the block ends."""
    process, url = _start(tmp_dir, config)
    try:
        yield Feed(url, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=60)


def _start(tmp_dir: Path, config: dict[str, Any]) -> tuple[subprocess.Popen[bytes], str]:
    # Another process can take the free port before the server does: then try the next one.
    for _ in range(5):
        port = _free_port()
        settings = {"kind": "simulated", "seed": 1, "host": "127.0.0.1", "port": port, **config}
        path = tmp_dir / f"feed-{port}.json"
        path.write_text(json.dumps(settings))
        errors = tmp_dir / f"feed-{port}.err"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "courtkeeper.platform.feed", "--config", str(path)],
                env={**os.environ, "PYTHONPATH": str(ROOT / "python_modules")},
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        url = f"http://127.0.0.1:{port}"
        if _wait_healthy(process, url):
            return process, url
        message = errors.read_text()
        if process.returncode != 1:
            break
    raise RuntimeError(f"The feed server did not start: {message}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_healthy(process: subprocess.Popen[bytes], url: str) -> bool:
    """Poll until the server answers (True) or its process has ended (False)."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None:
        try:
            if httpx.get(f"{url}/__feed/health", timeout=2.0).json()["pid"] == process.pid:
                return True
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"The feed server at {url} did not answer within {START_TIMEOUT_S} s")
        time.sleep(0.05)
    return False


# A second, independent way from events to a box score, for tests to hold payloads against.

STATISTICS = (
    "PTS",
    "FGM",
    "FGA",
    "FG3M",
    "FG3A",
    "FTM",
    "FTA",
    "OREB",
    "DREB",
    "AST",
    "STL",
    "BLK",
    "TOV",
    "PF",
)
_BOX_NAMES = {
    "PTS": "points",
    "FGM": "fieldGoalsMade",
    "FGA": "fieldGoalsAttempted",
    "FG3M": "threePointersMade",
    "FG3A": "threePointersAttempted",
    "FTM": "freeThrowsMade",
    "FTA": "freeThrowsAttempted",
    "OREB": "reboundsOffensive",
    "DREB": "reboundsDefensive",
    "AST": "assists",
    "STL": "steals",
    "BLK": "blocks",
    "TOV": "turnovers",
    "PF": "foulsPersonal",
}
Box = dict[int, Counter[str]]


def box_from_payload(game: dict[str, Any]) -> tuple[Box, Box]:
    """Return (players, teams) by id from the body of a cdn or v3 box score; zeros are left out."""
    players: Box = {}
    teams: Box = {}
    for team in (game["homeTeam"], game["awayTeam"]):
        teams[team["teamId"]] = _cells(team["statistics"])
        for row in team["players"]:
            players[row["personId"]] = _cells(row["statistics"])
    return {key: line for key, line in players.items() if line}, teams


def _cells(statistics: dict[str, Any]) -> Counter[str]:
    return +Counter({name: int(statistics[key]) for name, key in _BOX_NAMES.items()})


def box_from_cdn(actions: list[dict[str, Any]]) -> tuple[Box, Box]:
    """Return (players, teams) by id from the actions of a cdn play-by-play."""
    players: Box = defaultdict(Counter)
    teams: Box = defaultdict(Counter)

    def credit(action: dict[str, Any], person: int, *names: str) -> None:
        for name in names:
            players[person][name] += 1
            teams[action["teamId"]][name] += 1

    for action in actions:
        kind, person, made = action["actionType"], action["personId"], action.get("shotResult") == "Made"
        if kind in {"2pt", "3pt"}:
            names = ["FGA", *["FGM"] * made, *["PTS"] * (int(kind[0]) * made)]
            credit(action, person, *names, *(["FG3A", *["FG3M"] * made] if kind == "3pt" else []))
            if "assistPersonId" in action:
                credit(action, action["assistPersonId"], "AST")
        elif kind == "freethrow":
            credit(action, person, "FTA", *["FTM", "PTS"] * made)
        elif kind == "foul" and action["subType"] in {"personal", "offensive"}:
            credit(action, person, "PF")
        elif person and kind in {"rebound", "steal", "block", "turnover"}:
            rebound = "OREB" if action["subType"] == "offensive" else "DREB"
            name = {"rebound": rebound, "steal": "STL", "block": "BLK", "turnover": "TOV"}[kind]
            credit(action, person, name)
    return dict(players), dict(teams)


def box_from_v3(actions: list[dict[str, Any]]) -> tuple[Box, Box]:
    """Return (players, teams) by id from the actions of a v3 play-by-play."""
    players: Box = defaultdict(Counter)
    teams: Box = defaultdict(Counter)
    surnames = {(row["teamId"], _ascii(row["playerName"])): row["personId"] for row in actions}
    offensive: Counter[int] = Counter()
    for row in actions:
        if not row["teamId"]:
            continue
        names = _v3_credits(row, offensive)
        assist = re.search(r"\(([^()]+) \d+ AST\)", row["description"])
        gained = [(row["personId"], name) for name in names]
        if assist:
            gained.append((surnames[row["teamId"], assist[1]], "AST"))
        for person, name in gained:
            players[person][name] += 1
            teams[row["teamId"]][name] += 1
    return dict(players), dict(teams)


def _v3_credits(row: dict[str, Any], offensive: Counter[int]) -> list[str]:
    """Return what a row adds to its player's line; `offensive` counts offensive rebounds so far."""
    kind, text = row["actionType"], row["description"]
    if kind in {"Made Shot", "Missed Shot"}:
        made, three = kind == "Made Shot", row["shotValue"] == 3
        points = ["FGM", *["FG3M"] * three, *["PTS"] * row["shotValue"]] if made else []
        return ["FGA", *["FG3A"] * three, *points]
    if kind == "Free Throw":
        return ["FTA"] if text.startswith("MISS") else ["FTA", "FTM", "PTS"]
    if kind == "Rebound":
        found = re.search(r"Off:(\d+)", text)
        before, offensive[row["personId"]] = offensive[row["personId"]], int(found[1]) if found else 0
        return ["OREB" if offensive[row["personId"]] > before else "DREB"]
    if kind == "Foul":
        return [] if row["subType"] in {"Technical", "Defense 3 Second"} else ["PF"]
    if kind == "":
        return ["STL" if "STEAL" in text else "BLK"]
    return ["TOV"] * (kind == "Turnover")


def _ascii(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
