"""The verdict: one sentence that a manager understands, and what to do when a run did not end well."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from courtkeeper.findings import Status
from courtkeeper.report import text
from courtkeeper.runner.record import RunRecord, RunStatus

STATUS_WORDS: Mapping[Status, str] = {
    Status.CRIT: "Critical",
    Status.WARN: "Warning",
    Status.UNKNOWN: "Unknown",
    Status.SKIPPED: "Skipped",
    Status.OK: "OK",
}
WORST_FIRST = tuple(sorted(Status, key=lambda status: -status.severity))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status` gives the colour and the shape, `badge` the word, `lead` and `clause` the headline."""

    status: Status
    badge: str
    lead: str
    clause: str = ""

    @property
    def sentence(self) -> str:
        """The headline as one sentence."""
        return f"{self.lead}: {self.clause}." if self.clause else f"{self.lead}."


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is said when a run did not finish: what happened, where, and what to do."""

    title: str
    message: str
    failed: tuple[tuple[str, str, str], ...]
    """Task, host and message of the tasks that failed."""
    failed_more: int
    done: str
    """What was done before it, empty if nothing was."""
    steps: tuple[str, ...]
    command: str


def worse(one: Status, other: Status) -> Status:
    """Return the more severe of two."""
    return max(one, other, key=lambda status: status.severity)


def judge(record: RunRecord, *, clause: str = "", part: Status = Status.OK) -> Verdict:
    """Return the verdict on a run.

    `clause` is what the job's own part says about its things (`2 of 3 games are good`), and `part`
    how bad that is: a run without a critical finding is still not good when its games are not.
    """
    if record.status is not RunStatus.OK:
        return _unfinished(record)
    counts = Counter(h.finding.status for h in record.findings)
    # What a part calls critical without a finding that says so counts as a warning: findings decide.
    status = worse(record.worst, Status.WARN if part is Status.CRIT else part)
    clause = clause or _checks(counts)
    if not clause and not record.findings:
        verb = "would change" if record.check else "changed"
        did = f"it {verb} what is listed below" if record.changed else "nothing was changed"
        return Verdict(Status.SKIPPED, "Finished", _opening(record), f"nothing was checked, {did}")
    return Verdict(status, _badge(status), _lead(record, counts, status), clause)


def _opening(record: RunRecord) -> str:
    return "Check run finished" if record.check else "Finished"


def _badge(status: Status) -> str:
    return {
        Status.CRIT: "Critical",
        Status.WARN: "Warning",
        Status.UNKNOWN: "Not fully judged",
        Status.SKIPPED: "Not fully checked",
        Status.OK: "All good",
    }[status]


def _lead(record: RunRecord, counts: Counter[Status], status: Status) -> str:
    opening = _opening(record)
    open_items = [
        text.plural(counts[wanted], word)
        for wanted, word in ((Status.CRIT, "critical finding"), (Status.WARN, "warning"))
        if counts[wanted]
    ]
    if open_items:
        return f"{opening} with {text.joined(open_items)}"
    if counts[Status.UNKNOWN]:
        return f"{opening}, but {text.plural(counts[Status.UNKNOWN], 'check')} could not be judged"
    if status is not Status.OK and status is not Status.SKIPPED:
        return f"{opening}, but not everything is good"
    if status is Status.SKIPPED:
        return f"{opening}, with {text.plural(counts[Status.SKIPPED], 'check')} skipped"
    if record.check:
        return f"{opening}, and {'changes are due' if record.changed else 'nothing would change'}"
    return opening if record.changed else f"{opening}, and nothing had to change"


def _checks(counts: Counter[Status]) -> str:
    total = sum(counts.values())
    if not total:
        return ""
    ok = counts[Status.OK]
    if ok == total:
        return "the only check is ok" if total == 1 else f"all {text.integer(total)} checks are ok"
    return f"{text.integer(ok)} of {text.plural(total, 'check')} {'is' if 1 in (ok, total) else 'are'} ok"


def _unfinished(record: RunRecord) -> Verdict:
    after = f" after {text.duration(record.duration_s)}" if record.duration_s > 0 else ""
    match record.status:
        case RunStatus.REFUSED:
            return Verdict(
                Status.CRIT, "Refused", "Refused", "the configuration is wrong, and nothing was changed"
            )
        case RunStatus.TIMEOUT:
            return Verdict(Status.CRIT, "Timed out", f"Stopped{after}", "the job ran out of its time")
        case RunStatus.CANCELLED:
            return Verdict(Status.WARN, "Cancelled", f"Cancelled{after}, before the job had finished")
        case RunStatus.RUNNING:
            return Verdict(Status.UNKNOWN, "Running", "Still running", "this page shows what is known so far")
        case _:
            return Verdict(Status.CRIT, "Failed", f"Failed{after}{_where(record)}")


def _where(record: RunRecord) -> str:
    failed = _failed_tasks(record)
    if not failed:
        return ", before the job had finished"
    name, host, _ = failed[0]
    hosts = len({h for _, h, _ in failed})
    where = text.short(host, 60) if hosts == 1 else text.plural(hosts, "host")
    return f" at “{text.short(name, 100)}” on {where}"


def _failed_tasks(record: RunRecord) -> list[tuple[str, str, str]]:
    return [(t.name, t.host, t.message) for t in record.tasks if t.status in {"failed", "unreachable"}]


_STEPS: Mapping[RunStatus, tuple[str, ...]] = {
    RunStatus.REFUSED: (
        "Mend what the message names.",
        "Run the job again. Nothing was changed, so nothing has to be taken back.",
    ),
    RunStatus.FAILED: (
        "Mend the cause that the message names.",
        "Run the job again: what is already in place is not changed a second time.",
    ),
    RunStatus.TIMEOUT: (
        "See below which step took the time.",
        "Mend what was slow, or give the job more time in the calendar, then run it again: "
        "what is already in place is not changed a second time.",
    ),
    RunStatus.CANCELLED: (
        "Nothing is wrong by itself: somebody stopped the job.",
        "Run it again when it suits: what is already in place is not changed a second time.",
    ),
}
FAILED_AT_MOST = 5


def trouble(record: RunRecord) -> Trouble | None:
    """Return what to say about a run that did not finish, None for one that did or still runs."""
    steps = _STEPS.get(record.status)
    if steps is None:
        return None
    failed = _failed_tasks(record)
    titles = {
        RunStatus.REFUSED: "Why it was refused",
        RunStatus.TIMEOUT: "What happened",
        RunStatus.CANCELLED: "What happened",
    }
    return Trouble(
        title=titles.get(record.status, "What went wrong"),
        message=text.sentence(record.message) or "No message was recorded.",
        failed=tuple(f for f in failed if f[2] != record.message)[:FAILED_AT_MOST],
        failed_more=max(len(failed) - FAILED_AT_MOST, 0),
        done=_done_before(record),
        steps=steps,
        command=again(record),
    )


def _done_before(record: RunRecord) -> str:
    if record.check or not (record.changed or record.actions):
        return ""
    if not record.actions:
        return "Something may have been changed before that, but no action was recorded."
    verb = "was" if len(record.actions) == 1 else "were"
    return f"Before that, {text.plural(len(record.actions), 'action')} {verb} done: see “What changed” below."


def again(record: RunRecord) -> str:
    """Return the command that asks for the same run again, quoted for a shell."""
    return shlex.join(["courtkeeper", "run", record.job, *(record.arguments or ["-i", record.inventory])])
