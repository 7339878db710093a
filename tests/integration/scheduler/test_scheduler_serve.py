"""`courtkeeper serve` with real playbooks: cancelled, stopped and killed; and the verbs beside it."""

from __future__ import annotations

import contextlib
import html
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from courtkeeper import structs
from courtkeeper.cli import serve as serve_command
from courtkeeper.scheduler import service
from courtkeeper.store import Store, open_store

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))
from runner_checkout import PASSWORD, PIN, PLAYBOOKS, build, command, until, with_word

pytestmark = pytest.mark.slow

NEVER = "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;BYHOUR=0;BYMINUTE=0"
LONG = 120.0
MENDABLE = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Look
      ansible.builtin.stat: {path: "{{ playbook_dir }}/../mended"}
      register: found
      failed_when: inventory_hostname == 'two' and not found.stat.exists
    - name: Ping
      ansible.builtin.ping: {}
"""
LOCAL = "{ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose calendar has jobs that nobody waits for: they are asked for."""
    checkout = build(tmp_path_factory.mktemp("serve").resolve())
    jobs = [
        {"name": "good", "limit": "here", "schedule": NEVER},
        {"name": "nightly", "playbook": "linger", "limit": "here", "schedule": NEVER, "approval": True,
         "extra_vars": {"word": f"serve-token-{os.getpid()}"}},
        {"name": "everyone", "schedule": NEVER},
    ]  # fmt: skip
    # The calendar takes no variable that is called token.
    (checkout / "playbooks/linger.yml").write_text(PLAYBOOKS["long"].replace("{{ token }}", "{{ word }}"))
    path = checkout / "inventory/x/group_vars/all/calendar.yml"
    path.write_text(yaml.safe_dump({"courtkeeper_calendar": {"jobs": jobs}}))
    return checkout


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    """Its store."""
    with open_store(root) as opened:
        yield opened


@pytest.fixture
def token() -> Iterator[str]:
    """The word in the command lines of what the job starts."""
    word = f"serve-token-{os.getpid()}"
    yield word
    for pid in with_word(word):
        os.kill(pid, 9)


Serve = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def serve(root: Path) -> Iterator[Serve]:
    """Start a scheduler; what is left of it is ended."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        argv, how = command(root, "serve", "-i", "x", "--every", "0.1", "--no-web", "--json")
        log = (root / "serve.log").open("a")
        started.append(subprocess.Popen(argv, stdout=log, stderr=log, **how))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def ask(store: Store, job: str) -> int:
    slot = store.slots.request("x", job, datetime.now(UTC), by="test")
    assert slot is not None
    return slot


def state(store: Store, slot: int) -> str:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    return next(each.state for each in store.slots.between(start, end) if each.id == slot)


def begun(token: str) -> bool:
    """Whether all three that the job's command starts are there, and are themselves by now."""
    texts = []
    for pid in with_word(token):
        with contextlib.suppress(OSError):
            texts.append(Path(f"/proc/{pid}/cmdline").read_text())
    return sum(text.startswith(sys.executable) and "SIG_IGN" in text for text in texts) == 3


def courtkeeper(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv, how = command(root, *arguments)
    return subprocess.run(argv, capture_output=True, check=False, timeout=120, **how)


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def lines(done: subprocess.CompletedProcess[str]) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_types_are_ready_before_there_are_threads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(structs, "prepare", lambda: told.append("prepared"))
    monkeypatch.setattr(service, "serve", lambda *_, **__: told.append("served"))
    serve_command.command(inventory="x", no_web=True, root=str(root))
    assert told == ["prepared", "served"]


def test_a_day_of_a_scheduler(root: Path, store: Store, serve: Serve, token: str) -> None:
    first = serve()
    good = ask(store, "good")
    until(lambda: state(store, good) == "ok", LONG)
    row = store.queries.latest_runs(job="good").rows[0]
    assert (row.trigger, row.slot, row.attempt, row.worst) == ("request", good, 1, "crit")
    assert "Load the games" in "".join(each.text for each in store.queries.output(row.run_id))
    assert (root / "var/runs" / row.run_id / "report.html").exists()

    cancelled = ask(store, "nightly")
    until(lambda: begun(token), LONG)
    held = courtkeeper(root, "run", "nightly", "-i", "x", "-q")
    assert held.returncode == 1
    assert "playbook:linger is held by nightly (" in held.stderr
    assert answer(courtkeeper(root, "cancel", "nightly", "--json"))["cancelled"]
    until(lambda: state(store, cancelled) == "cancelled", LONG)
    assert with_word(token) == []

    killed = ask(store, "nightly")
    until(lambda: begun(token), LONG)
    first.kill()
    first.wait(30)
    second = serve()
    until(lambda: state(store, killed) == "failed", LONG)
    assert with_word(token) == []
    assert store.queries.running() == []
    assert "The driver died" in store.queries.latest_runs(job="nightly").rows[0].message

    stopped = ask(store, "nightly")
    until(lambda: begun(token), LONG)
    second.send_signal(signal.SIGTERM)
    assert second.wait(LONG) == 0
    assert with_word(token) == []
    assert state(store, stopped) == "cancelled"
    assert store.owners.living() == []
    assert store.slots.open() == []

    store.close()
    texts = [path.read_bytes() for path in (root / "var").rglob("*") if path.is_file()
             and path.name != "secrets.json"]  # fmt: skip
    texts.append((root / "serve.log").read_bytes())
    texts += [store.database.name.encode()]
    assert not [text for text in texts if PASSWORD.encode() in text or PIN.encode() in text]


def test_a_persons_run_is_in_the_history_and_is_resumed(root: Path, store: Store) -> None:
    done = answer(courtkeeper(root, "run", "everyone", "-i", "x", "--json", "--no-report"))
    assert done["status"] == "failed"
    page = answer(courtkeeper(root, "history", done["run_id"][-4:], "--json"))
    assert page["row"]["hosts_bad"] == 1
    assert page["record"] == done
    assert store.owners.living() == []
    again = answer(
        courtkeeper(root, "run", "everyone", "-i", "x", "--json", "--no-report", "--start-at", "last")
    )
    assert "--limit" not in again["arguments"]  # one task: nobody got past the point of failure
    listed = answer(courtkeeper(root, "history", "--job", "everyone", "--json"))
    assert [row["run_id"] for row in listed["rows"]] == [again["run_id"], done["run_id"]]
    for bad in (["--start-at", "never"], ["--start-at", "x;y"]):
        refused = courtkeeper(root, "run", "everyone", "-i", "x", *bad)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_a_chain_goes_on_at_the_job_and_the_hosts_that_failed(root: Path) -> None:
    inventory = root / "inventory/two"
    (inventory / "group_vars/all").mkdir(parents=True)
    (inventory / "hosts.yml").write_text(f"all: {{hosts: {{one: {LOCAL}, two: {LOCAL}}}}}\n")
    jobs = [{"name": "base", "playbook": "mendable", "schedule": NEVER},
            {"name": "top", "playbook": "everyone", "limit": "one", "schedule": NEVER,
             "after": [{"job": "base", "within_hours": 1}]}]  # fmt: skip
    path = inventory / "group_vars/all/calendar.yml"
    path.write_text(yaml.safe_dump({"courtkeeper_calendar": {"jobs": jobs}}))
    (root / "playbooks/mendable.yml").write_text(MENDABLE)
    chain = ("run", "top", "-i", "two", "--json", "--no-report", "--start-at", "base")
    broken = courtkeeper(root, *chain)
    assert broken.returncode == 1
    assert [(each["job"], each["status"], list(each["host_stats"])) for each in lines(broken)] == [
        ("base", "failed", ["one", "two"])
    ]
    assert "were not run: top; go on with `courtkeeper run top -i two --start-at base`" in broken.stderr
    (root / "mended").touch()
    mended = courtkeeper(root, *chain)
    assert mended.returncode == 0, mended.stderr
    assert [(each["job"], each["status"], list(each["host_stats"])) for each in lines(mended)] == [
        ("base", "ok", ["two"]),
        ("top", "ok", ["one"]),
    ]
    for arguments, sentence in (
        (["base", "--start-at", "top"], "base does not wait for top"),
        (["top", "--start-at", "base", "-e", "a=1"], "runs base, top: leave out"),
    ):
        refused = courtkeeper(root, "run", *arguments, "-i", "two")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert sentence in refused.stderr


def test_no_secret_is_in_the_store_however_it_is_packed(root: Path, store: Store, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    given = ["--date", "2026-02-11", "-e", "word=x", "-e", f"proof={proof}"]
    done = answer(courtkeeper(root, "run", "leaky", "-i", "x", "--json", *given))
    assert PASSWORD in json.loads(proof.read_text())  # the job had it, and prints it in every way it knows
    page = store.queries.run_page(done["run_id"])
    assert page is not None
    kept = msgspec.json.encode(page).decode() + "".join(
        each.text for each in store.queries.output(done["run_id"])
    )
    kept += (root / "var/runs" / done["run_id"] / "report.html").read_text()
    kept += json.dumps(done)
    assert kept.count("********") > 10
    for form in (PASSWORD, json.dumps(PASSWORD)[1:-1], html.escape(PASSWORD), repr(PASSWORD)[1:-1], PIN):
        assert form not in kept


def test_a_job_is_held_and_released_without_the_dashboard(root: Path, store: Store) -> None:
    asked = ["hold", "good", "-i", "x", "--reason", "an incident", "--json"]
    (held,) = answer(courtkeeper(root, *asked))["holds"]
    (row,) = store.people.holds(system="x")
    assert (row.id, row.job, row.reason, row.until) == (held["id"], "good", "an incident", None)
    shown = courtkeeper(root, "hold", "-i", "x", "--list")
    assert shown.stdout.startswith("Held: good of x until it is released, by ")
    released = courtkeeper(root, "release", str(row.id))
    assert (released.returncode, released.stdout) == (0, "Released: good of x.\n")
    (every,) = answer(courtkeeper(root, "hold", "-i", "x", "--hours", "1", "--json"))["holds"]
    assert (every["job"], every["until"] > every["at"]) == ("", True)
    assert answer(courtkeeper(root, "release", str(every["id"]), "--json"))["released"]["id"] == every["id"]
    assert store.people.holds() == []
    assert courtkeeper(root, "hold", "-i", "x", "--list").stdout == "Nothing is held on x.\n"
    for arguments in (["release", str(row.id)], ["release", "999"], ["hold", "nothing", "-i", "x"]):
        refused = courtkeeper(root, *arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), arguments


def test_findings_approve_and_cancel_answer_in_json(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = answer(courtkeeper(root, "findings", "--json", "--job", "nothing"))
    assert seen == {"rows": [], "next": ""}
    for _, new in ((1, True), (2, False)):
        word = answer(courtkeeper(root, "approve", "nightly", "-i", "x", "--json"))
        assert word["new"] is new
        assert word["scheduled_for"].endswith("-01-01T00:00:00Z")
    for arguments in (
        ["approve", "good", "-i", "x"], ["approve", "nightly", "-i", "x", "--at", "2026-03-02T01:00Z"],
        ["approve", "nightly", "-i", "x", "--at", "soon"], ["cancel", "nothing"],
        ["findings", "--status", "bad"], ["history", "nowhere"], ["history", "--status", "bad"],
        ["history", "--after", "x"], ["serve", "-i", "nowhere"],
    ):  # fmt: skip
        refused = courtkeeper(root, *arguments)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), arguments
    monkeypatch.setenv("COURTKEEPER_STORE", str(tmp_path / "newer.sqlite"))
    with open_store(root) as newer, newer.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    refused = courtkeeper(root, "serve", "-i", "x", "--no-web")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "has schema 9999" in refused.stderr
    monkeypatch.delenv("COURTKEEPER_STORE")
    preview = answer(courtkeeper(root, "serve", "-i", "x", "--preview", "9000", "--json"))
    assert {each["job"] for each in preview["slots"]} == {"good", "nightly", "everyone"}
