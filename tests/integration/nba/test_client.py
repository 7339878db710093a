"""The client against the real feed server: what it sends, how it waits, when it stops asking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from courtkeeper.nba.client import FeedClient, FeedError, FeedSettings, ReplayClient, Trouble
from courtkeeper.nba.payloads import PayloadStore
from support import nba
from support.feed import Feed, feed_server

SCOREBOARD = "/static/json/liveData/scoreboard/todaysScoreboard_00.json"
BY_DATE, QUERY = "/stats/scoreboardv3", {"GameDate": "2026-02-11", "LeagueID": "00"}


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    with feed_server(tmp_path_factory.mktemp("feed"), **nba.SIMULATED) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_faults(feed: Feed) -> Iterator[None]:
    feed.set_faults([])
    feed.clear_log()
    yield
    feed.set_faults([])


class Waits(list[float]):
    """Records how long the client would have slept, and sleeps not at all."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def _ask(
    feed: Feed, times: int = 1, *, path=SCOREBOARD, store=None, sleep=None, now=nba.NOW, **settings: Any
) -> list[Any]:
    """Ask for the scoreboard; the answers, or the errors where there was none."""
    given = {"requests_per_second": 500, "timeout_s": 2, "backoff_s": 0.01, **settings}
    options = FeedSettings(cdn_url=feed.url, stats_url=feed.url, **given)
    more = {"sleep": sleep} if sleep is not None else {}

    async def ask() -> list[Any]:
        async with FeedClient(options, store, clock=lambda: now, **more) as client:
            answers: list[Any] = []
            for _ in range(times):
                try:
                    answers.append(await client.get("cdn", path))
                except FeedError as error:
                    answers.append(error)
            return answers

    return asyncio.run(ask())


def test_it_sends_what_the_hosts_want(feed):
    _ask(feed)
    (request,) = feed.log()
    headers = {k.lower(): v for k, v in request["headers"].items()}
    assert headers["referer"] == "https://www.nba.com/"
    assert headers["user-agent"].startswith("Mozilla/5.0")


def test_one_request_a_second_by_default():
    assert FeedSettings().requests_per_second == 1.0


def test_the_pace_is_kept(feed):
    began = time.monotonic()
    _ask(feed, times=4, requests_per_second=20)
    assert time.monotonic() - began >= 3 / 20
    assert len(feed.log()) == 4


def test_each_host_has_its_own_pace(feed):
    waits = Waits()
    options = FeedSettings(cdn_url=feed.url, stats_url=feed.url, requests_per_second=0.01)

    async def ask() -> list[int]:
        async with FeedClient(options, None, clock=lambda: nba.NOW, sleep=waits) as client:
            after = []
            for host, path in (("cdn", SCOREBOARD), ("stats", BY_DATE), ("cdn", SCOREBOARD)):
                await client.get(host, path, QUERY if host == "stats" else None)
                after.append(len(waits))
            return after

    assert asyncio.run(ask()) == [0, 0, 1]
    assert 90 < waits[0] <= 100


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "server_error", "status": 503, "times": 2},
        {"kind": "truncated", "times": 2},
        {"kind": "rate_limit", "retry_after": 0, "times": 2},
        {"kind": "hang", "seconds": 30, "times": 1},
        {"kind": "block_page", "times": 1},
        {"kind": "html_200", "times": 1},
    ],
)
def test_a_passing_trouble_is_waited_out(feed, fault):
    feed.set_faults([fault])
    (answer,) = _ask(feed, timeout_s=0.5)
    assert not isinstance(answer, FeedError)
    assert b"scoreboard" in answer.body


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured_in_both_notations(feed, as_date):
    value = format_datetime(nba.NOW + timedelta(seconds=7), usegmt=True) if as_date else 7
    feed.set_faults([{"kind": "rate_limit", "retry_after": value, "times": 1}])
    waits = Waits()
    (answer,) = _ask(feed, sleep=waits, requests_per_second=1e6)
    assert not isinstance(answer, FeedError)
    assert max(waits) == pytest.approx(7.0, abs=0.5)


def test_retry_after_holds_for_all_that_ask_the_host(feed):
    feed.set_faults([{"kind": "rate_limit", "retry_after": 1, "times": 1}])
    options = FeedSettings(cdn_url=feed.url, stats_url=feed.url, requests_per_second=1000, backoff_s=0)

    async def ask() -> None:
        async with FeedClient(options, None, clock=lambda: nba.NOW) as client:
            await asyncio.gather(*(client.get("cdn", SCOREBOARD) for _ in range(4)))

    asyncio.run(ask())
    refused, *later = [request["time"] for request in feed.log()]
    assert len(later) == 4
    assert min(later) - refused >= 0.9  # nobody went on asking meanwhile


def test_a_host_that_asks_for_too_long_a_wait_is_left_alone(feed):
    feed.set_faults([{"kind": "rate_limit", "retry_after": 3600}])
    waits = Waits()
    answers = _ask(feed, times=3, sleep=waits, requests_per_second=1e6)
    assert max(waits, default=0) < 1
    assert len(feed.log()) == 1
    assert all(a.trouble is Trouble.UNAVAILABLE for a in answers)
    assert "3600 s" in str(answers[1])


def test_retries_back_off_with_jitter(feed):
    feed.set_faults([{"kind": "server_error", "status": 500}])
    waits = Waits()
    (answer,) = _ask(feed, sleep=waits, requests_per_second=1e6, backoff_s=1.0, attempts=4)
    assert answer.trouble is Trouble.UNAVAILABLE
    assert "500" in str(answer)
    assert len(feed.log()) == 4
    for wait, base in zip([w for w in waits if w > 0.1], (1, 2, 4), strict=True):
        assert 0.5 * base <= wait <= 1.5 * base
    assert waits != [1.0, 2.0, 4.0]


@pytest.mark.parametrize("kind", ["block_page", "html_200"])
def test_a_block_page_is_told_from_broken_json_and_ends_the_asking(feed, kind):
    feed.set_faults([{"kind": kind}])
    answers = _ask(feed, times=3)
    assert all(a.trouble is Trouble.BLOCKED for a in answers)
    assert "HTML page" in str(answers[0])
    assert len(feed.log()) == 2  # once, once more in case of a glitch, and never again


def test_truncated_json_is_no_block(feed):
    feed.set_faults([{"kind": "truncated"}])
    (answer,) = _ask(feed, attempts=2)
    assert answer.trouble is Trouble.UNAVAILABLE


def test_a_hanging_host_costs_the_timeout_and_no_more(feed):
    feed.set_faults([{"kind": "hang", "seconds": 60}])
    (answer,) = _ask(feed, timeout_s=0.2, attempts=2)
    assert "no answer within 0.2 s" in str(answer)


def test_trickling_bytes_do_not_outwit_the_timeout(feed):
    feed.set_faults([{"kind": "slow", "chunk_bytes": 16, "delay_s": 0.2}])
    (answer,) = _ask(feed, timeout_s=0.5, attempts=1)
    assert "no answer within 0.5 s" in str(answer)


def test_not_found_is_not_retried(feed):
    (answer,) = _ask(feed, path="/static/json/liveData/boxscore/boxscore_0022599999.json")
    assert answer.trouble is Trouble.NOT_FOUND
    assert len(feed.log()) == 1


def test_nobody_listens():
    (answer,) = _ask(Feed("http://127.0.0.1:9", 0), attempts=2)
    assert answer.trouble is Trouble.UNAVAILABLE
    assert "Connect" in str(answer)


def test_every_answer_is_kept_and_can_be_replayed_without_the_network(feed, tmp_path):
    store = PayloadStore(tmp_path)
    (answer,) = _ask(feed, store=store, now=datetime(2026, 2, 12, tzinfo=UTC))

    async def replay() -> bytes:
        async with ReplayClient(PayloadStore(tmp_path)) as client:
            return (await client.get("cdn", SCOREBOARD)).body

    assert asyncio.run(replay()) == answer.body
