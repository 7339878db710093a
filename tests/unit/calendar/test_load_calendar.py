"""Reading a calendar: all problems at once with line and mend, and the good jobs go on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from courtkeeper.calendar.load import load
from courtkeeper.calendar.model import Misfire, Retries
from courtkeeper.calendar.schema import schema
from courtkeeper.findings import ConfigurationError
from support import calendars
from support.calendars import BACKUP, read
from support.examples import examples

ROOT = Path(__file__).resolve().parents[3]
# Never run by themselves: a person says what is to be restored, imported, installed.
BY_HAND = {"agent", "disaster_recovery", "nba_import", "restore"}


def test_the_embedded_calendar_is_good_and_has_every_job() -> None:
    loaded = load(ROOT / "inventory/embedded", ROOT)
    assert loaded.problems == ()
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert {job.playbook for job in loaded.jobs} == playbooks - BY_HAND
    assert all(job.owner and job.description for job in loaded.jobs)
    assert all(job.blackouts == [] for job in loaded.jobs if job.name.startswith("backup"))
    start = datetime(2026, 11, 22, tzinfo=UTC)
    for job in loaded.jobs:
        assert not list(loaded.schedules[job.name].irregular(start, start + timedelta(days=3660))), job.name
        # A run may end within its window, if it begins in time and takes as long as it may.
        if window := loaded.windows[job.name]:
            due = loaded.schedules[job.name].after(start)
            assert due is not None
            assert due + job.timeout <= window.next_close(due), job.name


def test_the_schema_takes_the_embedded_calendar_and_refuses_what_we_refuse() -> None:
    given_file = (ROOT / "inventory/embedded/group_vars/all/calendar.yml").read_text()
    first, found = given_file.splitlines()[0], yaml.safe_load(given_file)
    where = first.removeprefix("# yaml-language-server: $schema=")
    path = ROOT / "inventory/embedded/group_vars/all" / where
    checker = jsonschema.Draft202012Validator(json.loads(path.read_text()))
    assert json.loads(path.read_text()) == schema()
    checker.check_schema(schema())
    for name, kind in schema()["$defs"].items():  # what an editor shows beside a word that it completes
        assert all(each.get("description") for each in kind.get("properties", {}).values()), name
    checker.validate(found)
    for wrong in (
        {"names": 1},
        {"window": "3-5"},
        {"misfire": "never"},
        {"retries": {"times": 99}},
        {"name": "A b"},
    ):
        job = {**found["courtkeeper_calendar"]["jobs"][0], **wrong}
        assert not checker.is_valid({"courtkeeper_calendar": {"jobs": [job]}}), wrong


def test_what_a_job_does_not_say_the_calendar_says(tmp_path: Path) -> None:
    text = """
        courtkeeper_calendar:
          time_zone: Europe/London
          owner: platform
          notify: [mail]
          blackouts: [christmas.ics]
          jobs:
            - {name: backup, schedule: FREQ=DAILY;BYHOUR=3, blackouts: [], notify: []}
            - {name: patching, playbook: patch, schedule: FREQ=DAILY;BYHOUR=4, disruptive: true,
               time_zone: UTC, retries: {times: 3, backoff_minutes: 10, factor: 3}}
    """
    loaded = load(*calendars.checkout(tmp_path, text))
    backup, patching = loaded.jobs
    assert (backup.playbook, backup.time_zone, backup.owner) == ("backup", "Europe/London", "platform")
    assert (backup.notify, backup.blackouts, backup.misfire) == ([], [], Misfire.LATEST)
    assert (patching.playbook, patching.time_zone, patching.misfire) == ("patch", "UTC", Misfire.SKIP)
    assert (patching.notify, patching.blackouts) == (["mail"], ["christmas.ics"])
    assert patching.locks == ("playbook:patch",)
    assert [patching.retries.delay(number) for number in (1, 2, 3)] == [
        timedelta(minutes=minutes) for minutes in (10, 30, 60)
    ]
    assert Retries().times == 0
    assert loaded.job("backup") is backup
    with pytest.raises(ConfigurationError, match="has no job 'backups': did you mean backup"):
        loaded.job("backups")


def test_jobs_may_share_values_and_replace_them(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        """
    - &usual {name: backup, schedule: FREQ=DAILY;BYHOUR=3, timeout_minutes: 5, retries: {times: 1}}
    - {<<: *usual, name: refresh, timeout_minutes: 9}
    """,
    )
    assert loaded.problems == ()
    assert [(job.name, job.timeout_minutes, job.retries.times) for job in loaded.jobs] == [
        ("backup", 5, 1),
        ("refresh", 9, 1),
    ]


@pytest.mark.parametrize(
    ("job", "line", "said"),
    [
        ("- name: refresh", 7, "schedule is missing"),
        ("- name: refresh\n  schedule: every day", 8, "is no part of a rule"),
        ("- name: refresh\n  schedule: FREQ=DAILY;INTERVAL=2;BYHOUR=3", 8, "needs an anchor"),
        (
            "- name: refresh\n  schedule: FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=MO;BYSETPOS=2;BYHOUR=3",
            8,
            "never comes",
        ),
        ("- name: refresh\n  schedule: '{{ nightly }}'", 8, "schedule holds a template"),
        ("- name: refresh\n  shedule: FREQ=DAILY;BYHOUR=3", 8, "did you mean schedule?"),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  time_zone: Mars/Olympus",
            9,
            "is not a time zone",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  window: 05:00-06:00",
            8,
            "03:00 is outside the window",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  window: '3-5'",
            9,
            "write it in quotes, as 01:00-05:00",
        ),
        ("- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  window: 03:00-03:00", 9, "never open"),
        (
            "- name: refesh\n  schedule: FREQ=DAILY;BYHOUR=3",
            7,
            "there is no playbook 'refesh': did you mean refresh?",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  after: [{job: bakup, within_hours: 2}]",
            9,
            "did you mean backup",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  after: [{job: refresh, within_hours: 2}]",
            9,
            "waits for itself",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  retries:\n    times: many",
            10,
            "expected int, got str",
        ),
        ("- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  retries: {time: 3}", 9, "retries cannot be"),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  concurrency: [group:dbs]",
            9,
            "no group in the inventory 'dbs'",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  concurrency: [vault]",
            9,
            "group:NAME, host:NAME or resource",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  extra_vars: {db_password: x}",
            9,
            "looks like a secret",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  extra_vars: {a-b: x}",
            9,
            "not a variable's name",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  blackouts: [easter.ics]",
            9,
            "easter.ics is not there",
        ),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  blackouts: [../../hosts.yml]",
            9,
            "is not an iCalendar file",
        ),
        ("- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  misfire: never", 9, "say skip, latest or all"),
        (
            "- name: refresh\n  schedule: FREQ=DAILY;BYHOUR=3\n  schedule: FREQ=HOURLY",
            9,
            "schedule is said twice",
        ),
        ("- name: backup\n  playbook: refresh\n  schedule: FREQ=HOURLY", 7, "its name is taken"),
        ("- name: Refresh!\n  schedule: FREQ=HOURLY", 7, "small letters, digits and underscores"),
        ("- refresh", 7, "begin it with `- name:`"),
        ("- {name: refresh, schedule: !!python/object:os.system x}", 7, "could not determine a constructor"),
    ],
)
def test_one_sentence_with_the_line_and_the_other_jobs_go_on(
    tmp_path: Path, job: str, line: int, said: str
) -> None:
    text = "# a comment, so that lines are counted\n\ncourtkeeper_calendar:\n  jobs:\n    - name: backup\n"
    text += "      schedule: FREQ=DAILY;BYHOUR=3\n" + "".join(f"    {each}\n" for each in job.splitlines())
    loaded = load(*calendars.checkout(tmp_path, text))
    assert [each.name for each in loaded.jobs] == ["backup"]
    (problem,) = [each for each in loaded.problems if said in each.sentence]
    assert str(problem).startswith(f"inventory/home/group_vars/all/calendar.yml:{line}: ")
    assert all("\n" not in str(each) for each in loaded.problems)


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        BACKUP
        + """
    - name: a
      playbook: refresh
      schedule: FREQ=DAILY;BYHOUR=3
      after: [{job: b, within_hours: 2}]
    - name: b
      playbook: refresh
      schedule: FREQ=DAILY;BYHOUR=25
      time_zone: Mars
      playbok: x
      after: [{job: a, within_hours: 2}]
    - name: c
      playbook: nothing
      schedule: FREQ=DAILY
      after: [{job: d, within_hours: 2}]
    - name: d
      playbook: refresh
      schedule: FREQ=DAILY;BYHOUR=3
      after: [{job: c, within_hours: 2}]
    """,
        top="bogus: 1",
    )
    said = [(each.job, each.sentence.split(";")[0][:30]) for each in loaded.problems]
    assert [job for job, _ in said] == ["", "b", "c", "c", "c", "d"]
    assert [each.name for each in loaded.jobs] == ["backup", "a"]
    assert sorted(loaded.broken) == ["b", "c", "d"]
    assert "c → d → c" in str(loaded.problems)
    with pytest.raises(ConfigurationError, match="playbok"):
        loaded.job("b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "1: is not there"),
        ("", "1: courtkeeper_calendar has no jobs"),
        ("courtkeeper_calendar:\n", "1: courtkeeper_calendar has no jobs"),
        ("other: 1\n", "1: courtkeeper_calendar has no jobs"),
        ("a: [\n", "2: it is not YAML here"),
        ("courtkeeper_calendar:\n  jobs: 5\n", "2: jobs is no list"),
        ("courtkeeper_calendar:\n  owner: me\n", "2: jobs is missing"),
        (b"courtkeeper_calendar:\n  owner: \xff\n", "2: is not UTF-8"),
        ("a: &a [*a]\ncourtkeeper_calendar: {jobs: [*a]}\n", "a job is written as keys"),
        ("[" * 2000, "it is"),
        ("x" * 1_100_000, "larger than 1 MB"),
    ],
)
def test_a_file_that_is_no_calendar_is_one_sentence(
    tmp_path: Path, text: str | bytes | None, said: str
) -> None:
    inventory, root = calendars.checkout(tmp_path, "")
    path = inventory / "group_vars/all/calendar.yml"
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    loaded = load(inventory, root)
    assert loaded.jobs == ()
    assert len(loaded.problems) == 1
    assert said in str(loaded.problems[0])


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("time_zone: [UTC]", "time_zone cannot be"),
        ("time_zone: Mars", "'Mars' is not a time zone"),
        ("blackouts: [easter.ics]", "easter.ics is not there"),
        ("blackouts: easter.ics", "blackouts cannot be"),
    ],
)
def test_jobs_that_rely_on_what_the_calendar_says_wrongly_do_not_run(
    tmp_path: Path, top: str, said: str
) -> None:
    free = "{name: refresh, schedule: FREQ=DAILY;BYHOUR=3, time_zone: UTC, blackouts: []}"
    loaded = read(tmp_path, f"{BACKUP}    - {free}\n", top=top)
    assert [each.name for each in loaded.jobs] == ["refresh"], "an unknown zone must not become UTC"
    assert len(loaded.problems) == 1, "one mistake, said once"
    with pytest.raises(ConfigurationError, match=said):
        loaded.job("backup")


_PIECES = st.sampled_from(
    """- name: a\n  schedule: FREQ=DAILY;BYHOUR=3\n  window: 01:00-05:00\n  after: [{job: a, within_hours: 1}]
  <<: *x\n  retries: &x {times: 1}\n- 5\n  playbook: backup\n  name: b\n  - x\n?\n\t\n  a: !!binary x
  anchor: 2026-01-01\n  anchor: 2026-13-01\n  limit: '%d'\n  extra_vars: {a: [1]}""".splitlines()
)


@given(st.one_of(st.lists(_PIECES, max_size=12).map("\n    ".join), st.text(max_size=60)))
@examples(150, HealthCheck.function_scoped_fixture)
def test_any_file_is_jobs_or_sentences(tmp_path: Path, jobs: str) -> None:
    inventory, root = tmp_path / "inventory/home", tmp_path
    if not inventory.exists():
        calendars.checkout(tmp_path, "")
    text = f"courtkeeper_calendar:\n  jobs:\n    {jobs}\n"
    (inventory / "group_vars/all/calendar.yml").write_text(text, "utf-8", errors="replace", newline="")
    loaded = load(inventory, root)
    assert {job.name for job in loaded.jobs}.isdisjoint(loaded.broken)
    for problem in loaded.problems:
        assert 0 < problem.line <= text.count("\n") + 2
        assert "Traceback" not in str(problem)
