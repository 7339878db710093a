"""`courtkeeper calendar`: what it shows, its exit codes, and what other engines are given."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from icalendar import Calendar

from courtkeeper.calendar.load import load
from courtkeeper.calendar.recurrence import instant_of, zone_of
from courtkeeper.cli import calendar_gate, main
from courtkeeper.store import open_store
from support import calendars, records

CALENDAR = """
courtkeeper_calendar:
  time_zone: America/New_York
  owner: platform
  jobs:
    - name: backup
      schedule: FREQ=DAILY;BYHOUR=3;BYMINUTE=30
      retries: {times: 2}
    - name: refresh
      schedule: FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=6
      window: 05:00-09:00
      blackouts: [christmas.ics]
      check: true
    - name: patching
      playbook: patch
      schedule: FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2;BYHOUR=4
      disruptive: true
      approval: true
      after: [{job: backup, within_hours: 26}]
    - name: night
      playbook: refresh
      schedule: FREQ=DAILY;BYHOUR=2;BYMINUTE=30
    - name: paused
      playbook: refresh
      schedule: FREQ=HOURLY
      enabled: false
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run `courtkeeper calendar …`, or another verb, on a checkout with the calendar above, or another."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, verb: str = "calendar", calendar: str = CALENDAR) -> Said:
        if not (tmp_path / "inventory").exists():
            calendars.checkout(tmp_path, calendar)
        with pytest.raises(SystemExit) as ended:
            main([verb, *words, "-i", "home", "--root", str(tmp_path)])
        out, err = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, out, err)

    return run


def test_jobs_are_listed(say: Any) -> None:
    said = say("list")
    assert said.code == 0
    rows = {line.split()[0]: line for line in said.out.splitlines() if line.strip()}
    assert "every day 03:30" in rows["backup"]
    assert "platform" in rows["backup"]
    assert "disruptive, needs approval, after backup" in rows["patching"]
    assert "disabled" in rows["paused"]
    assert "check mode, within 05:00-09:00" in rows["refresh"]
    listed = say("list", "--json").json
    assert [each["name"] for each in listed["jobs"]] == ["backup", "refresh", "patching", "night", "paused"]
    assert listed["jobs"][4]["next"] is None
    assert datetime.fromisoformat(listed["jobs"][0]["next"]) > datetime.now(UTC)


def test_what_comes_next_is_listed(say: Any) -> None:
    said = say("next", "-n", "3", "--job", "refresh", "--json").json
    times = [datetime.fromisoformat(each["scheduled_for"]) for each in said["slots"]]
    assert times == sorted(times)
    assert len(times) == 3
    shown = say("next", "-n", "3")
    assert shown.code == 0
    assert len(shown.out.splitlines()) == 5
    assert shown.out.endswith("\n\nTimes are America/New_York's.\n")
    assert re.match(r" *\w{3} \d\d \w{3} \d\d:\d\d +in (\d+ d )?\d+ (h|min)", shown.out)
    assert say("next", "--job", "refesh").code == 2


def test_what_comes_next_is_in_one_zone_wherever_it_is_asked(say: Any) -> None:
    job = "    - {name: utc, playbook: backup, schedule: FREQ=DAILY;BYHOUR=9, time_zone: UTC}\n"
    slots = say("next", "-n", "6", "--json", calendar=CALENDAR + job).json["slots"]
    begin = [datetime.fromisoformat(each["scheduled_for"]) for each in slots]
    local = [f"{each.astimezone(zone_of('America/New_York')):%d %H:%M}" for each in begin]
    assert "utc" in [each["job"] for each in slots]
    shown = say("next", "-n", "6").out
    assert [" ".join(each) for each in re.findall(r"(?m)^\w+ (\d\d) \w+ (\d\d:\d\d)", shown)] == local
    preview = say("--preview", "100", verb="serve")
    assert preview.code == 0
    assert re.findall(r"(?m)^\d+-\d+-(\d\d \d\d:\d\d)", preview.out)[:6] == local
    assert preview.out.endswith("\n\nTimes are America/New_York's.\n")
    assert say("--preview", "0", verb="serve").out == "Nothing is due within 0 h.\n"


def test_a_good_calendar_is_good_and_moved_times_are_said(say: Any) -> None:
    said = say("check")
    assert said.code == 0
    assert "calendar.yml is good: 5 jobs." in said.out
    assert re.search(r"night: 02:30 on \d\d March \d{4} does not exist, .* begins at 03:00", said.out)
    checked = say("check", "--json").json
    assert (checked["broken"], checked["problems"], len(checked["notes"])) == ([], [], 1)


def test_a_broken_one_is_said_with_the_line_and_the_rest_is_shown(say: Any) -> None:
    wrong = CALENDAR + "    - name: typo\n      shedule: FREQ=HOURLY\n"
    said = say("check", calendar=wrong)
    assert said.code == 2
    assert re.search(r"calendar.yml:\d+: job typo: shedule is not known; did you mean schedule\?", said.out)
    listed = say("list")
    assert listed.code == 2
    assert "every day 03:30" in listed.out
    assert "Not run until mended: typo." in listed.out
    assert say("list", "--json").json["problems"][0]["job"] == "typo"
    assert say("gate", "typo").code == 2
    preview = say("--preview", "48", verb="serve")
    assert preview.code == 2
    assert "did you mean schedule?" in preview.err
    assert say("--preview", "48", "--json", verb="serve").code == 2


def test_a_system_that_is_not_there_is_misuse(say: Any, capsys: pytest.CaptureFixture[str]) -> None:
    say("list")
    with pytest.raises(SystemExit) as ended:
        main(["calendar", "list", "-i", "hom"])
    assert ended.value.code == 2
    assert "There is no inventory 'hom'" in capsys.readouterr().err


def test_systemd_units_say_what_runs(say: Any, tmp_path: Path) -> None:
    out = tmp_path / "units"
    said = say("export", "--to", "systemd", "--out", str(out))
    assert said.code == 1, "some are refused"
    assert "refused: patching: it is disruptive, and systemd cannot keep approval" in said.err
    assert "refused: night: on 14 March 2027" in said.err or "clocks change" in said.err
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        f"courtkeeper-home-{job}.{kind}" for job in ("backup", "refresh") for kind in ("service", "timer")
    ]
    timer = (out / "courtkeeper-home-refresh.timer").read_text()
    assert "OnCalendar=Mon,Thu *-*-* 06:00:00 America/New_York\n" in timer
    assert "Persistent=true\n" in timer
    service = (out / "courtkeeper-home-refresh.service").read_text()
    assert f"ExecStart={tmp_path}/.venv/bin/courtkeeper run refresh -i inventory/home --quiet\n" in service
    # What systemd would make of ExecCondition, without it: $$ is $, %% is %, and quotes are a shell's.
    condition = re.search("ExecCondition=(.*)", service)[1].replace("$$", "$").replace("%%", "%")
    words = shlex.split(condition)
    assert words[-6:] == [
        f"{tmp_path}/.venv/bin/courtkeeper",
        "calendar",
        "gate",
        "refresh",
        "-i",
        "inventory/home",
    ]
    for gate, code in ((0, 0), (1, 1), (2, 255)):
        # systemd passes over a unit at 1 to 254 and calls it failed at 255: a broken calendar is a failure.
        done = subprocess.run([*words[:-6], "/bin/sh", "-c", f"exit {gate}"], check=False)
        assert done.returncode == code
    if shutil.which("systemd-analyze"):
        # The program has to be there for systemd to be content.
        program = tmp_path / ".venv/bin/courtkeeper"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        units = [str(path) for path in out.iterdir()]
        done = subprocess.run(
            ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
        )
        assert "courtkeeper-home" not in done.stderr, done.stderr


def test_a_crontab_runs_what_it_says(say: Any, tmp_path: Path) -> None:
    said = say("export", "--to", "cron")
    assert said.code == 1
    assert "machine whose own time zone is America/New_York" in said.out
    assert "days of the month or of the week, never both" in said.err
    lines = [line for line in said.out.splitlines() if line[:1] != "#"]
    assert [line.split(" cd ")[0] for line in lines] == ["30 3 * * *", "0 6 * * 1,4", "30 2 * * *"]
    assert "refresh" in lines[1]
    other = say("export", "--to", "cron", "--zone", "UTC")
    assert "this crontab is for machines in UTC" in other.err
    assert say("export", "--to", "cron", "--zone", "Mars").code == 2


def test_a_directory_with_odd_letters_is_quoted(say: Any) -> None:
    odd = "/srv/court keeper/100%"
    crontab = say("export", "--to", "cron", "--job", "backup", "--directory", odd).out.splitlines()[-1]
    # cron turns \\% into % and hands the rest to a shell.
    words = shlex.split(crontab.partition(" * * * ")[2].replace("\\%", "%"))
    program = f"{odd}/.venv/bin/courtkeeper"
    assert words[:4] == ["cd", odd, "&&", program]
    assert words[-7:] == ["&&", program, "run", "backup", "-i", "inventory/home", "--quiet"]
    units = say("export", "--to", "systemd", "--job", "backup", "--directory", odd, "--json").json["files"]
    service = units["courtkeeper-home-backup.service"]
    assert "WorkingDirectory=/srv/court keeper/100%%\n" in service
    assert 'ExecStart="/srv/court keeper/100%%/.venv/bin/courtkeeper" run backup' in service
    assert say("export", "--to", "systemd", "--directory", "here").code == 2


def test_cronjobs_are_kubernetes_own(say: Any) -> None:
    said = say(
        "export", "--to", "kubernetes", "--image", "registry.example/courtkeeper:1", "--directory", "/srv/ck"
    )
    assert said.code == 1
    backup, refresh = yaml.safe_load_all(said.out)
    assert backup["metadata"]["name"] == "home-backup"
    spec = refresh["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 6 * * 1,4", "America/New_York")
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 3600)
    container = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example/courtkeeper:1"
    script = container["command"][2]
    assert script.startswith(
        "/srv/ck/.venv/bin/courtkeeper calendar gate refresh -i inventory/home; case $? in"
    )
    # A gate that is closed is no failure, one that is broken is.
    for gate, code in ((0, 0), (1, 0), (2, 2)):
        shell = re.sub(r"^.*?; case", f"(exit {gate}); case", script).replace(
            "exec /srv/ck/.venv/bin/courtkeeper", "echo"
        )
        done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=False)
        assert (done.returncode, "run refresh" in done.stdout) == (code, gate == 0)


def test_a_calendar_program_reads_the_jobs(say: Any) -> None:
    said = say("export", "--to", "ics")
    assert said.code == 1
    events = Calendar.from_ical(said.out).walk("VEVENT")
    assert [str(each["summary"]) for each in events] == ["backup", "refresh", "patching"]
    patching = events[2]
    assert patching["dtstart"].dt.isoformat() == "2026-01-13T04:00:00-05:00"
    parts = set(patching["rrule"].to_ical().split(b";"))
    assert parts == {b"FREQ=MONTHLY", b"BYDAY=TU", b"BYHOUR=4", b"BYMINUTE=0", b"BYSETPOS=2"}
    assert "After backup has passed within 26 h." in patching["description"]


def test_strict_refuses_what_would_leave_something_out(say: Any) -> None:
    said = say("export", "--to", "systemd", "--strict", "--json")
    assert said.code == 1
    assert said.json["refused"]["backup"].startswith("systemd cannot keep 2 retries")
    assert list(said.json["compiled"]) == ["refresh"]
    loose = say("export", "--to", "systemd", "--job", "backup", "--json").json
    assert loose["left_out"] == {"backup": ["2 retries"]}
    assert loose["compiled"] == {"backup": ["*-*-* 03:30:00 America/New_York"]}


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("2026-12-21T06:00", ""),
        ("2026-12-21T06:59", ""),
        ("2026-12-21T07:01", "not due within the last 60 min"),
        ("2026-12-22T06:00", "not due"),
        ("2026-12-24T06:00", "blackout: Christmas, until 27 December 2026 05:00 UTC"),
    ],
)
def test_the_gate_knows_grace_and_blackouts(tmp_path: Path, moment: str, reason: str) -> None:
    loaded = load(*calendars.checkout(tmp_path, CALENDAR))
    now = instant_of(datetime.fromisoformat(moment), zone_of("America/New_York")).instant
    with open_store(tmp_path) as store:
        said = calendar_gate.closed(loaded, "refresh", "home", store, now)
        assert (reason in said) if reason else said == ""
        if moment.endswith("06:00") and not reason:
            early = calendar_gate.closed(loaded, "refresh", "home", store, now - timedelta(seconds=2))
            assert early == "", "a machine whose clock is a little ahead starts it all the same"
            store.people.hold("home", "", by="anna", reason="stock-taking", at=now, until=None)
            assert "anna holds it: stock-taking" in calendar_gate.closed(
                loaded, "refresh", "home", store, now
            )


def test_the_gate_waits_for_what_must_have_passed(say: Any, tmp_path: Path) -> None:
    loaded = load(*calendars.checkout(tmp_path, CALENDAR))
    now = loaded.schedules["patching"].after(datetime.now(UTC))
    assert now is not None
    with open_store(tmp_path) as store:
        assert "backup has not passed within 26 h" in calendar_gate.closed(
            loaded, "patching", "home", store, now
        )
        for number, hours, is_open in ((1, 30, False), (2, 3, True)):
            began = now - timedelta(hours=hours)
            times = {"started_at": began, "finished_at": began + timedelta(minutes=9)}
            store.recording.finish(records.record(number, job="backup", inventory="inventory/home", **times))
            assert (calendar_gate.closed(loaded, "patching", "home", store, now) == "") is is_open
    closed = say("gate", "paused")
    assert closed.code == 1
    assert "paused does not begin: it is disabled" in closed.err
    assert say("gate", "paused", "--json").json["open"] is False
    assert say("gate", "nothing").code == 2


def test_a_gate_that_cannot_ask_the_store_is_broken_and_not_closed(
    say: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say("list")
    store = tmp_path / "var/store/courtkeeper.sqlite"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"no database at all" * 300)
    said = say("gate", "backup")
    assert said.code == 2
    assert "is damaged" in said.err
    monkeypatch.setenv("COURTKEEPER_STORE", "postgresql://me@127.0.0.1:1/x")
    lost = say("gate", "backup", "--json")
    assert lost.code == 2
    assert "failed: connection" in lost.json["error"]
