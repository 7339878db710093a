"""What is news, and that nobody is told twice, on both kinds of stores."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.calendar.load import Loaded, Problem
from courtkeeper.calendar.load import load as load_calendar
from courtkeeper.findings import ConfigurationError
from courtkeeper.notify import load
from courtkeeper.notify.deliver import DeliveryError
from courtkeeper.notify.model import Channel, Ping
from courtkeeper.notify.outbox import LEASE, MessageRow, Outbox
from courtkeeper.notify.service import Notifier, Setup
from courtkeeper.runner.record import RunStatus
from courtkeeper.store import Store
from support.notices import checkout, scheduled, slot
from support.records import NOON, found, record


class Bench:
    """A notifier with a clock that a test sets, and receivers that note what they get."""

    def __init__(self, store: Store, root: Path) -> None:
        self.store = store
        self.now = NOON
        self.got: list[MessageRow] = []
        self.said: list[str] = []
        self.trouble: Exception | None = None
        self.inventory = checkout(root, {})
        self.wanted = load.load(self.inventory, root)
        self.calendar = load_calendar(self.inventory, root)
        assert not self.calendar.problems
        self.notifier = self.another()
        self.notifier.tick()
        self.got.clear()  # the digest of the first day

    def another(self) -> Notifier:
        return Notifier(
            "embedded",
            store=self.store,
            read=lambda: Setup(wanted=self.wanted, secrets={}),
            calendar=lambda: self.calendar,
            clock=lambda: self.now,
            say=self.said.append,
            send=self.send,
        )

    def send(self, _to: Channel | Ping, message: MessageRow, _secrets: Mapping[str, Any]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.got.append(message)

    def at(self, hours: float) -> list[tuple[str, str]]:
        """Go to so many hours after noon, tick, and return what was sent since."""
        self.now = NOON + timedelta(hours=hours)
        before = len(self.got)
        self.notifier.tick()
        return sorted((each.channel, each.title) for each in self.got[before:] if each.event != "digest")


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path / "checkout")


FAILS = ("team", "[embedded] checks fails")
RECOVERED = ("team", "[embedded] checks has recovered")
PING = {each: ("switch", f"[embedded] checks: {each}") for each in ("start", "success", "failure")}


def test_people_hear_of_a_failure_once_and_of_the_recovery(bench: Bench) -> None:
    scheduled(bench.store, 1)
    assert bench.at(1.1) == [PING["start"], PING["success"]]
    scheduled(bench.store, 2, good=False, findings=[found("/", "crit", fix="make room")])
    assert bench.at(2.1) == [PING["failure"], PING["start"], FAILS]
    body = next(each.body for each in bench.got if each.title == FAILS[1])
    assert "the disk is full" in body
    assert "CRIT db1: /: / is crit. Mend: make room" in body
    assert "https://keeper.example/runs/" in body
    scheduled(bench.store, 3, good=False)
    assert bench.at(3.1) == [PING["failure"], PING["start"]]
    scheduled(bench.store, 4)
    assert bench.at(4.1) == [PING["start"], PING["success"], RECOVERED]
    assert any("after 2 h 0 min in which it failed, 2 runs" in each.body for each in bench.got)
    scheduled(bench.store, 5)
    assert bench.at(5.1) == [PING["start"], PING["success"]]
    assert bench.at(5.2) == []


def test_a_critical_finding_is_a_failure_and_a_retry_is_none(bench: Bench) -> None:
    done = scheduled(bench.store, 1, findings=[found("/", "crit")])
    assert FAILS in bench.at(1.1)
    # Attempt 1 failed, but the slot goes on: that is no news until it has come to its end.
    at = NOON + timedelta(hours=2)
    slot(bench.store, "checks", at, "retrying", run_id="x", finished_at=None)
    assert bench.at(2.5) == []
    assert done.run_id


def test_what_a_person_runs_counts_for_recovery_and_check_mode_does_not(bench: Bench) -> None:
    scheduled(bench.store, 1, good=False)
    bench.at(1.1)
    bench.store.recording.finish(record(2, check=True))
    bench.store.recording.finish(record(3, status=RunStatus.CANCELLED))
    assert RECOVERED not in bench.at(3.1)
    bench.store.recording.finish(record(4))
    assert RECOVERED in bench.at(4.1)


def test_missed_slots_are_one_message(bench: Bench) -> None:
    for number in range(12):
        at = NOON + timedelta(minutes=number)
        slot(bench.store, "checks", at, "missed", reason="the scheduler was down")
    slot(bench.store, "other", NOON, "missed", reason="of a job that tells nobody")
    assert bench.at(1) == [("team", "[embedded] missed: checks")]
    body = bench.got[-1].body
    assert body.startswith(
        "12 runs did not begin:\n- checks, due 2026-03-02 12:00 UTC: the scheduler was down"
    )
    assert "- and 2 more" in body


def test_of_a_job_whose_entry_is_broken_everybody_hears(bench: Bench) -> None:
    bench.at(0.1)
    slot(bench.store, "checks", NOON, "missed", reason="it cannot be used as it stands there")
    bench.calendar = Loaded(file="calendar.yml", problems=(Problem("calendar.yml", 1, "is no YAML"),))
    assert bench.at(1) == [("team", "[embedded] missed: checks")]
    good = load_calendar(bench.inventory, bench.inventory.parents[1])
    bench.calendar = Loaded(file="", jobs=good.jobs, broken=("other",), problems=(Problem("", 1, "x"),))
    slot(bench.store, "other", NOON, "missed", reason="it cannot be used as it stands there")
    assert bench.at(2) == [("team", "[embedded] missed: other")]


def test_the_past_is_no_news_on_the_first_day(store: Store, tmp_path: Path) -> None:
    scheduled(store, -1, good=False)
    bench = Bench(store, tmp_path / "checkout")
    assert bench.at(0.1) == []


def test_an_outcome_that_comes_late_changes_nothing(bench: Bench) -> None:
    scheduled(bench.store, 2)
    bench.at(2.1)
    scheduled(bench.store, 1, good=False)  # taken in from its files only now
    assert FAILS not in bench.at(2.2)
    assert [each.bad for each in bench.notifier._notices.standings().values()] == [False]


def test_two_notifiers_tell_once(bench: Bench) -> None:
    for number in range(1, 30):
        scheduled(bench.store, number, good=number % 2 == 0)
    bench.now = NOON + timedelta(hours=30)
    two = [bench.notifier, bench.another()]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            list(pool.map(lambda each: each.tick(), two))
    keys = [(each.channel, each.key) for each in bench.got]
    assert len(keys) == len(set(keys))
    titles = [
        title for title in (each.title for each in bench.got) if "fails" in title or "recovered" in title
    ]
    assert len(titles) == 29


def test_who_dies_while_sending_loses_nothing_and_says_it_under_the_same_reference(bench: Bench) -> None:
    """The process dies after the receiver took the message and before the store heard of it."""

    class Killed(BaseException):
        """As SIGKILL: nothing that comes after it is done."""

    scheduled(bench.store, 1, good=False)
    bench.now = NOON + timedelta(hours=1.1)
    dying = bench.another()
    taken: list[MessageRow] = []

    def dies(_to: object, message: MessageRow, _secrets: object) -> None:
        taken.append(message)
        raise Killed

    dying._send = dies
    with pytest.raises(Killed):
        dying.tick()
    assert bench.at(1.101) == []  # it may live still: nobody says it twice meanwhile
    bench.at(1.1 + LEASE.total_seconds() / 3600 + 0.001)
    told = {each.reference for each in bench.got if each.event != "digest"}
    assert {each.reference for each in taken} <= told
    assert len([each for each in bench.got if each.event == "failure" and each.channel == "team"]) == 1
    bench.at(3)
    assert len([each for each in bench.got if each.event == "failure" and each.channel == "team"]) == 1


def test_a_channel_that_does_not_answer_is_tried_again_and_at_last_given_up(bench: Bench) -> None:
    scheduled(bench.store, 1, good=False)
    bench.trouble = DeliveryError("team: it answered 503.")
    assert bench.at(1.1) == []
    outbox = Outbox(bench.store.database, "embedded")
    assert outbox.counts()["waiting"] == 3
    bench.trouble = None
    assert bench.at(1.11) == []  # not before a minute has passed
    assert FAILS in bench.at(1.2)
    scheduled(bench.store, 2)
    bench.trouble = ConfigurationError("the channel team has no address")
    for hours in range(2, 80, 3):
        bench.at(hours + 0.1)
    assert {each.title for each in outbox.latest(limit=500) if each.state == "given up"} >= {RECOVERED[1]}
    assert any("the channel team has no address" in each for each in bench.said)


def test_a_plugin_that_breaks_does_not_say_where_to(bench: Bench) -> None:
    scheduled(bench.store, 1, good=False)
    bench.trouble = KeyError("json://user:sekret-of-theirs@host")
    bench.at(1.1)
    rows = Outbox(bench.store.database, "embedded").latest(limit=50)
    assert {each.error for each in rows if each.state == "waiting"} == {"team: KeyError", "switch: KeyError"}


def test_the_digest_comes_once_a_day(bench: Bench) -> None:
    def digests() -> list[MessageRow]:
        return [each for each in bench.got if each.event == "digest"]

    scheduled(bench.store, 9, good=False, findings=[found("/", "warn", fix="make room")])
    slot(bench.store, "checks", NOON + timedelta(hours=10), "missed", reason="no room")
    seven = datetime(2026, 3, 3, 12, tzinfo=NOON.tzinfo)  # 07:00 in New York
    for minutes in (-1, 0, 1, 600):
        bench.now = seven + timedelta(minutes=minutes)
        bench.notifier.tick()
        bench.another().tick()
    (digest,) = digests()
    assert digest.title == "[embedded] digest of 2026-03-03: 1 failing"
    assert digest.body.splitlines()[:4] == [
        "1 run in the last 24 hours: 0 ok, 1 failed.",
        "1 run was missed.",
        "Failing: checks, since 2026-03-02 21:00 UTC.",
        "Open findings: 1 warn.",
    ]
    bench.now = seven + timedelta(days=1, hours=3)  # the scheduler was down in the morning
    bench.notifier.tick()
    assert [each.title for each in digests()][1:] == ["[embedded] digest of 2026-03-04: 1 failing"]
