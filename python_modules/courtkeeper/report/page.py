"""The page: the view of a record, the template that shows it, and the file it becomes."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from courtkeeper import __version__
from courtkeeper.findings import CourtkeeperError, Status
from courtkeeper.report import games, statements, text, timing, verdict
from courtkeeper.report.environment import environment
from courtkeeper.report.verdict import Trouble, Verdict
from courtkeeper.runner.record import HostFinding, RunRecord, RunStatus

LEAGUE_ZONE = "America/New_York"
FINDINGS_AT_MOST = 500
OK_AT_MOST = 200
ACTIONS_UNFOLDED = 12
ACTIONS_AT_MOST = 200
DIFFS_AT_MOST = 50
DIFF_LINES_AT_MOST = 200
DIFF_INPUT_AT_MOST = 100_000
HOSTS_AT_MOST = 200
METRICS_AT_MOST = 200
FIELD_LIMIT = 400
"""Characters of one field of a finding. With the limits above it bounds the page at a few megabytes."""

_HOST_COLUMNS = (
    (("ok",), "OK"),
    (("changed",), "Changed"),
    (("skipped",), "Skipped"),
    (("rescued",), "Rescued"),
    (("ignored",), "Ignored"),
    (("failures", "failed"), "Failed"),
    (("unreachable", "dark"), "Unreachable"),
)


@dataclass(frozen=True, slots=True)
class Item:
    """A finding as the page shows it."""

    status: Status
    word: str
    id: str
    subject: str
    host: str
    summary: str
    observed: str
    threshold: str
    fix: str
    applied: str
    undo: str


@dataclass(frozen=True, slots=True)
class FindingsView:
    """Findings that ask for attention, the worst first, and the ok ones apart."""

    open: tuple[Item, ...]
    ok: tuple[Item, ...]
    counts: tuple[tuple[Status, str, int], ...]
    open_left_out: int
    ok_left_out: int
    ok_total: int
    total: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One key number: the value, what it counts, and a word of explanation."""

    value: str
    label: str
    note: str = ""
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One diff: a heading and lines of kind `add`, `remove`, `at` or `same`."""

    heading: str
    lines: tuple[tuple[str, str], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class ChangesView:
    """What was done, or in check mode would be done."""

    actions: tuple[str, ...]
    more_actions: tuple[str, ...]
    actions_left_out: int
    diffs: tuple[Change, ...]
    diffs_left_out: int


@dataclass(frozen=True, slots=True)
class HostsView:
    """Ansible's count per host."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template shows, prepared."""

    record: RunRecord
    version: str
    verdict: Verdict
    trouble: Trouble | None
    simulated: bool
    started_utc: str
    started_local: str
    finished_utc: str
    duration: str
    figures: tuple[Figure, ...]
    findings: FindingsView
    games: games.GamesView | None
    statements: statements.StatementsView | None
    changes: ChangesView
    timing: timing.TimingView
    hosts: HostsView
    metrics: tuple[tuple[str, str], ...]
    again: str
    exit_code: str
    no_change: str


def render(record: RunRecord, *, zone: str = LEAGUE_ZONE) -> str:
    """Return the report of a run as one HTML page; `zone` is the time zone shown beside UTC."""
    page = build(record, zone=zone)
    return environment().get_template("report.html.j2").render(page=page)


def write_report(record: RunRecord, run_dir: Path) -> Path:
    """Write `report.html` into `run_dir`, whole or not at all, and return its path.

    Raises CourtkeeperError where the file cannot be written; the run's record is not touched.
    """
    path = run_dir / "report.html"
    part = run_dir / "report.html.part"
    try:
        part.write_text(render(record), encoding="utf-8", errors="replace")
        part.replace(path)
    except OSError as error:
        _discard(part)
        raise CourtkeeperError(
            f"The report cannot be written to {path}: {error.strerror or error}. "
            "Make room or mend the permissions; the run itself is recorded in run.json beside it."
        ) from error
    return path


def build(record: RunRecord, *, zone: str = LEAGUE_ZONE) -> Page:
    """Return the view of a record. Pure: the same record gives the same view."""
    own = _games(record)
    judged = verdict.judge(
        record,
        clause=games.summary(own, check=record.check) if own else "",
        part=own.status if own else Status.OK,
    )
    findings = _findings(record.findings)
    return Page(
        record=record,
        version=__version__,
        verdict=judged,
        trouble=verdict.trouble(record),
        simulated=bool(record.details.get("simulated")) or bool(own and own.simulated),
        started_utc=text.clock_utc(record.started_at),
        started_local=text.clock_local(record.started_at, zone),
        finished_utc=text.clock_utc(record.finished_at) if record.finished_at else "",
        duration=text.duration(record.duration_s) if record.finished_at else "still running",
        figures=_figures(record, findings, own),
        findings=findings,
        games=own,
        statements=statements.build(record.details),
        changes=_changes(record),
        timing=timing.build(record),
        hosts=_hosts(record.host_stats),
        metrics=tuple(text.metric(*m) for m in sorted(record.metrics.items()))[:METRICS_AT_MOST],
        again=verdict.again(record),
        exit_code=_exit_code(record),
        no_change=_no_change(record),
    )


def _games(record: RunRecord) -> games.GamesView | None:
    """Return the view of a run's games; an unfinished run without games has nothing to say of them."""
    if not games.fits(record.details):
        return None
    view = games.build(record.details, check=record.check)
    return view if record.status is RunStatus.OK or view.games or view.unreadable else None


def _no_change(record: RunRecord) -> str:
    """Say what an empty list of actions means; a run that broke off may have done what it could not tell."""
    if record.changed:
        # Ansible calls a command that failed changed as well: it cannot know what came of it.
        verb = "changed" if record.status is RunStatus.OK else "may have changed"
        return f"Something {'would change' if record.check else verb}, but no action was recorded."
    if record.check:
        return "Nothing would change."
    if record.status in {RunStatus.OK, RunStatus.REFUSED}:
        return "Nothing was changed."
    return "No change was recorded."


def _discard(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:  # the first error is the one to tell
        return


def _findings(found: Sequence[HostFinding]) -> FindingsView:
    ordered = sorted(
        found, key=lambda h: (-h.finding.status.severity, h.finding.id, h.finding.subject, h.host)
    )
    open_ = [h for h in ordered if h.finding.status is not Status.OK]
    ok = [h for h in ordered if h.finding.status is Status.OK]
    counts = Counter(h.finding.status for h in found)
    hosts = len({h.host for h in found})
    return FindingsView(
        open=tuple(_item(h, with_host=hosts > 1) for h in open_[:FINDINGS_AT_MOST]),
        ok=tuple(_item(h, with_host=hosts > 1) for h in ok[:OK_AT_MOST]),
        counts=tuple(
            (s, verdict.STATUS_WORDS[s].lower(), counts[s]) for s in verdict.WORST_FIRST if counts[s]
        ),
        open_left_out=max(len(open_) - FINDINGS_AT_MOST, 0),
        ok_left_out=max(len(ok) - OK_AT_MOST, 0),
        ok_total=len(ok),
        total=len(found),
    )


def _item(found: HostFinding, *, with_host: bool) -> Item:
    finding = found.finding

    def bounded(value: str) -> str:
        return text.clean(value, FIELD_LIMIT)

    observed = text.quantity(finding.observed, finding.unit)
    if finding.observed is None and finding.status is Status.UNKNOWN:
        observed = text.UNKNOWN
    return Item(
        status=finding.status,
        word=verdict.STATUS_WORDS[finding.status],
        id=bounded(finding.id),
        subject=bounded(finding.subject),
        host=bounded(found.host) if with_host else "",
        summary=text.sentence(finding.summary, FIELD_LIMIT),
        observed=bounded(observed),
        threshold=bounded(text.quantity(finding.threshold, finding.unit)),
        fix=text.sentence(finding.fix, FIELD_LIMIT),
        applied=text.sentence(finding.applied, FIELD_LIMIT),
        undo=bounded(finding.undo),
    )


def _figures(record: RunRecord, findings: FindingsView, own: games.GamesView | None) -> tuple[Figure, ...]:
    figures = _game_figures(own, check=record.check) if own and own.games else []
    if findings.total:
        needs = findings.total - findings.ok_total
        figures.append(
            Figure(
                text.integer(needs),
                "open findings" if needs != 1 else "open finding",
                f"of {text.plural(findings.total, 'check')}",
                record.worst if needs else Status.OK,
            )
        )
    if not own:
        actions = len(record.actions)
        noun = "planned action" if record.check else "action"
        figures.append(Figure(text.integer(actions), noun if actions == 1 else noun + "s", "listed below"))
        if record.host_stats:
            hosts = len(record.host_stats)
            figures.append(Figure(text.integer(hosts), "host" if hosts == 1 else "hosts"))
    return tuple(figures)


def _game_figures(own: games.GamesView, *, check: bool) -> list[Figure]:
    good = sum(g.good for g in own.games)
    total = len(own.games)
    events = sum(int(g.events.replace(",", "")) for g in own.games if g.events[:1].isdigit())
    inserted, updated, deleted = own.rows
    return [
        Figure(
            f"{text.integer(good)} of {text.integer(total)}",
            "game is good" if 1 in (good, total) else "games are good",
            own.period,
            Status.OK if good == total else own.status,
        ),
        Figure(text.integer(events), "events read", "from " + own.source if own.source else ""),
        Figure(
            text.integer(inserted + updated + deleted),
            "rows would change" if check else "rows changed",
            f"{text.integer(inserted)} new, {text.integer(updated)} updated, {text.integer(deleted)} deleted",
        ),
    ]


def _changes(record: RunRecord) -> ChangesView:
    diffs = [d for d in (_change(diff) for diff in record.diffs[:DIFFS_AT_MOST]) if d.lines]
    return ChangesView(
        actions=tuple(record.actions[:ACTIONS_UNFOLDED]),
        more_actions=tuple(record.actions[ACTIONS_UNFOLDED:ACTIONS_AT_MOST]),
        actions_left_out=max(len(record.actions) - ACTIONS_AT_MOST, 0),
        diffs=tuple(diffs),
        diffs_left_out=max(len(record.diffs) - DIFFS_AT_MOST, 0),
    )


def _change(diff: Mapping[str, str]) -> Change:
    """Return one of Ansible's diffs: `before` and `after`, or a text that is a diff already (`prepared`)."""
    heading = diff.get("after_header") or diff.get("before_header") or diff.get("header") or ""
    if "before" in diff or "after" in diff:
        before, after = (str(diff.get(side, ""))[:DIFF_INPUT_AT_MOST] for side in ("before", "after"))
        unified = difflib.unified_diff(before.splitlines(), after.splitlines(), n=2, lineterm="")
        # The first two lines name files, which the heading does, and the third where the first part begins.
        lines = list(unified)[3:]
    else:
        known = {"before_header", "after_header", "header"}
        lines = [line for key, value in diff.items() if key not in known for line in str(value).splitlines()]
    kept = tuple(_line(line) for line in lines[:DIFF_LINES_AT_MOST])
    return Change(heading, kept, max(len(lines) - DIFF_LINES_AT_MOST, 0))


def _line(line: str) -> tuple[Literal["add", "remove", "at", "same"], str]:
    if line.startswith("@@"):
        return "at", "⋯"  # a gap; line numbers tell a reader nothing here
    if line.startswith("+"):
        return "add", line
    return "remove" if line.startswith("-") else "same", line


def _hosts(stats: Mapping[str, Mapping[str, int]]) -> HostsView:
    counted = {key for counts in stats.values() for key in counts}
    columns = [(keys, label) for keys, label in _HOST_COLUMNS if counted & set(keys)]
    rows = [
        (host, tuple(sum(counts.get(k, 0) for k in keys) for keys, _ in columns))
        for host, counts in sorted(stats.items())
    ]
    return HostsView(
        tuple(label for _, label in columns), tuple(rows[:HOSTS_AT_MOST]), max(len(rows) - HOSTS_AT_MOST, 0)
    )


def _exit_code(record: RunRecord) -> str:
    if record.status is RunStatus.RUNNING:
        return "none yet"
    meaning = {
        0: "no critical finding",
        1: "the job did not finish",
        2: "wrong usage or configuration",
        3: "finished with critical findings",
    }
    return f"{record.exit_code} ({meaning[record.exit_code]})"
