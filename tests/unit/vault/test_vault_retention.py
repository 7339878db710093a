"""Which backups stay: by example, and by laws that hold for any set of backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError, Status
from courtkeeper.vault import retention
from courtkeeper.vault.retention import Candidate, Plan, Policy, plan
from courtkeeper.vault.retention_findings import findings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def daily(days: int, **more: object) -> list[Candidate]:
    """One good backup at 03:00 of each of the last `days` days; ids by how many days ago."""
    first = NOW.replace(hour=3)
    return [Candidate(id=f"d{n:04}", taken_at=first - n * DAY, **more) for n in range(days)]


def kept(made: Plan) -> set[str]:
    return {each.id for each in made.keep}


def needs(made: Plan, segment: str) -> bool:
    """Tell whether a plan's spans hold a segment: its position counts (log and segment), on any timeline."""
    return any(
        span.start[8:] <= segment[8:] and (not span.stop or segment[8:] <= span.stop[8:]) for span in made.wal
    )


# --- By example


def test_thirty_days_twelve_weeks_and_twenty_four_months_of_three_years() -> None:
    made = plan(daily(1100), Policy(), now=NOW)
    reasons = made.reasons()
    by_level = {
        level: [each for each, why in reasons.items() if level in why]
        for level in ("daily", "weekly", "monthly")
    }
    assert {level: len(ids) for level, ids in by_level.items()} == {"daily": 30, "weekly": 12, "monthly": 24}
    assert by_level["daily"] == [f"d{n:04}" for n in range(30)]
    # 22 November 2026 is a Sunday: the weeks end on it and the Sundays before.
    assert by_level["weekly"] == [f"d{7 * n:04}" for n in range(12)]
    # The last of each month, and of this one the newest.
    assert by_level["monthly"][:3] == ["d0000", "d0022", "d0053"]
    assert len(made.keep) + len(made.remove) == 1100
    assert made.remove[0] == "d1099"


def test_the_day_is_that_of_the_time_zone() -> None:
    evening = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)  # the 22nd in Berlin
    morning = datetime(2026, 11, 22, 3, tzinfo=UTC)
    both = [Candidate(id="evening", taken_at=evening), Candidate(id="morning", taken_at=morning)]
    policy = Policy(daily=2, weekly=0, monthly=0)
    assert kept(plan(both, policy, now=NOW)) == {"evening", "morning"}
    berlin = msgspec.structs.replace(policy, time_zone="Europe/Berlin")
    assert kept(plan(both, berlin, now=NOW)) == {"morning"}


def test_where_backups_stopped_nothing_ages_away() -> None:
    later = NOW + 4000 * DAY
    assert kept(plan(daily(30), Policy(), now=later)) == kept(plan(daily(30), Policy(), now=NOW))


def test_two_of_the_same_minute_are_decided_alike_whatever_their_order() -> None:
    one, other = (Candidate(id=name, taken_at=NOW) for name in ("a", "b"))
    policy = Policy(daily=1, weekly=0, monthly=0)
    assert kept(plan([one, other], policy, now=NOW)) == kept(plan([other, one], policy, now=NOW)) == {"b"}


def test_a_good_one_is_not_let_go_for_a_bad_one() -> None:
    good = Candidate(id="good", taken_at=NOW - 2 * DAY)
    bad = [Candidate(id=f"bad{n}", taken_at=NOW - n * DAY, good=False) for n in (0, 1)]
    made = plan([good, *bad], Policy(daily=1, weekly=0, monthly=0), now=NOW)
    assert kept(made) == {"good", "bad0", "bad1"}
    assert "newest" in made.reasons()["good"]
    much_later = plan(
        [good, *bad, Candidate(id="new", taken_at=NOW + 9 * DAY)],
        Policy(daily=1, weekly=0, monthly=0),
        now=NOW + 9 * DAY,
    )
    assert kept(much_later) == {"new"}


def test_where_none_is_good_everything_stays() -> None:
    made = plan(daily(900, good=False), Policy(), now=NOW)
    assert made.remove == ()
    assert [(each.id, each.status) for each in findings(made, "vault")] == [
        ("backup.retention.none_good", Status.CRIT)
    ]


def test_the_last_proven_stays_though_it_is_old_and_later_found_broken() -> None:
    backups = daily(1000)
    backups[990] = msgspec.structs.replace(backups[990], proven_at=NOW - 900 * DAY)
    assert "last proven" in plan(backups, Policy(), now=NOW).reasons()["d0990"]
    backups[990] = msgspec.structs.replace(backups[990], good=False)
    assert "last proven" in plan(backups, Policy(), now=NOW).reasons()["d0990"]


def test_a_drill_of_an_old_one_by_rotation_keeps_it_and_the_newest_proven() -> None:
    backups = daily(1000)
    backups[400] = msgspec.structs.replace(backups[400], proven_at=NOW - 399 * DAY)
    backups[700] = msgspec.structs.replace(backups[700], proven_at=NOW - DAY)
    assert {"d0400", "d0700"} <= kept(plan(backups, Policy(), now=NOW))


def test_what_is_dated_in_the_future_is_kept_and_takes_nobodys_place() -> None:
    """A clock that stood in 2030 for forty backups."""
    future = [Candidate(id=f"f{n}", taken_at=datetime(2030, 1, 1, tzinfo=UTC) + n * DAY) for n in range(40)]
    made = plan([*daily(1100), *future], Policy(), now=NOW)
    assert kept(made) == kept(plan(daily(1100), Policy(), now=NOW)) | {each.id for each in future}
    assert [each.id for each in findings(made, "vault")] == ["backup.retention.future"]
    assert "newest" in made.reasons()["d0000"]


def test_a_clock_that_stands_in_the_past_removes_nothing() -> None:
    assert plan(daily(1100), Policy(), now=datetime(1970, 1, 1, tzinfo=UTC)).remove == ()


def test_what_was_dated_in_the_past_by_a_jumping_clock_is_kept_until_somebody_could_look() -> None:
    wrong = Candidate(
        id="wrong", taken_at=datetime(1970, 1, 1, tzinfo=UTC), stored_at=NOW - timedelta(hours=1)
    )
    made = plan([*daily(1100), wrong], Policy(), now=NOW)
    assert made.reasons()["wrong"] == ("date in doubt",)
    assert [each.id for each in findings(made, "vault")] == ["backup.retention.doubtful"]
    assert "wrong" not in kept(plan([*daily(1100), wrong], Policy(), now=NOW + 31 * DAY))


def physical() -> list[Candidate]:
    """Sixty weeks: a full on Sundays, incrementals on the other days; WAL segments count the days."""
    backups = []
    full = ""
    for n in range(420):
        taken = NOW.replace(hour=3) - (419 - n) * DAY
        is_full = taken.isoweekday() == 7 or not full
        name = f"{taken:%Y%m%d}" + ("F" if is_full else "I")
        full = name if is_full else full
        backups.append(
            Candidate(
                id=name,
                taken_at=taken,
                needs=() if is_full else (full,),
                wal_start=f"00000001{2 * n:016X}",
                wal_stop=f"00000001{2 * n + 1:016X}",
            )
        )
    return backups


def test_a_full_stays_while_a_kept_incremental_needs_it() -> None:
    backups = physical()
    made = plan(backups, Policy(), now=NOW)
    known = {each.id: each for each in backups}
    assert all(need in kept(made) for each in made.keep for need in known[each.id].needs)
    assert "needed by another" in {reason for each in made.keep for reason in each.reasons}
    gone: set[str] = set()
    for each in made.remove:
        assert not any(each in known[other].needs for other in set(made.remove) - gone - {each})
        gone.add(each)


def test_incrementals_that_name_all_before_them_are_planned_at_once() -> None:
    """As pgBackRest's `reference`: a walk down every way would not end."""
    names = [f"{n:03}" for n in range(200)]
    backups = [
        Candidate(id=name, taken_at=NOW - (200 - n) * DAY, needs=tuple(names[:n]))
        for n, name in enumerate(names)
    ]
    made = plan(backups, Policy(daily=1, weekly=0, monthly=0), now=NOW)
    assert kept(made) == set(names)
    backups[0] = msgspec.structs.replace(backups[0], good=False)
    assert plan(backups, Policy(), now=NOW).remove == ()


def test_an_incremental_whose_full_is_broken_is_no_good_backup() -> None:
    full = Candidate(id="full", taken_at=NOW - 3 * DAY, good=False)
    old = Candidate(id="old", taken_at=NOW - 9 * DAY)
    incremental = Candidate(id="incremental", taken_at=NOW - DAY, needs=("full",))
    lost = Candidate(id="lost", taken_at=NOW, needs=("gone",))
    made = plan([full, old, incremental, lost], Policy(daily=1, weekly=0, monthly=0), now=NOW)
    assert "newest" in made.reasons()["old"]


def test_the_log_of_a_promised_window_is_kept_without_a_gap() -> None:
    backups = physical()
    made = plan(backups, Policy(window_days=10), now=NOW)
    base = backups[409]  # 03:00 ten days ago; the window begins at noon
    assert base.taken_at <= NOW - 10 * DAY < backups[410].taken_at
    assert made.window_from == NOW - 10 * DAY
    assert all("point in time" in made.reasons()[each.id] for each in backups[409:])
    assert all(needs(made, f"00000002{n:016X}") for n in range(818, 900))
    days_before = {each.id for each in made.keep} & {each.id for each in backups[:409]}
    assert not needs(made, f"00000001{2 * 408:016X}") or backups[408].id in days_before
    gap = next(n for n in range(409) if backups[n].id not in days_before)
    assert not needs(made, f"00000001{2 * gap:016X}")
    # The fulls of this Sunday, the last one and the one the base needs.
    assert made.archive_fulls == 3


def test_a_promised_point_keeps_its_base_and_the_log_to_the_point() -> None:
    backups = physical()
    point = backups[100].taken_at + timedelta(hours=5)
    made = plan(backups, Policy(points=(point,)), now=NOW)
    assert "promised point" in made.reasons()[backups[100].id]
    assert all(needs(made, f"00000001{n:016X}") for n in range(200, 204))
    assert not needs(made, f"00000001{204:016X}")
    lost = plan(backups, Policy(points=(NOW - 4000 * DAY,)), now=NOW)
    assert [each.id for each in findings(lost, "main")] == ["backup.retention.point"]


def test_a_window_that_is_longer_than_the_backups_says_how_far_it_reaches() -> None:
    assert plan(daily(3), Policy(window_days=10), now=NOW).window_from == NOW.replace(hour=3) - 2 * DAY
    assert plan(daily(3), Policy(), now=NOW).window_from is None


@pytest.mark.parametrize(
    ("given_", "word"),
    [
        (Policy(daily=0, weekly=0, monthly=0), "keeps nothing"),
        (Policy(daily=-1), "policy.daily"),
        (Policy(time_zone="Mars/Olympus"), "policy.time_zone"),
        (Policy(time_zone="../../etc/passwd"), "policy.time_zone"),
        (Policy(points=(datetime(2026, 1, 1),)), "policy.points"),  # noqa: DTZ001
        (Policy(window_days=-1), "policy.window_days"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_key(given_: Policy, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        retention.checked(given_)


def test_the_default_policy_can_be() -> None:
    assert retention.checked(Policy()) == Policy(daily=30, weekly=12, monthly=24)


# --- By law

# A busy machine makes many backups slowly; that is no fault of the planner.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


MOMENTS = st.one_of(
    st.datetimes(datetime(2023, 1, 1), datetime(2026, 11, 22), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 90).map(lambda n: NOW - n * DAY),
    st.integers(-3, 40).map(lambda n: NOW + n * DAY),
    st.just(NOW),
)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """Any backups: broken, proven, held, chained, of the same minute, of the future, arrived at any time."""
    moments = sorted(draw(st.lists(MOMENTS, max_size=60)))
    found: list[Candidate] = []
    for n, moment in enumerate(moments):
        needs = ()
        if found and draw(st.booleans()):
            needs = (draw(st.sampled_from([each.id for each in found[-6:]])),)
        found.append(
            Candidate(
                id=f"{n:03}",
                taken_at=moment,
                stored_at=draw(st.none() | st.just(moment) | MOMENTS),
                good=draw(st.sampled_from([True, True, True, False])),
                proven_at=draw(st.none() | st.none() | st.just(moment + DAY)),
                held=draw(st.sampled_from([False, False, False, True])),
                needs=needs if draw(st.integers(0, 20)) else ("gone",),
                wal_start=f"00000001{2 * n:016X}",
                wal_stop=f"00000001{2 * n + 1:016X}",
            )
        )
    return found


POLICIES = st.builds(
    Policy,
    daily=st.integers(1, 40),
    weekly=st.integers(0, 14),
    monthly=st.integers(0, 26),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"]),
    window_days=st.sampled_from([0, 0, 1, 7, 30]),
    points=st.lists(MOMENTS, max_size=2).map(tuple),
    broken_days=st.integers(0, 30),
)


def whole(backup: Candidate, known: dict[str, Candidate]) -> bool:
    return backup.good and all(each in known and whole(known[each], known) for each in backup.needs)


def believed(backup: Candidate) -> bool:
    """Whether it arrived when it was taken, or so long ago that somebody has looked."""
    stored = backup.stored_at
    return not stored or stored - backup.taken_at <= 2 * DAY or NOW - stored >= 30 * DAY


@given(candidates(), POLICIES)
@patient
def test_law_what_must_stay_stays(backups: list[Candidate], policy: Policy) -> None:
    made = plan(backups, policy, now=NOW)
    known = {each.id: each for each in backups}
    stays = kept(made)
    assert stays.isdisjoint(made.remove)
    assert stays | set(made.remove) == set(known)
    assert len(made.remove) == len(set(made.remove))
    good = [each for each in backups if whole(each, known)]
    if good:
        past = [each for each in good if each.taken_at <= NOW] or good
        doubtless = [each for each in past if believed(each)]
        newest = max(doubtless or good, key=lambda each: (each.taken_at, each.id))
        assert newest.id in stays
        assert any(each.id in stays for each in good)
    else:
        assert not made.remove
    assert {each.id for each in backups if each.held} <= stays
    proven = [each for each in backups if each.proven_at]
    if proven:
        assert max(proven, key=lambda each: (each.taken_at, each.id)).id in stays
    assert {each.id for each in backups if each.taken_at > NOW + DAY} <= stays
    assert all(need in stays for each in stays for need in known[each].needs if need in known)


@given(candidates(), POLICIES)
@patient
def test_law_a_second_time_nothing_more_goes(backups: list[Candidate], policy: Policy) -> None:
    stays = kept(plan(backups, policy, now=NOW))
    again = plan([each for each in backups if each.id in stays], policy, now=NOW)
    assert again.remove == ()
    assert kept(again) == stays


@given(candidates(), POLICIES, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 30))
@patient
def test_law_who_promises_more_keeps_no_less(
    backups: list[Candidate], policy: Policy, days: int, weeks: int, months: int, window: int
) -> None:
    more = msgspec.structs.replace(
        policy,
        daily=policy.daily + days,
        weekly=policy.weekly + weeks,
        monthly=policy.monthly + months,
        window_days=policy.window_days + window,
    )
    assert kept(plan(backups, policy, now=NOW)) <= kept(plan(backups, more, now=NOW))


@given(candidates(), POLICIES, st.randoms())
@patient
def test_law_the_order_given_does_not_matter(backups: list[Candidate], policy: Policy, chance) -> None:
    shuffled = list(backups)
    chance.shuffle(shuffled)
    assert plan(shuffled, policy, now=NOW) == plan(backups, policy, now=NOW)


@given(st.lists(st.integers(0, 900), min_size=1, max_size=80), POLICIES, st.integers(1, 899))
@example(list(range(900)), Policy(), 450)
@patient
def test_law_pruning_on_the_way_ends_where_pruning_once_does(
    ages: list[int], policy: Policy, midway: int
) -> None:
    policy = msgspec.structs.replace(policy, points=(), window_days=0)
    backups = [
        Candidate(id=f"{n:04}", taken_at=NOW - timedelta(days=age, minutes=n)) for n, age in enumerate(ages)
    ]
    then = NOW - midway * DAY
    before = [each for each in backups if each.taken_at <= then]
    stayed = kept(plan(before, policy, now=then))
    rest = [each for each in backups if each.id in stayed or each.taken_at > then]
    assert kept(plan(rest, policy, now=NOW)) == kept(plan(backups, policy, now=NOW))


@given(candidates(), POLICIES)
@patient
def test_law_every_promised_point_keeps_base_and_log(backups: list[Candidate], policy: Policy) -> None:
    made = plan(backups, policy, now=NOW)
    known = {each.id: each for each in backups}
    trusted = [
        each
        for each in sorted(backups, key=lambda each: (each.taken_at, each.id))
        if whole(each, known) and each.taken_at <= NOW and believed(each)
    ]
    promised = [point for point in policy.points if point <= NOW]
    promised += [NOW - timedelta(days=policy.window_days)] * bool(policy.window_days)
    for point in promised:
        before = [each for each in trusted if each.taken_at <= point]
        if not before:
            continue
        base = before[-1]
        assert base.id in kept(made)
        # Up to the first backup after the point; for the window without an end.
        after = [n for n, each in enumerate(backups) if each.taken_at > point]
        last = 2 * min(after) + 1 if after and point in policy.points else 2 * len(backups) + 9
        assert all(needs(made, f"00000001{n:016X}") for n in range(2 * int(base.id), last + 1))
    for each in kept(made):
        assert needs(made, known[each].wal_start)
        assert needs(made, known[each].wal_stop)


@given(candidates(), POLICIES, st.sampled_from(["Asia/Tokyo", "America/St_Johns"]))
@patient
def test_law_the_zone_in_which_a_time_is_written_does_not_matter(
    backups: list[Candidate], policy: Policy, zone: str
) -> None:
    elsewhere = [
        msgspec.structs.replace(each, taken_at=each.taken_at.astimezone(ZoneInfo(zone))) for each in backups
    ]
    assert kept(plan(elsewhere, policy, now=NOW)) == kept(plan(backups, policy, now=NOW))
