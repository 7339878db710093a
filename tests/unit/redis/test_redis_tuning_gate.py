"""The gate's rule, on readings that say exactly what is meant; and what finds the servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from courtkeeper.findings import CourtkeeperError
from courtkeeper.redis.parse import Histogram
from courtkeeper.redis.tuning import gate
from courtkeeper.redis.tuning.gate import Measure, Reading, percentile
from courtkeeper.redis.tuning.journal import Entry, Journal
from courtkeeper.redis.tuning.plan import Change
from courtkeeper.redis.tuning.settings import Gate
from courtkeeper.redis.tuning.topology import masters_in, members_in, replicas_in

RULE = Gate(observe_s=10, settle_s=0)
FAST, SLOW = (2, 4, 8), (256, 512, 1024)


def timeline(*seconds: dict[str, int | tuple[int, ...]], start: float = 0) -> list[Reading]:
    """Readings 5 s apart; each dict says what happened in between (`calls` evenly over the edges `us`)."""
    found = [Reading(at=start, run_id="r", role="master")]
    for one in seconds:
        last = found[-1]
        calls, edges = int(one.get("calls", 0)), one.get("us", FAST)
        assert isinstance(edges, tuple)
        held = dict(last.latencies["get"].buckets) if last.latencies else {}
        counts = {
            e: held.get(e, 0) - held.get(p, 0) for p, e in zip([0, *sorted(held)], sorted(held), strict=False)
        }
        for edge in edges:
            counts[edge] = counts.get(edge, 0) + calls // len(edges)
        total, steps = 0, []
        for edge in sorted(counts):
            total += counts[edge]
            steps.append((edge, total))
        found.append(
            Reading(
                at=last.at + 5,
                run_id="r",
                role="master",
                commands=last.commands + calls,
                latencies={"get": Histogram(total, tuple(steps))},
                **{
                    k: getattr(last, k) + int(one.get(k, 0))
                    for k in ("evictions", "errors", "rejected", "forks")
                },  # type: ignore[call-overload]
                fork_us=int(one.get("fork_us", last.fork_us)),
            )
        )
    return found


def judged(*seconds: dict[str, int | tuple[int, ...]], rule: Gate = RULE) -> dict[str, Measure]:
    """Judge a timeline of two halves before the change and two after it."""
    readings = timeline(*seconds)
    return {m.name: m for m in gate.judge(readings[:3], readings[2:], rule)}


BUSY = {"calls": 9000}


def test_a_server_as_busy_as_before_is_none_the_worse() -> None:
    found = judged(BUSY, BUSY, BUSY, BUSY)
    assert not gate.worse(found.values())
    assert found["commands a second"].after == 1800


def test_a_higher_percentile_is_worse() -> None:
    slow = BUSY | {"us": SLOW}
    found = judged(BUSY, BUSY, slow, slow)
    assert [m.name for m in gate.worse(found.values())] == ["99th percentile of commands"]


@pytest.mark.parametrize("odd", range(4))
def test_one_spike_decides_nothing(odd: int) -> None:
    halves = [dict(BUSY) for _ in range(4)]
    halves[odd] |= {"us": SLOW}
    assert not gate.worse(judged(*halves).values())


def test_fewer_commands_are_worse_unless_there_were_few() -> None:
    assert gate.worse(judged(BUSY, BUSY, {"calls": 3000}, {"calls": 3000}).values())
    found = judged({"calls": 60}, {"calls": 60}, {}, {})
    assert found["commands a second"].verdict == "unjudged"
    assert found["99th percentile of commands"].verdict == "unjudged"


@pytest.mark.parametrize("event", ["evictions", "errors", "rejected"])
def test_events_are_counted_over_all_of_the_time(event: str) -> None:
    found = judged(BUSY, BUSY, BUSY | {event: 400}, BUSY)
    assert len(gate.worse(found.values())) == 1
    usual = BUSY | {event: 400}
    assert not gate.worse(judged(usual, usual, usual, usual).values())


def test_a_fork_is_compared_with_the_last_one() -> None:
    before = BUSY | {"fork_us": 90_000}
    found = judged(before, before, BUSY | {"forks": 1, "fork_us": 300_000}, BUSY)
    assert [m.name for m in gate.worse(found.values())] == ["time of a fork"]
    assert judged(before, before, BUSY, BUSY)["time of a fork"].verdict == "unjudged"


def test_what_is_lost_already_is_not_waited_for() -> None:
    readings = timeline(BUSY, BUSY, BUSY | {"evictions": 5000})
    assert gate.worse(gate.already(readings[:3], readings[3], RULE))
    readings = timeline(BUSY, BUSY, BUSY | {"evictions": 50})
    assert not gate.already(readings[:3], readings[3], RULE)


def test_a_server_that_was_started_again_or_lost_its_master_is_worse() -> None:
    first, last = timeline(BUSY)
    for field, value in (("run_id", "other"), ("role", "slave"), ("link_up", False)):
        broken = Reading(**{f: getattr(last, f) for f in Reading.__struct_fields__} | {field: value})
        assert gate.worse(gate.already([first, last], broken, RULE))
        assert gate.worse(gate.judge([first, last], [last, broken], RULE))


def test_statistics_that_were_reset_judge_nothing() -> None:
    readings = timeline(BUSY, BUSY, BUSY, BUSY)
    readings[4] = Reading(at=20, run_id="r", role="master")
    (only,) = gate.judge(readings[:3], readings[2:], RULE)
    assert only.verdict == "unjudged"


def test_another_mix_of_commands_is_no_slower_server() -> None:
    quick, slow = Histogram(100, ((4, 100),)), Histogram(100, ((512, 100),))
    mix = {"get": 1000.0, "sort": 1.0}
    assert percentile({"get": quick, "sort": slow}, mix, 0.99) <= 4


@given(st.lists(st.tuples(st.integers(1, 2**20), st.integers(0, 10**6)), max_size=12), st.floats(0.01, 1))
@example([(1, 6), (2, 1)], 1.0)  # a sum of sevenths is a little more than one
def test_a_percentile_lies_within_its_buckets(counts: list[tuple[int, int]], share: float) -> None:
    total, steps = 0, []
    for edge, count in sorted(dict(counts).items()):
        total += count
        steps.append((edge, total))
    found = percentile({"get": Histogram(total, tuple(steps))}, {"get": 1.0}, share)
    assert 0 <= found <= max((edge for edge, _ in steps), default=0)


ENTRY = Entry(
    where="127.0.0.1:6379",
    run_id="a" * 40,
    step="trying",
    began="2026-02-12T06:00:00+00:00",
    persist=True,
    changes=(Change("save", "", "3600 1"),),
)


def test_the_way_back_is_ours_alone_and_found_by_process_or_place(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "state"))
    journal.write(ENTRY)
    (path,) = (tmp_path / "state").glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert journal.find("/run/redis.sock", "a" * 40) == ENTRY
    assert journal.find(ENTRY.where, "b" * 40) == ENTRY
    assert journal.find("127.0.0.1:6380", "b" * 40) is None
    journal.forget(ENTRY.where)
    assert journal.find(ENTRY.where, ENTRY.run_id) is None


@given(st.binary(max_size=60))
def test_a_damaged_way_back_is_never_passed_over(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    directory = tmp_path_factory.mktemp("state")
    (directory / "x.json").write_bytes(content)
    with pytest.raises(CourtkeeperError, match=r"x\.json"):
        Journal(str(directory)).find("a:1", "r")


def test_two_runs_on_a_node_are_one_too_many(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    with (
        journal.locked(["a:1", "a:2"]),
        journal.locked(["a:3"]),
        pytest.raises(CourtkeeperError, match="at work on a:2"),
        Journal(str(tmp_path)).locked(["a:2", "a:4"]),
    ):
        pass
    with journal.locked(["a:2"]):
        pass


@given(st.text(), st.dictionaries(st.text(max_size=8), st.text()), st.lists(st.lists(st.binary(max_size=9))))
def test_what_servers_say_of_each_other_is_read_or_left_out(
    text: str, info: dict[str, str], rows: object
) -> None:
    members_in(text)
    replicas_in(info | {"slave0": text})
    masters_in(rows)


def test_members_and_replicas_are_read() -> None:
    lines = (
        "07c3 127.0.0.1:30004@31004,host1 slave e7d1 0 1426238317239 4 connected\n"
        "e7d1 :30001@31001,host2,shard-id=1 myself,master - 0 0 1 connected 0-5460\n"
        "ab12 ::1:30002@31002 master,fail - 0 0 1 connected\n\nrubbish"
    )
    first, second, third = members_in(lines)
    assert (first.host, first.port, first.master) == ("127.0.0.1", 30004, "e7d1")
    assert (second.host, second.port, second.master) == ("host2", 30001, "")
    assert (third.host, "fail" in third.flags) == ("::1", True)
    info = {"slave0": "ip=10.0.0.1,port=6380,state=online,offset=1,lag=0", "slave1": "rubbish"}
    assert replicas_in(info) == [("10.0.0.1", 6380, "online")]
