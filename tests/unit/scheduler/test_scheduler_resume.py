"""Going on where a run failed: which hosts are done."""

from __future__ import annotations

import pytest

from courtkeeper.runner.record import RunStatus, TaskRecord
from courtkeeper.scheduler.resume import limit_after
from support.records import GOOD, record


def ran(*outcomes: str, bad: tuple[str, ...] = ()) -> dict[str, object]:
    """Tasks from words such as `h1:A` and `h2:B!` (failed) or `h2:B?` (unreachable)."""
    tasks = []
    for word in outcomes:
        host, name = word.split(":")
        status = {"!": "failed", "?": "unreachable"}.get(name[-1], "ok")
        tasks.append(TaskRecord(name=name.strip("!?"), host=host, status=status, duration_s=1))
    stats = {task.host: dict(GOOD) for task in tasks}
    for host in bad:
        stats[host]["failed"] = 1
    return {"tasks": tasks, "host_stats": stats, "status": RunStatus.FAILED}


@pytest.mark.parametrize(
    ("given", "limit", "expected"),
    [
        # the play went on without h2
        (ran("h1:A", "h2:A!", "h1:B", bad=("h2",)), "", "all:!h1"),
        (ran("h1:A", "h2:A!", "h1:B", bad=("h2",)), "web", "web:!h1"),
        (ran("h1:A", "h2:A!", "h1:B", bad=("h2",)), "web,db", "web,db,!h1"),
        # batches: h1 was through before h2 began, h3 never was reached
        (ran("h1:A", "h1:B", "h1:C", "h2:A", "h2:B!", bad=("h2",)), "", "all:!h1"),
        # the play was stopped for all at B: h1 did B and no more
        (ran("h1:A", "h2:A", "h1:B", "h2:B!", bad=("h2",)), "", ""),
        # h1 got past h2's failure, but not past h3's
        (ran("h1:A", "h2:A!", "h3:A", "h1:B", "h3:B!", bad=("h2", "h3")), "", ""),
        (ran("h1:A", "h2:A?", "h1:B", bad=("h2",)), "all", "all:!h1"),
        # rescued: h1's failure is none
        (ran("h1:A!", "h1:B", "h1:C", "h2:A", "h2:B!", bad=("h2",)), "", "all:!h1"),
        # nothing says where h2 was lost
        ({**ran("h1:A", "h1:B"), "host_stats": {"h1": GOOD, "h2": {**GOOD, "unreachable": 1}}}, "", ""),
        ({**ran("h1:A", "h2:A!", "h1:B", bad=("h2",)), "status": RunStatus.TIMEOUT}, "db", "db"),
        ({**ran("h1:A", "h2:A!", "h1:B", bad=("h2",)), "check": True}, "", ""),
        (ran(), "", ""),
    ],
)
def test_only_hosts_that_are_surely_done_are_left_out(
    given: dict[str, object], limit: str, expected: str
) -> None:
    assert limit_after(record(**given), limit) == expected
