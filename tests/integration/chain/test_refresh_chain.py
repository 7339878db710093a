"""From the command line through ansible-runner, playbook, role and module into the database and back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from courtkeeper import platform
from support import nba
from support.checkout import Checkout, checkout, environment

pytestmark = [pytest.mark.recorded, pytest.mark.slow]
DATE = ("--date", "2026-02-11")


@pytest.fixture(scope="module")
def here(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    root = tmp_path_factory.mktemp("check out")  # with a space in its path
    with checkout(root, feed_kind="recorded", recorded_dir=recorded) as made:
        yield made


@pytest.fixture(scope="module")
def first_run(here: Checkout) -> tuple[int, dict, str]:
    return here.refresh(*DATE)


def test_the_recorded_night(here, first_run):
    code, record, _ = first_run
    assert code == 3  # it ran, and one game is missing
    assert record["status"] == "ok"
    assert record["changed"]
    critical = {
        h["finding"]["id"]: h["finding"] for h in record["findings"] if h["finding"]["status"] == "crit"
    }
    assert critical["nba.game.missing"]["subject"] == "0022500777"
    stored = nba.rows(
        here.dsn(),
        "SELECT game_id, away_score, home_score,"
        " (SELECT count(*) FROM play_events e WHERE e.game_id = games.game_id) FROM games ORDER BY 1",
    )
    assert stored[:2] == [("0022500775", 107, 110, 603), ("0022500776", 113, 138, 573)]
    assert nba.rows(here.dsn(), "SELECT game_id FROM verify_data_integrity()") == [("0022500777",)]


def test_record_and_report_are_left(here, first_run):
    _, record, _ = first_run
    run_dir = here.root / "var" / "runs" / record["run_id"]
    assert (run_dir / "run.json").is_file()
    report = (run_dir / "report.html").read_text()
    assert "0022500777" in report
    assert "107" in report


def test_the_second_run_changes_nothing_and_says_so(here, first_run):
    before = nba.snapshot(here.dsn())
    code, record, _ = here.refresh(*DATE)
    assert code == 3  # the missing game is still missing
    assert not record["changed"]
    assert record["actions"] == []
    assert nba.snapshot(here.dsn()) == before


def test_check_mode_plans_and_changes_nothing(here, first_run):
    nba_before = nba.snapshot(here.dsn())
    with nba.admin(here.dsn()) as connection:
        connection.execute("DELETE FROM play_events WHERE game_id = '0022500775' AND event_id < 100")
    damaged = nba.snapshot(here.dsn())
    code, record, _ = here.refresh(*DATE, "--check")
    assert code == 3
    assert record["check"]
    (action,) = record["actions"]
    assert "0022500775" in action
    assert "would be corrected" in action
    assert nba.snapshot(here.dsn()) == damaged
    _, repaired, _ = here.refresh(*DATE)
    assert repaired["actions"] == [action.replace("would be ", "")]
    after = nba.snapshot(here.dsn())
    assert after["play_events"] == nba_before["play_events"]


def test_no_secret_is_left_anywhere(here, first_run):
    secrets = [v for v in vars_of(platform.read_secrets(here.root)) if len(v) > 8]
    assert len(secrets) >= 4
    for path in (here.root / "var").rglob("*"):
        if not path.is_file() or path.name in ("secrets.json", "api.json", "valkey.conf"):
            continue
        if "postgres" in path.parts:
            continue
        content = path.read_bytes()
        assert not [path for s in secrets if s.encode() in content], f"a secret stands in {path}"


def vars_of(secrets: object) -> list[str]:
    return [str(getattr(secrets, name)) for name in type(secrets).__struct_fields__]


def test_plain_ansible_playbook_does_the_same(here, first_run):
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", "inventory/embedded", "playbooks/nba_refresh.yml", "-e", "nba_refresh_date=2026-02-11"),
        ],
        cwd=here.root,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout


def test_the_api_serves_what_was_stored_and_forgets_what_was_corrected(here, first_run):
    base = platform.read_state(here.root).api.url
    events = httpx.get(f"{base}/games/0022500776/events", timeout=10).json()
    assert len(events["events"]) == 573
    with nba.admin(here.dsn()) as connection:
        connection.execute(
            "UPDATE play_events SET description = 'edited' WHERE game_id = '0022500776' AND period = 1"
        )
    _, record, _ = here.refresh(*DATE)
    assert record["metrics"]["cache_invalidations"] == 1
    again = httpx.get(f"{base}/games/0022500776/events", timeout=10).json()
    assert "edited" not in str(again)
    assert len(again["events"]) == 573
