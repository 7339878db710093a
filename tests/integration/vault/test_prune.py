"""Pruning: what goes, what stays on each destination, and what a fault or a kill leaves."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from courtkeeper.findings import Finding, Result, Status
from courtkeeper.vault import catalog, hold
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.destinations import Destination, DestinationError
from courtkeeper.vault.policy import VaultPolicy
from courtkeeper.vault.prune import prune
from courtkeeper.vault.retention import Policy
from support import dying
from support.backups import DAY, NOW, arrived, flip, hollow
from support.killed import killed_at
from support.s3 import S3
from support.vault import Vault, vault

pytestmark = pytest.mark.slow

TWO = VaultPolicy(retention=Policy(daily=2, weekly=0, monthly=0))


@pytest.fixture
def two(tmp_path: Path) -> Vault:
    """A vault of two directories, with five daily backups in both."""
    made = vault(tmp_path, [], ("local", "offsite"))
    for n in range(5):
        hollow(made.destinations, NOW - n * DAY, number=n)
    return made


def run(made: Vault, policy: VaultPolicy = TWO, **more: Any) -> Result:
    destinations: Sequence[Destination] = more.pop("destinations", made.destinations)
    return prune("nba", destinations, policy, now=more.pop("now", NOW), **more)


def ages(made: Vault, destination: str) -> list[int]:
    """How many days old the whole backups of a destination are."""
    return [(NOW - each.taken_at).days for each in made.catalog().backups if destination in each.where]


def of(result: Result, name: str) -> list[Finding]:
    return [finding for finding in result.findings if finding.id == name]


def test_what_is_past_retention_goes_everywhere_and_a_second_run_changes_nothing(two: Vault) -> None:
    planned = run(two, check=True)
    assert ages(two, "local") == [0, 1, 2, 3, 4]
    done = run(two)
    assert done.changed
    assert done.actions == planned.actions
    assert len(done.actions) == 6
    assert "remove nba/database/20261120T120000Z-00000002/ from local" in " ".join(done.actions)
    assert ages(two, "local") == ages(two, "offsite") == [0, 1]
    assert not any("00000002" in name for name in two.files("local"))
    again = run(two)
    assert not again.changed
    assert again.actions == []


def test_a_destination_that_missed_weeks_keeps_its_old_ones(two: Vault) -> None:
    local, offsite = two.destinations
    for n in range(3):
        shutil.rmtree(Path(offsite.where, "nba/database", f"{NOW - n * DAY:%Y%m%dT%H%M%SZ}-{n:08x}"))
    run(two)
    assert ages(two, local.name) == [0, 1]
    assert ages(two, offsite.name) == [3, 4]


def test_a_destination_that_cannot_be_reached_is_named_and_the_others_are_pruned(two: Vault) -> None:
    Path(two.destinations[0].where).rename(two.home / "away")
    done = run(two)
    assert [(each.subject, each.status) for each in of(done, "vault.destination")] == [("local", Status.CRIT)]
    assert ages(two, "offsite") == [0, 1]
    assert done.metrics["destinations_failed"] == 1
    (two.home / "away").rename(two.home / "local")
    assert ages(two, "local") == [0, 1, 2, 3, 4]


class Failing:
    """A destination that fails at the n-th deletion, as a store does that answers 403 or 503."""

    def __init__(self, inner: Destination, at: int) -> None:
        self._inner, self._left = inner, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def delete(self, key: str) -> None:
        self._left -= 1
        if self._left == 0:
            raise DestinationError(f"destination {self._inner.name}: 403", "denied")
        self._inner.delete(key)


@pytest.mark.parametrize("at", range(1, 7))
def test_a_store_that_refuses_a_removal_leaves_no_half_backup_that_looks_good(two: Vault, at: int) -> None:
    local, offsite = two.destinations
    done = run(two, destinations=[Failing(local, at), offsite])
    trouble = [each for each in of(done, "vault.prune") if each.status is Status.CRIT]
    assert [each.subject for each in trouble] == ["nba on local"]
    assert ages(two, "offsite") == [0, 1]
    assert ages(two, "local")[:2] == [0, 1]
    gone = at // 2  # a backup has two objects, its manifest first
    assert len(ages(two, "local")) == 5 - gone
    told = [action for action in done.actions if "from local" in action]
    assert len(told) == gone
    assert done.metrics["backups_removed"] == gone + 3
    assert [action for action in told if "not to its end" in action] == (told[-1:] if at % 2 == 0 else [])
    assert trouble[0].applied == "; ".join(told)
    assert all(problem.kind == "incomplete" for problem in two.catalog().problems)
    run(two, policy=msgspec.structs.replace(TWO, leftovers_hours=1))
    assert ages(two, "local") == [0, 1]
    assert not two.catalog().problems


@pytest.mark.parametrize("step", range(1, 40))
def test_a_prune_that_is_killed_at_any_change_leaves_nothing_that_looks_good_and_is_not(
    two: Vault, step: int
) -> None:
    reached = killed_at(step, lambda: run(two))
    seen = two.catalog()
    assert {problem.kind for problem in seen.problems} <= {"incomplete"}
    for backup in seen.backups:
        for place in backup.where:
            folder = two.home / place / backup.prefix
            assert (folder / "nba.dump.zst.age").stat().st_size == 40
    assert ages(two, "local")[:2] == ages(two, "offsite")[:2] == [0, 1]
    run(two, policy=msgspec.structs.replace(TWO, leftovers_hours=1))
    assert ages(two, "local") == ages(two, "offsite") == [0, 1]
    assert not two.catalog().problems
    assert len(two.files("local")) == len(two.files("offsite")) == 4
    if not reached:
        pytest.skip("it has fewer changes than this")


def test_on_s3_a_prune_that_is_killed_at_any_step_leaves_nothing_that_looks_good(
    s3: S3, tmp_path: Path
) -> None:
    now = datetime.now(UTC)  # a store says itself when something arrived
    made = vault(tmp_path, [], ("local",))
    made.told["destinations"].insert(0, s3.destination("offsite"))
    for n in range(5):  # the directory says that they arrived on their days
        hollow(made.destinations, now - n * DAY, number=n)
    planned = run(made, check=True, now=now).details["retention"]
    (goes,) = [entry["removed"] for entry in planned if entry["destination"] == "offsite"]
    names = (manifests.NAME, "nba.dump.zst.age")
    steps = [f"offsite: {each['prefix']}{name}" for each in goes for name in names]
    assert len(steps) == 6

    for step in steps:
        dying.killed_at(step, 1, lambda trace: run(made, now=now, trace=trace))
        seen, stored = made.catalog(), s3.keys()
        assert {problem.kind for problem in seen.problems} <= {"incomplete"}, step
        there = [each for each in seen.backups if "offsite" in each.where]
        assert [(now - each.taken_at).days for each in there[:2]] == [0, 1], step
        for backup in there:
            assert f"{backup.prefix}nba.dump.zst.age" in stored, step
    run(made, now=now)
    there = [each for each in made.catalog().backups if "offsite" in each.where]
    assert [(now - each.taken_at).days for each in there] == [0, 1]
    stored = s3.keys()
    assert len([key for key in stored if key.endswith(manifests.NAME)]) == 2


def test_what_is_held_stays_until_it_is_released(two: Vault) -> None:
    old = two.catalog().backups[-1].id
    held = hold.hold("nba", two.destinations, old, "before the migration", now=NOW)
    assert len(held.actions) == 2
    assert not hold.hold("nba", two.destinations, old, "again", now=NOW).changed
    run(two)
    assert ages(two, "local") == ages(two, "offsite") == [0, 1, 4]
    assert hold.release("nba", two.destinations, old).changed
    run(two)
    assert ages(two, "local") == ages(two, "offsite") == [0, 1]


def test_what_is_held_on_one_destination_stays_on_all(two: Vault) -> None:
    old = two.catalog().backups[-1]
    two.destinations[0].put(old.prefix + catalog.HOLD, b"{}")
    run(two)
    assert 4 in ages(two, "local")
    assert 4 in ages(two, "offsite")


def test_what_is_held_between_the_plan_and_its_turn_stays(two: Vault) -> None:
    late = two.catalog().backups[2]

    def meanwhile(step: str) -> None:
        if step.startswith("local: ") and late.id not in step:
            two.destinations[0].put(late.prefix + catalog.HOLD, b"{}")

    run(two, trace=meanwhile)
    assert ages(two, "local") == [0, 1, 2]


def test_the_last_proven_one_stays(two: Vault) -> None:
    old = two.catalog().backups[-1]
    stamp = f"{NOW - 3 * DAY:%Y%m%dT%H%M%SZ}"
    two.destinations[1].put(f"{old.prefix}proof-{stamp}.json", b"{}")
    run(two)
    assert ages(two, "offsite") == ages(two, "local") == [0, 1, 4]


def test_a_manifest_that_was_tampered_with_removes_nothing_and_is_not_removed(two: Vault) -> None:
    newest = two.catalog().backups[0]
    flip(two.destinations[0], newest.prefix + manifests.NAME, 60)
    before = two.files("local")
    done = run(two)
    # The two newest that are good there, and the refused one, which nobody removes by itself.
    assert ages(two, "local") == [1, 2]
    assert newest.prefix + manifests.NAME in two.files("local")
    assert len(before) > len(two.files("local"))
    assert done.changed


@pytest.mark.parametrize("fault", ["missing", "truncated"])
def test_a_broken_copy_takes_no_good_ones_place_and_goes_when_it_is_replaced(two: Vault, fault: str) -> None:
    newest = two.catalog().backups[0]
    part = Path(two.destinations[0].where, newest.prefix, "nba.dump.zst.age")
    if fault == "missing":
        part.unlink()
    else:
        part.write_bytes(b"x" * 10)
    arrived(two.destinations[0], newest.prefix, NOW)
    run(two)
    assert ages(two, "local") == [1, 2]
    assert ages(two, "offsite") == [0, 1]
    later = NOW + 9 * DAY
    hollow(two.destinations, later, number=9)
    done = run(two, now=later)
    assert any(f"{newest.prefix} from local" in each and "broken" in each for each in done.actions)


def test_what_a_killed_backup_left_goes_after_its_grace_and_what_is_at_work_stays(two: Vault) -> None:
    local = two.destinations[0]
    part = "nba/database/{}/nba.dump.zst.age"
    old, young = (f"{NOW - timedelta(hours=hours):%Y%m%dT%H%M%SZ}-aaaaaaaa" for hours in (60, 3))
    for name, hours in ((old, 60), (young, 3)):
        local.put(part.format(name), b"half")
        arrived(local, f"nba/database/{name}/", NOW - timedelta(hours=hours))
    done = run(two, policy=msgspec.structs.replace(TWO, retention=Policy()))
    assert part.format(old) not in two.files("local")
    assert part.format(young) in two.files("local")
    assert [each for each in done.actions if "killed" in each] == [
        f"remove nba/database/{old}/ from local (4 B, left by a run that was killed)"
    ]


@pytest.mark.parametrize("now", [datetime(1970, 1, 2, tzinfo=UTC), datetime(2006, 1, 1, tzinfo=UTC)])
def test_a_clock_that_jumped_back_removes_nothing(two: Vault, now: datetime) -> None:
    assert not run(two, now=now).changed


def test_a_clock_that_jumped_ahead_removes_what_retention_would_and_no_run_at_work(two: Vault) -> None:
    local = two.destinations[0]
    key = f"nba/database/{NOW:%Y%m%dT%H%M%SZ}-bbbbbbbb/nba.dump.zst.age"
    local.put(key, b"at work")
    arrived(local, key.rpartition("/")[0], NOW)
    run(two, now=NOW + 4000 * DAY)
    assert key in two.files("local")
    assert ages(two, "local") == [0, 1]


def test_where_the_good_one_vanished_meanwhile_the_others_stay(two: Vault) -> None:
    local, offsite = two.destinations

    class Losing(Failing):
        def stat(self, _key: str) -> None:
            return None

    done = run(two, destinations=[Losing(local, -1), offsite])
    assert ages(two, "local") == [0, 1, 2, 3, 4]
    assert "they stay" in " ".join(each.summary for each in of(done, "vault.prune"))


def test_every_source_is_pruned_by_itself(two: Vault) -> None:
    hollow(two.destinations, NOW - 400 * DAY, source="config", number=7)
    run(two)
    assert [each.source for each in two.catalog().backups] == ["database", "database", "config"]
