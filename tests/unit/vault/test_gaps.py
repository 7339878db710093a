"""Laws of what destinations miss: once it is copied nothing is missed, and pruning removes none of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.vault.catalog import Backup, Catalog, Copy, Problem
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.policy import VaultPolicy
from courtkeeper.vault.prune import plans
from courtkeeper.vault.refill import gaps
from courtkeeper.vault.retention import Policy

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLACES = ("disk", "bucket", "third")
PART = Part(
    name="x.age",
    kind="tar",
    plain_size=1,
    plain_sha256="0" * 64,
    sealed_size=1,
    sealed_sha256="0" * 64,
)


def taken(hours: int, where: list[str], late: bool) -> Backup:
    at = NOW - timedelta(hours=hours)
    stored = min(at + timedelta(days=3 if late else 0), NOW)
    name = f"{at:%Y%m%dT%H%M%SZ}-{hours:08x}"
    manifest = Manifest(
        vault="nba", source="config", kind="files", id=name, taken_at=at, finished_at=at, duration_s=1,
        parts=[PART], recipients=[],
    )  # fmt: skip
    copies = tuple(Copy(place, 1, stored) for place in where)
    return Backup(
        id=name, vault="nba", source="config", taken_at=at, plain_size=1, sealed_size=1, copies=copies,
        manifest=manifest, held=hours % 17 == 0,
    )  # fmt: skip


seen = st.dictionaries(
    st.integers(0, 24 * 90),
    st.tuples(st.lists(st.sampled_from(PLACES), min_size=1, unique=True), st.booleans()),
    max_size=25,
).map(
    lambda found: Catalog(
        backups=tuple(taken(hours, *how) for hours, how in sorted(found.items())),
        problems=(),
        reached=PLACES,
    )
)
policies = st.builds(Policy, daily=st.integers(1, 9), weekly=st.integers(0, 4), monthly=st.integers(0, 3))


def filled(before: Catalog, policy: Policy) -> Catalog:
    """The catalog after everything that is missed was copied, today."""
    missed = gaps(before, policy, now=NOW)
    backups = [
        msgspec.structs.replace(
            each,
            copies=each.copies
            + tuple(Copy(gap.destination, 1, NOW) for gap in missed if gap.backup.id == each.id),
        )
        for each in before.backups
    ]
    return msgspec.structs.replace(before, backups=tuple(backups))


@given(before=seen, policy=policies)
def test_what_was_copied_is_not_missed_again_and_is_not_pruned(before: Catalog, policy: Policy) -> None:
    missed = gaps(before, policy, now=NOW)
    assert [gap.backup.taken_at for gap in missed] == sorted(
        (gap.backup.taken_at for gap in missed), reverse=True
    )
    assert all(gap.destination not in gap.backup.where for gap in missed)
    after = filled(before, policy)
    assert gaps(after, policy, now=NOW) == []
    removed = {
        (removal.destination, removal.prefix)
        for place in plans(after, VaultPolicy(retention=policy), now=NOW)
        for removal in place.removals
    }
    assert not removed & {(gap.destination, gap.backup.prefix) for gap in missed}


@given(before=seen, policy=policies)
def test_pruning_first_leaves_nothing_to_prune_after(before: Catalog, policy: Policy) -> None:
    """Copying and pruning come to an end: they do not undo each other day after day."""
    after = filled(before, policy)
    gone = {
        (removal.destination, removal.prefix)
        for place in plans(after, VaultPolicy(retention=policy), now=NOW)
        for removal in place.removals
    }
    left = [
        msgspec.structs.replace(
            each, copies=tuple(copy for copy in each.copies if (copy.destination, each.prefix) not in gone)
        )
        for each in after.backups
    ]
    pruned = msgspec.structs.replace(after, backups=tuple(each for each in left if each.copies))
    assert gaps(pruned, policy, now=NOW) == []


@given(before=seen, policy=policies)
def test_a_refused_manifest_is_not_written_over(before: Catalog, policy: Policy) -> None:
    problems = tuple(
        Problem(destination=gap.destination, kind="manifest", prefix=gap.backup.prefix, sentence="no")
        for gap in gaps(before, policy, now=NOW)
    )
    assert gaps(msgspec.structs.replace(before, problems=problems), policy, now=NOW) == []
