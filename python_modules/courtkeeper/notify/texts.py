"""The words of messages. What comes from outside (findings, errors) is cut, and had its secrets taken out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from courtkeeper.notify.notices import Outcome, Standing
from courtkeeper.store.rows import SpanRow

_LINE = 300
_FINDINGS = 5
_MISSED = 10


def failure(system: str, outcome: Outcome, found: Sequence[SpanRow], link: str) -> tuple[str, str]:
    """Return title and body for a job that fails and did not before."""
    lines = [cut(outcome.reason or "It ended with a critical finding.")]
    lines += findings(found)
    lines += _where(outcome, link)
    lines.append("You hear of it again when it has recovered; until then it stands in the digest.")
    return f"[{system}] {outcome.job} fails", "\n".join(lines)


def recovery(system: str, outcome: Outcome, before: Standing, link: str) -> tuple[str, str]:
    """Return title and body for a job that is well again."""
    lasted = span(outcome.at - before.since)
    runs = f", {before.times} runs" if before.times > 1 else ""
    lines = [f"It ended well again after {lasted} in which it failed{runs}.", *_where(outcome, link)]
    return f"[{system}] {outcome.job} has recovered", "\n".join(lines)


def missed(system: str, outcomes: Sequence[Outcome], link: str) -> tuple[str, str]:
    """Return title and body for slots that never began."""
    jobs = sorted({outcome.job for outcome in outcomes})
    head = ", ".join(jobs[:3]) + (f" and {len(jobs) - 3} more" if len(jobs) > 3 else "")
    count = f"{len(outcomes)} runs" if len(outcomes) > 1 else "A run"
    lines = [f"{count} did not begin:"]
    lines += [
        f"- {each.job}, due {moment(each.scheduled_for)}: {cut(each.reason)}" for each in outcomes[:_MISSED]
    ]
    if len(outcomes) > _MISSED:
        lines.append(f"- and {len(outcomes) - _MISSED} more")
    lines += [f"See {link}"] if link else []
    return f"[{system}] missed: {head}", "\n".join(lines)


def findings(found: Iterable[SpanRow], most: int = _FINDINGS) -> list[str]:
    """Return a line for each finding, with what would mend it."""
    rows = list(found)
    lines = []
    for each in rows[:most]:
        where = f"{each.host}: " if each.host else ""
        fix = f" Mend: {each.fix}" if each.fix else ""
        lines.append(cut(f"- {each.severity.name} {where}{each.subject}: {each.summary}{fix}"))
    if len(rows) > most:
        lines.append(f"- and {len(rows) - most} more")
    return lines


def _where(outcome: Outcome, link: str) -> list[str]:
    if not outcome.run_id:
        return [f"See {link}"] if link else []
    page = f": {link.rstrip('/')}/runs/{outcome.run_id}" if link else ""
    return [f"Run {outcome.run_id}{page}"]


def moment(at: datetime | None) -> str:
    """Return an instant as messages name it."""
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "then"


def span(length: timedelta) -> str:
    """Return a length of time in the one or two units that matter: `3 d 4 h`, `12 min`."""
    minutes = max(int(length.total_seconds() // 60), 0)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def cut(text: str, most: int = _LINE) -> str:
    """Return `text` on one line, of `most` characters or fewer."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
