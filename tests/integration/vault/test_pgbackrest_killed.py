"""Our part around pgBackRest, killed on both sides of every change that it makes: the next run succeeds.

A killed run leaves what it had started: pgBackRest, and a server that recovers, go on without it. Most killed
runs are themselves the next run of the one before. One small cluster for all, with one repository on disk.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from courtkeeper.findings import Status
from courtkeeper.vault.drill import scratch
from courtkeeper.vault.drill.policy import DrillPolicy
from courtkeeper.vault.pgbackrest import info as infos
from courtkeeper.vault.pgbackrest import run, swap
from courtkeeper.vault.pgbackrest import state as states
from courtkeeper.vault.pgbackrest.command import Pgbackrest, PgbackrestError
from courtkeeper.vault.pgbackrest.drill import drill
from courtkeeper.vault.pgbackrest.look import Look, look
from courtkeeper.vault.pgbackrest.revert import Reversion, aside, revert
from courtkeeper.vault.pgbackrest.run import backup
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.pgbackrest.setup import configure
from courtkeeper.vault.pgbackrest.swap import Step
from support.changes import Trace, told
from support.dying import killed_at, steps_of
from support.pgbackrest import Lab, lab, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() != "", reason=missing())]
SERVICE = "postgresql@15-main"
MARK = "was-here-before"
STAMP = "20260212T060000Z"


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    """A cluster that archives, and a systemctl that starts and stops it."""
    with lab(None) as found, pytest.MonkeyPatch.context() as patch:
        ctl = f"{found.bin}/pg_ctl -D {found.data} -w -s"
        if os.geteuid() == 0:
            ctl = f"setpriv --reuid={found.owner} --regid={found.owner} --clear-groups {ctl}"
        programs = found.home / "programs"
        programs.mkdir()
        (programs / "systemctl").write_text(
            f"#!/bin/sh -e\ncd /\nexec 9>{programs}/lock\nflock 9\n"  # one after the other
            f"case $1 in stop) {ctl} status 9>&- >/dev/null || exit 0; {ctl} -m fast stop 9>&-;;\n"
            f"start) {ctl} status 9>&- >/dev/null && exit 0; {ctl} -l {found.home}/log start 9>&-;; esac\n"
        )
        (programs / "systemctl").chmod(0o755)
        patch.setenv("PATH", str(programs), prepend=os.pathsep)
        found.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS i")
        yield found


def watched(made: Lab, work: Callable[[], object]) -> Callable[[Trace], object]:
    def run(trace: Trace) -> object:
        with told(trace, made.home):
            return work()

    return run


def points(work: Callable[[Trace], object]) -> list[str]:
    """The first step, and each after which the world is another one: before the next it is the same."""
    steps = list(dict.fromkeys(steps_of(work, most=1)))
    return [step for step in steps if step is steps[0] or not step.startswith("before ")]


def labels(made: Lab) -> list[str]:
    found = infos.parsed(made.bare("info", "--output=json").stdout, "main")
    return [each.label for each in found.of(1)]


def left(made: Lab) -> list[str]:
    """What is there of ours that nobody is at work with."""
    kept = {"data", "repo1", "state", "programs", "lock", "spool", "log", "pgbackrest.conf"}
    kept |= {path.name for path in aside(made.data)}
    names = [path.name for path in made.home.iterdir() if path.name not in kept]
    names = [name for name in names if not name.startswith(".s.PGSQL.")]
    names += [path.name for path in (made.home / "state").iterdir() if path.suffix == ".part"]
    names += [str(pid) for pid in scratch.processes("courtkeeper-drill-pg-main")]
    if (made.home / "state/main.restore.json").exists():
        names.append("a note")
    return names


def signalled(made: Lab, how: signal.Signals) -> list[int]:
    """Send a signal to each pgBackRest that works on the lab, as a killed run leaves it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_text().split("\0")
                if command[0] == "pgbackrest" and f"--config={made.stanza.config}" in command:
                    os.kill(int(entry.name), how)
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def ended(made: Lab) -> None:
    """Wait until no pgBackRest works on the lab any more."""
    deadline = time.monotonic() + 60
    while still := signalled(made, signal.SIGCONT):
        assert time.monotonic() < deadline, still
        time.sleep(0.02)


def strict(made: Lab) -> Stanza:
    """Each full backup lets the one before go, and is read."""
    policy = made.stanza.policy
    kept = msgspec.structs.replace(
        policy.retention, daily=1, weekly=0, monthly=0, window_days=0, broken_days=0
    )
    return msgspec.structs.replace(
        made.stanza, policy=msgspec.structs.replace(policy, retention=kept, verify_hours=0.0001)
    )


def require_backed_up(made: Lab) -> None:
    before = labels(made)
    done = backup(strict(made), kind="full")
    assert {each.id for each in done.findings if each.status is not Status.OK} <= {"pgbackrest.proven"}
    assert labels(made)[-1:] > before[-1:]
    assert made.sql("SELECT count(*) FROM kept") == 1000
    assert left(made) == []


def test_backups(made: Lab) -> None:
    work = watched(made, lambda: backup(strict(made), kind="full"))
    for step in ("before stanza-create", "during stanza-create", "after stanza-create"):
        killed_at(step, 1, work)
        assert labels(made) == []
        ended(made)  # else it writes the second half of a stanza whose first half is gone
        shutil.rmtree(made.repo1)  # else it is made once only
        made.repo1.mkdir()
        shutil.chown(made.repo1, made.owner, made.owner)
    killed_at("during backup", 1, work)
    require_backed_up(made)

    # What only reads makes the world no other one.
    steps = [step for step in points(work) if not step.endswith("check") and step != "after verify"]
    assert {"during backup", "during verify", "during expire"} <= set(steps), steps
    for step in steps:
        before = labels(made)
        killed_at(step, 1, work)
        # The newest of before goes only once there is a newer one.
        assert set(before[-1:]) <= set(labels(made)) or labels(made)[-1] > before[-1], step
        if step == "during backup":
            signalled(made, signal.SIGKILL)  # as when the machine goes down
    require_backed_up(made)


@pytest.fixture
def backed_up(made: Lab) -> Lab:
    if not labels(made):
        backup(made.stanza)
    return made


def test_drills(backed_up: Lab) -> None:
    made = backed_up
    work = watched(made, lambda: drill(made.stanza, DrillPolicy(amcheck=False)))
    steps = points(work)
    assert {"during restore", "during postgres", "after annotate"} <= set(steps), steps
    for step in steps:
        killed_at(step, 1, work)
        assert made.sql("SELECT count(*) FROM kept") == 1000
        assert len(list(made.home.glob("courtkeeper-drill-*"))) <= 1, step
    done = drill(made.stanza, DrillPolicy(amcheck=False))
    assert not [each for each in done.findings if each.status is Status.CRIT], done.findings
    assert left(made) == []


def asked(made: Lab, **more: Any) -> Reversion:
    return Reversion(data_directory=str(made.data), service=SERVICE, replace=("main",), **more)


def test_recoveries_to_the_side(backed_up: Lab) -> None:
    made = backed_up
    (made.data / MARK).touch()
    work = watched(made, lambda: revert(made.stanza, asked(made, beside=True)))
    steps = points(work)
    assert {"during restore", "during postgres", "after rename data.restoring-…"} <= set(steps), steps
    (whole,) = aside(made.data)
    hanging: list[int] = []
    for step in steps:
        killed_at(step, 1, work)
        if step == "during restore":
            hanging = signalled(made, signal.SIGSTOP)
        assert made.sql("SELECT count(*) FROM kept") == 1000
        assert (made.data / MARK).exists()
        # One that is whole is there if its name was the last thing that happened; no other has that name.
        found = [path for path in aside(made.data) if path != whole]
        assert all((path / "PG_VERSION").exists() for path in found), step
        assert len(found) <= 1, (step, found)
        assert len(list(made.home.glob("courtkeeper-drill-*"))) <= 1, step
    assert not [pid for pid in hanging if Path(f"/proc/{pid}").exists()]
    planned = revert(made.stanza, asked(made), check_mode=True)
    assert any("was killed" in each.summary for each in planned.findings) == ("a note" in left(made))
    for path in aside(made.data):
        shutil.rmtree(path)


def test_a_restore_is_finished_by_the_next_run_or_done_anew(backed_up: Lab) -> None:
    made = backed_up
    (made.data / MARK).touch()
    work = watched(made, lambda: revert(made.stanza, asked(made)))
    killed_at("during systemctl stop", 1, work)
    assert (made.data / MARK).exists()
    killed_at("after exchange data.former-…", 1, work)
    assert not (made.data / MARK).exists()
    (former,) = aside(made.data)
    assert (former / MARK).exists()
    planned = revert(made.stanza, asked(made), check_mode=True)
    assert "is finished first" in next(each.summary for each in planned.findings if each.id == "restore.left")

    done = revert(made.stanza, asked(made))
    assert done.actions[-1].startswith("finished the restore of")
    assert made.sql("SELECT count(*) FROM kept") == 1000
    assert aside(made.data) == [former]
    assert left(made) == []
    # It is in use again: the same request is another restore.
    (made.data / MARK).touch()
    killed_at("after unlink main.restore.json", 1, work)
    assert len(aside(made.data)) == 2
    require_backed_up(made)


def test_what_was_done_before_an_error_is_told(made: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before, began = labels(made), datetime.now(UTC)

    def failing(program: Pgbackrest, *, now: datetime) -> Look:
        """Look, but not at what this run has taken."""
        if labels(made) != before:
            raise PgbackrestError("pgbackrest info failed: out of order")
        return look(program, now=now)

    monkeypatch.setattr(run, "look", failing)
    with pytest.raises(PgbackrestError, match="out of order") as failed:
        backup(strict(made), kind="full")

    partial = failed.value.partial
    assert partial is not None
    assert partial.changed
    assert partial.actions[-1] == "take a full backup into repo1: as told"
    assert [each.id for each in partial.findings] == ["pgbackrest.check"]
    assert states.load(made.stanza).verified["1"].at > began


@pytest.mark.parametrize("had", [True, False])
def test_the_swap(made: Lab, had: bool) -> None:
    """What is swapped in is a copy here, as nothing of pgBackRest's takes part in it."""
    made.sql("ALTER SYSTEM SET archive_command = 'true'", "SELECT pg_reload_conf()")
    made.stop()
    for path in aside(made.data):
        shutil.rmtree(path)
    (made.data / MARK).unlink(missing_ok=True)
    template = made.home / "template"
    made.data.rename(template)
    for step in points(lambda trace: swapped_in(made, template, had, trace)):
        killed_at(step, 1, partial(swapped_in, made, template, had))
        marked = [path for path in made.home.glob("data*") if (path / MARK).exists()]
        assert len(marked) == had, step
        noted = swap.noted(made.stanza, str(made.data), SERVICE)
        if noted:
            swap.settled(made.stanza, noted)
        is_new = made.data.exists() and not (made.data / MARK).exists()
        formers = [path.name for path in made.home.glob("data.*")]
        assert formers == ([f"data.former-{STAMP}"] if had and is_new else []), step
        if had or is_new:
            assert made.sql("SELECT count(*) FROM kept") == 1000, step
        assert swap.noted(made.stanza, str(made.data), SERVICE) is None
    made.stop()
    shutil.rmtree(made.data)
    template.rename(made.data)
    made.start()


def swapped_in(made: Lab, template: Path, had: bool, trace: Trace) -> None:
    """Have a server in use, or none, and swap another one in."""
    made.stop()
    for path in made.home.glob("data*"):
        shutil.rmtree(path)
    beside = made.home / f"data.beside-{STAMP}"
    made.run("cp", "-a", template, beside)
    if had:
        made.run("cp", "-a", template, made.data)
        (made.data / MARK).touch()
        made.start()
    step = Step(
        data=str(made.data),
        stamp=STAMP,
        service=SERVICE,
        text="it",
        request={},
        inode=beside.stat().st_ino,
        had=had,
    )  # fmt: skip
    swap.note(made.stanza, step)
    with told(trace, made.home):
        swap.swapped(made.stanza, step)


def test_the_configuration(tmp_path: Path) -> None:
    owner = pwd.getpwuid(os.geteuid()).pw_name
    given = {
        "stanza": "main",
        "clusters": str(tmp_path / "clusters"),
        "config": str(tmp_path / "etc/pgbackrest.conf"),
        "settings_file": str(tmp_path / "courtkeeper/stanzas.json"),
        "state_directory": str(tmp_path / "state"),
        "repositories": [{"kind": "directory", "path": str(tmp_path / "repo"), "cipher_pass": "x" * 20}],
        "owner": owner,
    }
    cluster = tmp_path / "clusters/15/main"
    (cluster / "conf.d").mkdir(parents=True)
    (cluster / "postgresql.conf").write_text("data_directory = '/srv/data'\n")

    def work(trace: Trace) -> None:
        for path in tmp_path.iterdir():
            if path.name != "clusters":
                shutil.rmtree(path)
        (cluster / "conf.d/courtkeeper-backup.conf").unlink(missing_ok=True)
        with told(trace, tmp_path):
            configure(given)

    def there() -> dict[str, tuple[int, bytes]]:
        return {
            str(path.relative_to(tmp_path)): (
                path.stat().st_mode,
                path.read_bytes() if path.is_file() else b"",
            )
            for path in tmp_path.rglob("*")
        }

    steps = steps_of(work, most=1)
    whole = there()
    for step in steps:
        killed_at(step, 1, work)
        configure(given)
        assert there() == whole, step
