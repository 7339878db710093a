"""What a destination missed is copied to it later: whole, from a good copy, and nothing that is not ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from courtkeeper.findings import ConfigurationError, Result, Status
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault import recipients, refill
from courtkeeper.vault.backup import backup
from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.context import Context
from courtkeeper.vault.policy import policy_from
from courtkeeper.vault.prune import prune_vault
from courtkeeper.vault.restore.request import request_from
from courtkeeper.vault.restore.run import restore
from courtkeeper.vault.settings import vault_from
from courtkeeper.vault.verify import verify
from support.backups import flip, hollow
from support.killed import killed_at
from support.s3 import BUCKET, S3
from support.vault import Vault, files_source, vault

pytestmark = pytest.mark.slow

PART = "data.tar.zst.age"
POLICY = policy_from({})


@pytest.fixture
def one(tmp_path: Path) -> Vault:
    """A vault of a small file on two directories, with one backup on both."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(os.urandom(300_000))
    made = vault(tmp_path, [files_source(tmp_path / "data")], ["local", "offsite"])
    made.told["pace"] = {"attempts": 1}
    ago(made, 9)
    return made


def ago(one: Vault, days: float) -> Result:
    """Take a backup so many days ago: of those of one day retention keeps only the newest."""
    return backup(one.settings, now=lambda: datetime.now(UTC) - timedelta(days=days))


@contextmanager
def away(one: Vault, place: str = "offsite") -> Iterator[None]:
    """Let a destination be away, as a disk that is not there."""
    (one.home / place).rename(one.home / "elsewhere")
    (one.home / place).write_text("no directory")
    yield
    (one.home / place).unlink()
    (one.home / "elsewhere").rename(one.home / place)


def missed(one: Vault, count: int = 1) -> list[Backup]:
    """Take backups that `offsite` misses; return them, the newest first."""
    with away(one):
        for days in range(count, 0, -1):
            ago(one, days)
    found = [each for each in one.catalog().backups if each.where == ("local",)]
    assert len(found) == count
    return found


def of(result: Result) -> list[tuple[str, Status]]:
    return [(each.subject, each.status) for each in result.findings if each.id == "vault.refill"]


def copies(result: Result) -> list[str]:
    return [action for action in result.actions if action.startswith("copy ")]


def require_all_good(one: Vault, newest: int | None = None) -> None:
    """Open every copy that looks good, or those of the newest."""
    content = (one.home / "data/file").read_bytes()
    for taken in one.catalog().backups[:newest]:
        for place in taken.where:
            assert content in one.plain(taken, PART, place), (taken.id, place)


def test_what_was_missed_is_copied_as_it_is_the_newest_first(one: Vault) -> None:
    gone = missed(one, 2)
    local = one.destinations[0]
    local.put(gone[0].prefix + "hold.json", b"{}")
    local.put(f"{gone[0].prefix}proof-20261101T000000Z.json", b"{}")
    planned = backup(one.settings, check_mode=True)
    assert [each.split()[1] for each in copies(planned)] == [each.prefix for each in gone]
    assert all("from local to offsite" in each and "which it misses" in each for each in copies(planned))
    assert len(one.catalog().backups) == 3

    result = backup(one.settings)
    assert copies(result) == copies(planned)
    assert of(result) == [("nba on offsite", Status.OK)]
    assert result.metrics["refilled_count"] == 2
    assert [each.where for each in one.catalog().backups] == [("local", "offsite")] * 4
    for each in gone:
        here, there = (one.home / place / each.prefix for place in ("local", "offsite"))
        assert sorted(path.name for path in here.iterdir()) == sorted(path.name for path in there.iterdir())
        for path in here.iterdir():
            assert path.read_bytes() == (there / path.name).read_bytes()
    require_all_good(one)

    again = backup(one.settings)
    assert (copies(again), of(again)) == ([], [])


def test_nothing_is_copied_that_pruning_would_remove(one: Vault) -> None:
    one.told["policy"] = {"retention": {"daily": 1, "weekly": 0, "monthly": 0}}
    (gone,) = missed(one)
    ago(one, 0.9)
    assert copies(backup(one.settings)) == []
    prune_vault(one.settings, policy_from(one.told["policy"]), now=datetime.now(UTC))
    assert gone.id not in [each.id for each in one.catalog().backups]
    assert copies(backup(one.settings)) == []


@pytest.mark.parametrize("told", [{"pace": {"refill_minutes": 0}}, {"policy": {"retention": {"daily": "x"}}}])
def test_it_may_be_told_not_to(one: Vault, told: dict[str, object]) -> None:
    missed(one)
    one.told |= told
    assert copies(backup(one.settings)) == []


def test_a_new_destination_gets_what_there_is(one: Vault) -> None:
    one.told["destinations"].append({"name": "third", "kind": "directory", "path": str(one.home / "third")})
    assert len(copies(backup(one.settings))) == 1
    assert [each.where for each in one.catalog().backups] == [("local", "offsite", "third")] * 2
    require_all_good(one)


@pytest.mark.parametrize("fault", ["damaged", "truncated", "missing"])
def test_a_broken_copy_is_mended_from_a_good_one(one: Vault, fault: str) -> None:
    (taken,) = one.catalog().backups
    part = one.home / "offsite" / taken.prefix / PART
    if fault == "damaged":
        flip(one.destinations[1], taken.prefix + PART)
        verify(one.settings, POLICY, now=datetime.now(UTC))
        assert (part.parent / "damaged.json").exists()
    elif fault == "truncated":
        part.write_bytes(part.read_bytes()[:1000])
    else:
        part.unlink()
    assert one.catalog().problems
    result = backup(one.settings)
    assert of(result) == [("nba on offsite", Status.OK)]
    assert len(copies(result)) == 1
    assert not one.catalog().problems
    assert [each.where for each in one.catalog().backups] == [("local", "offsite")] * 2
    require_all_good(one)


def test_a_damaged_copy_is_never_spread(one: Vault) -> None:
    (gone,) = missed(one)
    flip(one.destinations[0], gone.prefix + PART)
    result = backup(one.settings)
    assert of(result) == [("nba on offsite", Status.CRIT)]
    assert copies(result) == []
    assert not (one.home / "offsite" / gone.prefix / manifests.NAME).exists()


def test_what_another_run_left_half_is_read_before_it_is_believed(one: Vault) -> None:
    (gone,) = missed(one)
    shutil.copytree(one.home / "local" / gone.prefix, one.home / "offsite" / gone.prefix)
    (one.home / "offsite" / gone.prefix / manifests.NAME).unlink()
    flip(one.destinations[1], gone.prefix + PART)
    assert len(copies(backup(one.settings))) == 1
    require_all_good(one)


def test_who_writes_to_one_place_cannot_have_the_others_pruned(one: Vault) -> None:
    forged = [
        hollow(
            one.destinations[:1], datetime.now(UTC) - timedelta(days=number), source="config", number=number
        )
        for number in range(1, 30)
    ]
    one.told["policy"] = {"retention": {"daily": 20, "weekly": 0, "monthly": 0}}
    result = backup(one.settings)
    assert (of(result), copies(result)) == ([("nba on offsite", Status.SKIPPED)], [])
    prune_vault(one.settings, policy_from(one.told["policy"]), now=datetime.now(UTC))
    there = [each.id for each in one.catalog().backups if "offsite" in each.where]
    assert there
    assert not set(there) & {each.id for each in forged}


def replaced(one: Vault, taken: Backup) -> None:
    """Let somebody write a manifest with a right digest over that of `local`."""
    path = one.home / "local" / taken.prefix / manifests.NAME
    told = json.loads(path.read_text())["manifest"]
    told["parts"][0]["plain_sha256"] = "0" * 64
    content = manifests.canonical(told)
    seal = manifests.canonical({"sha256": manifests.hashlib.sha256(content).hexdigest()})
    path.write_bytes(b'{"manifest":' + content + b',"seal":' + seal + b"}\n")


def test_a_manifest_that_was_replaced_is_refused_where_it_was_taken(one: Vault) -> None:
    (taken,) = one.catalog().backups
    replaced(one, taken)
    result = backup(one.settings)
    assert (copies(result), of(result)) == ([], [])
    found = verify(one.settings, POLICY, now=datetime.now(UTC))
    (wrong,) = [each for each in found.findings if each.id == "vault.manifest"]
    assert wrong.status is Status.CRIT
    assert "not the one that this host wrote" in wrong.summary
    assert taken.prefix + " on local" not in [each.subject for each in found.findings if "read" in each.id]


def test_where_nobody_knows_which_is_true_neither_counts_until_a_person_says(one: Vault) -> None:
    (taken,) = one.catalog().backups
    replaced(one, taken)
    elsewhere = vault_from({**one.told, "state_directory": str(one.home / "another-host")})
    tree = str(one.home / "data")
    given = {"source": "config", "replace": [tree], "backup": taken.id}
    with pytest.raises(ConfigurationError, match="neither counts"):
        restore(elsewhere, request_from(given))
    (one.home / "data/file").write_text("lost")
    restore(elsewhere, request_from({**given, "destination": "offsite"}))
    assert (one.home / "data/file").stat().st_size == 300_000


def test_a_disk_is_not_filled_up_with_old_ones(one: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = missed(one, 2)
    free = sum(each.sealed_size for each in gone) - 2000  # the next one has to fit beside
    monkeypatch.setattr(refill.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    result = backup(one.settings)
    assert of(result) == [("nba on offsite", Status.WARN)]
    assert copies(result) == []


def test_what_there_is_no_time_for_waits(one: Vault) -> None:
    missed(one, 2)
    one.told["pace"] = {"refill_minutes": 1e-9}
    result = backup(one.settings)
    assert of(result) == [("nba on offsite", Status.WARN)]
    assert copies(result) == []


def test_a_bucket_gets_what_it_missed_and_gives_it_back(one: Vault, s3: S3) -> None:
    (one.home / "data/file").write_bytes(os.urandom(6 << 20))
    one.told["destinations"][1] = s3.destination("offsite", bucket="not-there-yet", part_mb=5)
    result = ago(one, 1)
    assert [each.subject for each in result.findings if each.status is Status.CRIT] == ["offsite/config"]
    one.told["destinations"][1]["bucket"] = BUCKET
    result = backup(one.settings)
    assert of(result) == [("nba on offsite", Status.OK)]
    assert [each.where for each in one.catalog().backups] == [("local", "offsite")] * 3
    require_all_good(one, newest=2)
    assert s3.uploads() == []

    # And the other way: what is left of a lost disk comes from the bucket.
    shutil.rmtree(one.home / "local")
    assert len(copies(backup(one.settings))) == 2
    require_all_good(one, newest=2)


def again(one: Vault) -> Context:
    """Refill alone, as a run does it at its end."""
    context = Context(
        settings=one.settings,
        recipients=recipients.parsed(one.settings.recipients),
        key=None,
        destinations=one.destinations,
        now=lambda: datetime.now(UTC),
        progress=lambda _done, _total, _text: None,
        trace=lambda _step: None,
    )
    refill.refill(context, [], avoid=[])
    return context


def test_killed_anywhere_nothing_looks_good_that_is_not(one: Vault) -> None:
    (gone,) = missed(one)
    (whole,) = [each for each in one.catalog().backups if len(each.where) == 2]
    steps = 0
    while killed_at(steps + 1, lambda: again(one)):
        steps += 1
        found = one.catalog()
        assert {problem.kind for problem in found.problems} <= {"incomplete"}
        assert {each.id for each in found.backups} == {gone.id, whole.id}
        require_all_good(one)
        if steps % 2:  # from the beginning, and on top of what the last kill left
            shutil.rmtree(one.home / "offsite" / gone.prefix, ignore_errors=True)
    assert steps >= 12
    again(one)
    assert [each.where for each in one.catalog().backups] == [("local", "offsite")] * 2
    require_all_good(one)
