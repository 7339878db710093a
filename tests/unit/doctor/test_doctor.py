"""The doctor says what is wrong with an installation, and what mends it; it changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from courtkeeper.cli import main
from courtkeeper.doctor import Patient, backups, examine, installation, system
from courtkeeper.findings import Finding, Status
from courtkeeper.notify.model import Event
from courtkeeper.notify.outbox import Message, Outbox, put
from courtkeeper.store import open_store
from courtkeeper.vault import keys
from support.notices import checkout

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    for name in ("COURTKEEPER_STORE", "COURTKEEPER_VAULT"):
        monkeypatch.delenv(name, raising=False)
    secrets = {"team_address": "json://x", "switch_address": "https://x"}
    return Patient(tmp_path, [checkout(tmp_path, secrets)], NOW)


def said(found: list[Finding], name: str) -> list[tuple[Status, str]]:
    return [(each.status, each.summary) for each in found if each.id == f"doctor.{name}"]


def test_a_whole_system_has_nothing_to_mend(patient: Patient) -> None:
    found = [each for check in system.CHECKS for each in check(patient)]
    assert {each.status for each in found} == {Status.OK}
    assert said(found, "calendar") == [(Status.OK, "1 jobs, all good.")]
    assert not (patient.root / "var/store/courtkeeper.sqlite").exists()


def test_this_installation_can_run_jobs(patient: Patient) -> None:
    root = Path(__file__).resolve().parents[3]
    found = examine(Patient(root, [], NOW))
    for name in ("python", "ansible", "ansible_runner", "collection", "time_zones", "sealing"):
        assert {status for status, _ in said(found, name)} == {Status.OK}, name
    assert {each.status for each in found if each.fix} <= {
        Status.WARN, Status.CRIT, Status.SKIPPED, Status.UNKNOWN,
    }  # fmt: skip
    assert all(each.fix for each in found if each.status in {Status.WARN, Status.CRIT})


def test_what_is_wrong_with_a_system_says_what_mends_it(patient: Patient) -> None:
    inventory = patient.inventories[0]
    (patient.root / "secrets.json").chmod(0o644)
    calendar = inventory / "group_vars/all/calendar.yml"
    calendar.write_text(
        calendar.read_text().replace("- team", "- tema").replace("FREQ=DAILY", "FREQ=SECONDLY")
    )
    found = [each for check in system.CHECKS for each in check(patient)]
    by = {(each.id, each.status): each for each in found}
    assert by["doctor.secrets", Status.CRIT].fix.startswith("run `chmod 600 ")
    assert "calendar.yml:" in by["doctor.calendar", Status.CRIT].summary
    calendar.write_text(calendar.read_text().replace("FREQ=SECONDLY", "FREQ=DAILY"))
    found = [each for check in system.CHECKS for each in check(patient)]
    assert "Jobs are to tell tema" in said(found, "notifications")[0][1]
    (patient.root / "secrets.json").chmod(0o600)
    (patient.root / "secrets.json").write_text("{}")
    found = [each for check in system.CHECKS for each in check(patient)]
    assert "the channel team has no address" in said(found, "notifications")[1][1]
    calendar.unlink()
    found = [each for check in system.CHECKS for each in check(patient)]
    assert said(found, "calendar")[0][0] is Status.SKIPPED


def test_messages_that_were_given_up_are_told(patient: Patient) -> None:
    with open_store(patient.root) as store:
        message = Message(channel="team", event=Event.FAILURE, key="k", title="checks fails")
        with store.database.write() as connection:
            put(store.database, connection, "embedded", [message], NOW)
        Outbox(store.database, "embedded").give_up(1, NOW, "it answered 503")
    ((status, text),) = said(list(system.messages(patient)), "messages")
    assert status is Status.WARN
    assert text == "'checks fails' of 2026-03-02 never reached team: it answered 503"


def test_a_store_of_a_newer_version_is_critical(patient: Patient) -> None:
    assert said(list(installation.store(patient)), "store")[0][0] is Status.OK
    with open_store(patient.root) as store, store.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    ((status, text),) = said(list(installation.store(patient)), "store")
    assert status is Status.CRIT
    assert text.startswith("It has schema 9999; this version of courtkeeper knows up to ")


@pytest.mark.parametrize(
    ("where", "summary", "fix"),
    [
        ("damaged.sqlite", "damaged.sqlite is damaged (file is not a database)", "put that file right"),
        (
            "postgresql://me@127.0.0.1:1/x",
            "me@127.0.0.1:1/x failed: connection",
            "see that the server answers",
        ),
        ("foo://bar", "A store cannot be foo://…: give postgresql://…", "correct COURTKEEPER_STORE"),
    ],
)
def test_a_store_that_cannot_be_asked_is_critical(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, where: str, summary: str, fix: str
) -> None:
    (patient.root / "damaged.sqlite").write_bytes(b"no database at all" * 300)
    monkeypatch.setenv("COURTKEEPER_STORE", where)
    (found,) = installation.store(patient)
    assert found.status is Status.CRIT
    assert summary in found.summary
    assert found.fix.startswith(fix)
    assert not [each.summary for each in examine(patient) if each.summary.endswith("..")]


def test_a_key_that_others_may_read_is_critical(patient: Patient) -> None:
    (patient.root / "var/vault").mkdir(parents=True)
    identity = patient.root / "identity.txt"
    public = keys.new_identity(identity)
    recipients = patient.root / "recipients.txt"
    recipients.write_text(public + "\n")
    (patient.root / "backups").mkdir()
    settings = {
        "name": "nba",
        "recipients_file": str(recipients),
        "identity_file": str(identity),
        "destinations": [{"name": "local", "kind": "directory", "path": str(patient.root / "backups")}],
        "sources": [{"name": "config", "kind": "files", "paths": [str(recipients)]}],
    }
    (patient.root / "var/vault/vault.json").write_text(json.dumps(settings))
    found = list(backups.vault(patient))
    assert {each.status for each in found} == {Status.OK}, found
    identity.chmod(0o640)
    assert said(list(backups.vault(patient)), "keys") == [
        (Status.CRIT, f"{identity} can be read by others (mode 0640).")
    ]
    identity.unlink()
    assert said(list(backups.vault(patient)), "keys")[0][0] is Status.WARN


def test_a_check_that_breaks_stops_no_other(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: (_ for _ in ()).throw(OSError("gone")))
    found = examine(patient)
    assert said(found, "disk") == [(Status.UNKNOWN, "It could not be looked at: gone.")]
    assert said(found, "calendar") == [(Status.OK, "1 jobs, all good.")]


def test_the_command_ends_with_3_where_something_has_to_be_mended(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURTKEEPER_ROOT", str(patient.root))
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json"])
    assert ended.value.code == 3  # the collection is not in this checkout
    given = json.loads(capsys.readouterr().out)
    assert given["status"] == "crit"
    assert given["findings"][0]["fix"]
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert "Mend: check the repository out whole" in capsys.readouterr().out
