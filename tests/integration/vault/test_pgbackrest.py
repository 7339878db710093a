"""Physical backups by the real pgBackRest into a disk and S3 over TLS, with what it does not tell by itself.

One cluster for all: each test leaves a server that archives and repositories whose newest backup is good.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from courtkeeper.cli import check as command
from courtkeeper.findings import ConfigurationError, Finding, Result, Status
from courtkeeper.vault.drill.policy import DrillPolicy
from courtkeeper.vault.pgbackrest import info as infos
from courtkeeper.vault.pgbackrest import recover
from courtkeeper.vault.pgbackrest.check import check
from courtkeeper.vault.pgbackrest.command import Pgbackrest
from courtkeeper.vault.pgbackrest.drill import drill
from courtkeeper.vault.pgbackrest.look import look
from courtkeeper.vault.pgbackrest.revert import Reversion, aside, revert
from courtkeeper.vault.pgbackrest.run import backup
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.pgbackrest.setup import reload
from support.pgbackrest import PASSES, Lab, lab, missing
from support.s3 import S3, SECRET_KEY

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() != "", reason=missing())]
# Of a stanza that is whole, but was never drilled.
USUAL = {"pgbackrest.proven"}


@pytest.fixture(scope="module")
def made(s3_session: S3) -> Iterator[Lab]:
    s3_session.empty()
    with lab(s3_session) as found:
        done = backup(found.stanza)
        assert bad(done.findings) == USUAL, done.findings
        yield found


def bad(findings: Sequence[Finding]) -> set[str]:
    return {each.id for each in findings if each.status is not Status.OK}


def one(findings: Sequence[Finding], name: str) -> Finding:
    (found,) = [each for each in findings if each.id == name and each.status is not Status.OK]
    return found


def looked(made: Lab, stanza: Stanza | None = None, *, later_h: float = 0) -> Result:
    return check([stanza or made.stanza], now=datetime.now(UTC) + timedelta(hours=later_h))


def retention(made: Lab, **policy: float) -> Stanza:
    kept = msgspec.structs.replace(made.stanza.policy.retention, **policy)
    return msgspec.structs.replace(
        made.stanza, policy=msgspec.structs.replace(made.stanza.policy, retention=kept)
    )


def test_the_first_run_made_everything_and_the_second_changes_nothing(made: Lab) -> None:
    again = backup(made.stanza)
    assert (again.changed, again.actions) == (False, [])
    assert again.metrics["own_s"] < 5
    planned = backup(made.stanza, kind="incr", check_mode=True)
    assert [action.partition(":")[0] for action in planned.actions] == [
        f"take an incremental backup into repo{key}" for key in (1, 2)
    ]
    info = look(Pgbackrest(made.stanza), now=datetime.now(UTC)).info
    assert [(each.repository, each.kind) for each in info.backups] == [(1, "full"), (2, "full")]
    assert {each.cipher for each in info.repositories} == {"aes-256-cbc"}
    everything = json.dumps([again.to_builtins(), planned.to_builtins()])
    assert not any(secret in everything for secret in (*PASSES, SECRET_KEY))


def test_a_flipped_bit_is_found_though_verify_exits_0(made: Lab) -> None:
    label = infos.parsed(made.bare("info", "--output=json").stdout, "main").of(1)[-1].label
    file = next((made.repo1 / "backup/main" / label / "pg_data/base").rglob("1255.zst"))
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 1
    file.write_bytes(flipped)
    assert made.bare("verify", "--repo=1").returncode == 0
    assert made.bare("check").returncode == 0
    assert json.loads(made.bare("info", "--output=json").stdout)[0]["repo"][0]["status"]["code"] == 0

    # Read again, though the last reading is young.
    due = msgspec.structs.replace(made.stanza.policy, verify_hours=0.0001)
    found = backup(msgspec.structs.replace(made.stanza, policy=due))
    finding = one(found.findings, "pgbackrest.verify")
    assert finding.status is Status.CRIT
    assert finding.subject == "main on repo1"
    assert label in finding.summary
    assert "1255.zst (invalid checksum)" in finding.summary
    # Without reading anything, and from another host, the mark beside it says the same.
    elsewhere = msgspec.structs.replace(made.stanza, state_directory="")
    findings = [each for each in looked(made, elsewhere).findings if "repo1" in each.subject]
    assert label in one(findings, "pgbackrest.verify").summary
    assert one(findings, "pgbackrest.fresh").status is Status.CRIT
    with pytest.raises(ConfigurationError, match="no backup"):
        recover.choose(look(Pgbackrest(made.stanza), now=datetime.now(UTC)), None, repository=1)

    # Nothing is built on it: the next is a full one, and a mended file loses its mark.
    done = backup(made.stanza, kind="incr")
    assert done.actions[0].startswith("take a full backup into repo1")
    assert one(done.findings, "pgbackrest.verify").status is Status.WARN
    file.write_bytes(content)
    done = backup(made.stanza)
    assert f"no longer mark {label} in repo1 as damaged" in done.actions
    assert bad(done.findings) == USUAL


def test_log_that_vanished_after_the_last_backup_is_named(made: Lab) -> None:
    made.sql("CREATE TABLE kept AS SELECT 1 AS i")
    made.archived()
    gone, later = made.archived(), made.archived()
    file = made.segment(gone)
    content = file.read_bytes()
    file.unlink()
    verified = made.bare("verify", "--repo=1", "--output=text", "--verbose")
    assert verified.returncode == 0
    assert "status: ok" in verified.stdout
    assert made.bare("check").returncode == 0
    finding = one(looked(made).findings, "pgbackrest.wal")
    assert (finding.status, finding.subject, finding.observed) == (Status.CRIT, "main on repo1", 1)
    assert gone in finding.summary
    assert later not in finding.summary
    # The other repository has it, and goes first.
    seen = look(Pgbackrest(made.stanza), now=datetime.now(UTC))
    point = recover.choose(seen, None)
    assert (point.backup.repository, point.gap) == (2, "")
    assert gone in recover.choose(seen, None, repository=1).gap
    file.write_bytes(content)
    assert bad(looked(made).findings) == USUAL


def test_the_last_segment_counts_too(made: Lab) -> None:
    """The archive's own listing cannot know that there was one more: the server does."""
    last = made.archived()
    file = made.segment(last)
    content = file.read_bytes()
    file.unlink()
    finding = one(looked(made).findings, "pgbackrest.behind")
    assert last in finding.summary
    assert finding.subject == "main on repo1"
    file.write_bytes(content)
    unasked = msgspec.structs.replace(made.stanza, port=1)
    findings = looked(made, unasked).findings
    assert bad(findings) == {*USUAL, "pgbackrest.archiving", "pgbackrest.wal"}  # unknown, not good


def test_a_damaged_page_is_told_by_info_alone(made: Lab) -> None:
    made.sql("CREATE TABLE torn AS SELECT generate_series(1, 10000) AS i", "CHECKPOINT")
    file = made.data / made.sql("SELECT pg_relation_filepath('torn')")
    with file.open("r+b") as stream:
        stream.seek(9000)
        stream.write(b"XXXX")
    done = backup(made.stanza, kind="incr")
    assert not [each for each in done.findings if each.id == "pgbackrest.backup"]  # it ended well
    found = [each for each in looked(made).findings if each.id == "pgbackrest.pages"]
    assert {(each.status, each.subject) for each in found} == {
        (Status.CRIT, "main on repo1"),
        (Status.CRIT, "main on repo2"),
    }
    label = infos.parsed(made.bare("info", "--output=json").stdout, "main").of(1)[-1].label
    assert label in found[0].summary
    told = made.bare("info", "--repo=1", f"--set={label}", "--output=json").stdout
    assert str(file.relative_to(made.data)) in told
    # The good ones before it stay, whatever the policy says, and are what is restored.
    strict = retention(made, daily=1, weekly=0, monthly=0, window_days=0, broken_days=0)
    seen = look(Pgbackrest(strict), now=datetime.now(UTC))
    assert recover.choose(seen, None).backup.label != label
    assert not any(recover.choose(seen, None, repository=key).backup.error for key in (1, 2))
    assert recover.choose(seen, None).backup.label in seen.plan(1).reasons() | seen.plan(2).reasons()
    made.sql("DROP TABLE torn", "CHECKPOINT")
    done = backup(made.stanza, kind="incr")
    assert {each.status for each in done.findings if each.id == "pgbackrest.pages"} == {Status.WARN}


def test_a_server_that_does_not_archive_is_named(made: Lab) -> None:
    made.sql("ALTER SYSTEM SET archive_command = 'false'", "SELECT pg_reload_conf()")
    made.until("SELECT current_setting('archive_command') = 'false'")
    finding = one(looked(made).findings, "pgbackrest.archiving")
    assert (finding.status, finding.summary) == (
        Status.CRIT,
        "archive_command does not hand the log to this stanza of pgBackRest.",
    )
    refused = backup(made.stanza, kind="incr")
    assert "No backup was taken" in one(refused.findings, "pgbackrest.backup").summary
    planned = reload(made.stanza, archive_timeout_s=0, check_mode=True)
    assert planned.actions == ["reload the server for archive_command"]
    made.sql(
        "ALTER SYSTEM SET archive_command = 'false --stanza=main archive-push'", "SELECT pg_reload_conf()"
    )
    made.sql("SELECT pg_logical_emit_message(true, 'test', 'x')", "SELECT pg_switch_wal()")
    made.until("SELECT failed_count > 0 FROM pg_stat_archiver")
    assert "archive_command fails" in one(looked(made).findings, "pgbackrest.archiving").summary
    made.sql("ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()")
    made.archived()
    assert "pgbackrest.archiving" not in bad(looked(made).findings)


def test_a_missing_backup_is_found_by_its_age(made: Lab) -> None:
    findings = looked(made, later_h=27).findings
    assert {
        each.subject for each in findings if each.id == "pgbackrest.fresh" and each.status is Status.CRIT
    } == {
        "main on repo1",
        "main on repo2",
    }
    nowhere = msgspec.structs.replace(made.stanza, name="other")
    assert bad(looked(made, nowhere).findings) == {"pgbackrest.stanza", "pgbackrest.archiving"}


def test_the_command_line_says_it_all(made: Lab, tmp_path: Path) -> None:
    file = tmp_path / "pgbackrest.json"
    file.write_text(json.dumps({"stanzas": [msgspec.to_builtins(made.stanza)]}))
    ran = CliRunner().invoke(command.app, ["backups", "--stanzas", str(file), "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.output)
    assert {"pgbackrest.wal", "pgbackrest.verify", "pgbackrest.archiving"} <= {
        each["id"] for each in told["findings"]
    }
    ran = CliRunner().invoke(command.app, ["backups", "--stanzas", str(file)])
    assert "physical backups of main" in ran.output


def test_what_retention_does_not_need_goes_and_its_log_with_it(made: Lab) -> None:
    strict = retention(made, daily=1, weekly=0, monthly=0, window_days=0, broken_days=0)
    held = infos.parsed(made.bare("info", "--output=json").stdout, "main").of(2)[0].label
    made.bare("annotate", "--repo=2", f"--set={held}", f"--annotation={infos.HELD}=audit")
    planned = backup(strict, kind="full", check_mode=True)
    assert any(action.startswith("expire ") for action in planned.actions)
    done = backup(strict, kind="full")
    info = infos.parsed(made.bare("info", "--output=json").stdout, "main")
    assert len(info.of(1)) == 1
    assert info.of(2)[0].label == held
    assert any("segments of log from repo1" in action for action in done.actions)
    assert bad(looked(made, strict).findings) == USUAL
    # The held one has its own log still: it can be restored.
    proved = drill(made.stanza, DrillPolicy(amcheck=False), label=held, repository=2)
    assert bad(proved.findings) == set()


def test_a_mistake_is_taken_back_to_just_before_it(made: Lab) -> None:
    made.sql("CREATE TABLE precious AS SELECT generate_series(1, 1000) AS i")
    moment = made.sql("SELECT clock_timestamp()")
    made.sql("SELECT pg_sleep(0.01)", "DROP TABLE precious", "CREATE TABLE folly AS SELECT 1")
    made.archived()
    proved = drill(made.stanza, DrillPolicy(), until=moment.isoformat(), repository=1)
    assert bad(proved.findings) == set(), proved.findings
    assert list(made.home.glob("courtkeeper-drill-*")) == []
    assert "pgbackrest.proven" not in {
        each.id for each in looked(made).findings if each.status is Status.WARN and "repo1" in each.subject
    }
    request = Reversion(data_directory=str(made.data), until=moment.isoformat())
    planned = revert(made.stanza, request, check_mode=True)
    assert "by the last restores" in one_of(planned, "restore.plan").summary
    with pytest.raises(ConfigurationError, match="in use"):
        revert(made.stanza, request)
    made.stop()
    configuration = (made.data / "postgresql.conf").read_text()
    done = revert(made.stanza, msgspec.structs.replace(request, replace=("main",)))
    assert done.changed
    # Debian's is elsewhere; this cluster has it in its data directory, from the backup.
    (made.data / "postgresql.conf").write_text(configuration)
    made.start()
    assert made.sql("SELECT count(*) FROM precious") == 1000
    assert made.sql("SELECT to_regclass('folly')") is None
    (former,) = aside(made.data)
    assert former.name.startswith("data.former-")
    # A timeline of its own, that is archived with its history: the log goes on without a gap.
    made.archived()
    assert made.sql("SELECT timeline_id FROM pg_control_checkpoint()") == 2
    after = looked(made).findings
    assert not [each for each in after if each.id == "pgbackrest.wal" and each.status is not Status.OK], after


def one_of(result: Result, name: str) -> Finding:
    return next(each for each in result.findings if each.id == name)
