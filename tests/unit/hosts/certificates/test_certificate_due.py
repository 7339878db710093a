"""Renewal by fraction or by the CA's window, and the wait after failures."""

from __future__ import annotations

from datetime import timedelta

import pytest

from courtkeeper.hosts.certificates import due, x509
from courtkeeper.hosts.certificates.settings import Limits
from support import certificates
from support.certificates import DAY, NOW

HOUR = timedelta(hours=1)
LIMITS = Limits()


def leaf(lifetime: timedelta, age: timedelta) -> x509.Facts:
    made = certificates.make("a.test", names=("a.test",), start=NOW - age, lifetime=lifetime)
    return x509.read_chain(made.pem, "it")[0]


@pytest.mark.parametrize(
    ("lifetime", "age", "is_due"),
    [
        (90 * DAY, 59 * DAY, False),
        (90 * DAY, 60 * DAY, True),
        (47 * DAY, 31 * DAY, False),
        (47 * DAY, 32 * DAY, True),
        (10 * DAY, 6 * DAY, False),
        (6 * DAY, 2.9 * DAY, False),
        (6 * DAY, 3 * DAY, True),
        (90 * DAY, 100 * DAY, True),
    ],
)
def test_a_third_is_left_at_renewal_and_a_half_of_short_lifetimes(
    lifetime: timedelta, age: timedelta, is_due: bool
) -> None:
    decision = due.decide(leaf(lifetime, age), now=NOW, limits=LIMITS, window=None, interval=DAY)
    assert decision.due is is_due
    assert (decision.at <= NOW) is is_due


def test_the_window_of_the_ca_overrides_the_fraction() -> None:
    fresh = leaf(90 * DAY, 1 * DAY)
    window = due.Window(NOW - 2 * DAY, NOW - DAY)
    decision = due.decide(fresh, now=NOW, limits=LIMITS, window=window, interval=DAY)
    assert decision.due
    assert "the CA suggests 2026-02-27" in decision.reason
    old = leaf(90 * DAY, 80 * DAY)
    later = due.Window(NOW + 3 * DAY, NOW + 4 * DAY)
    assert not due.decide(old, now=NOW, limits=LIMITS, window=later, interval=DAY).due


def test_a_moment_before_the_next_run_is_due_now() -> None:
    fresh = leaf(90 * DAY, 1 * DAY)
    window = due.Window(NOW + 2 * HOUR, NOW + 3 * HOUR)
    assert due.decide(fresh, now=NOW, limits=LIMITS, window=window, interval=DAY).due
    assert not due.decide(fresh, now=NOW, limits=LIMITS, window=window, interval=HOUR).due


def test_moments_in_a_window_are_spread_and_stay() -> None:
    window = due.Window(NOW, NOW + DAY)
    moments = [window.moment(leaf(90 * DAY, number * DAY).fingerprint) for number in range(1, 9)]
    assert len(set(moments)) == 8
    assert all(NOW <= moment < NOW + DAY for moment in moments)
    assert window.moment("8" + "0" * 63) == NOW + DAY / 2


def tries(*ages: timedelta, request: str = "a", ok: bool = False) -> list[due.Try]:
    return [due.Try(NOW - age, request, ok) for age in ages]


def test_the_wait_doubles_from_an_hour_to_a_day() -> None:
    waits = []
    for count in range(1, 8):
        made = tries(*[number * DAY for number in range(count, 0, -1)])
        at = due.next_try(made, "a", per_day=100)
        assert at is not None
        waits.append((at - made[-1].at) / HOUR)
    assert waits == [1, 2, 4, 8, 16, 24, 24]


def test_a_mended_request_and_a_success_need_no_wait() -> None:
    failed = tries(HOUR / 2)
    assert due.next_try(failed, "a", per_day=5) == NOW + HOUR / 2
    assert due.next_try(failed, "mended", per_day=5) is None
    assert due.next_try([*failed, *tries(HOUR / 3, ok=True)], "a", per_day=5) is None
    assert due.next_try([], "a", per_day=5) is None


def test_all_tries_of_a_day_count_whatever_they_came_to() -> None:
    made = tries(5 * HOUR, 4 * HOUR, ok=True) + tries(3 * HOUR, request="b")
    assert due.next_try(made, "c", per_day=3) == NOW + 19 * HOUR
    assert due.next_try(made, "c", per_day=4) is None
