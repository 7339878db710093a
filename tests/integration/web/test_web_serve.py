"""`courtkeeper serve` with its dashboard: beside the scheduler, alone, and where it must not start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))
from runner_checkout import build, command, until

NEVER = "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;BYHOUR=0;BYMINUTE=0"
LONG = 120.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkout = build(tmp_path_factory.mktemp("dashboard").resolve())
    jobs = [{"name": "good", "limit": "here", "schedule": NEVER}]
    path = checkout / "inventory/x/group_vars/all/calendar.yml"
    path.write_text(yaml.safe_dump({"courtkeeper_calendar": {"jobs": jobs}}))
    return checkout


@contextmanager
def serving(root: Path, *arguments: str) -> Iterator[str]:
    """Serve; yield the dashboard's address; at the end SIGTERM, and a good end."""
    argv, how = command(root, "serve", "-i", "x", "--every", "0.1", "--json", "--port", "0", *arguments)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how) as server:
        bound = threading.Timer(2 * LONG, server.kill)  # what is read below waits for it, however long
        bound.start()
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if address := re.search(r"http\S+/", line):
                    yield address[0]
                    break
            else:
                pytest.fail("it ended before it listened")
            os.kill(server.pid, signal.SIGTERM)
            rest = server.stdout.read()
            assert server.wait(LONG) == 0, rest
            assert "Traceback" not in rest
        finally:
            bound.cancel()
            server.kill()


@pytest.mark.slow
def test_what_a_page_asks_for_runs_and_is_shown(root: Path) -> None:
    with serving(root) as url, httpx.Client(base_url=url, timeout=60) as client:
        asked = client.post("/api/v1/run", json={"system": "x", "job": "good"})
        assert asked.json() == {"result": "asked"}

        def over() -> bool:
            rows = client.get("/api/v1/runs?job=good").json()["rows"]
            return bool(rows) and rows[0]["status"] == "ok"

        until(over, LONG)
        run_id = client.get("/api/v1/runs?job=good").json()["rows"][0]["run_id"]
        page = client.get(f"/runs/{run_id}").text
        assert "Why it ran</dt><dd>asked for" in page
        assert "PLAY" in client.get(f"/runs/{run_id}/output.txt").text
        with client.stream("GET", f"/runs/{run_id}/live") as stream:
            said = stream.read().decode()
        assert said.count("event: log") >= 1
        assert said.rstrip().splitlines()[-2] == "event: ended"
        assert "No scheduler is running" not in client.get("/").text


def test_alone_it_runs_nothing_and_says_so(root: Path) -> None:
    with serving(root, "--web-only") as url:
        assert "No scheduler is running" in httpx.get(url, timeout=60).text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--listen", "0.0.0.0"], "everybody could run jobs"),  # noqa: S104 - refused
        (["--web-only", "--no-web"], "nothing to serve"),
        (["--listen", "0.0.0.0", "--token-file", "missing"], "courtkeeper token"),  # noqa: S104
    ],
)
def test_it_refuses_before_it_touches_anything(root: Path, arguments: list[str], sentence: str) -> None:
    argv, how = command(root, "serve", "-i", "x", *arguments)
    done = subprocess.run(argv, capture_output=True, check=False, timeout=LONG, **how)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_token_is_said_once(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    argv, how = command(root, "token", "ann", "--role", "operator", "--token-file", str(file), "--json")
    done = subprocess.run(argv, capture_output=True, check=True, timeout=LONG, **how)
    token = json.loads(done.stdout)["token"]
    assert token not in done.stderr + file.read_text()
    with serving(root, "--web-only", "--token-file", str(file)) as url:
        assert httpx.get(f"{url}api/v1/jobs", timeout=60).status_code == 401
        headers = {"authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}api/v1/jobs", headers=headers, timeout=60).status_code == 200
