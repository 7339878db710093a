"""What a run is asked to do, and every check that can be made before anything starts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from courtkeeper.findings import ConfigurationError

LEAGUE_TIME = ZoneInfo("America/New_York")
_EXAMPLE = "-e nba_refresh_look_back_days=3"
_JSON_EXAMPLE = """-e '{"restore_replace": ["main"]}'"""
_RESERVED = {
    "courtkeeper_secrets": "secrets come from the file named by courtkeeper_secrets_file or --secrets-file",
    "courtkeeper_secrets_file": "name the file with --secrets-file",
    "courtkeeper_progress_file": "the driver sets it",
    "courtkeeper_date": "use --date",
}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """One request to run a job.

    `job` names the playbook, `filed_as` what the run is filed by where that is another name (the calendar's);
    `run_id` its id, where the caller had to know it before (one of `store.new_run_id`).
    `root` is the checkout; `inventory` a directory, by path or by its name under `inventory/`;
    `extra_vars` hold strings, or whatever JSON can say; `day` is an ISO date, passed on as
    `courtkeeper_date`; `timeout_s` the most seconds the run may take;
    `grace_s` how long its processes have to end by themselves once it is cancelled.
    """

    root: Path
    job: str
    inventory: str
    filed_as: str = ""
    run_id: str = ""
    check: bool = False
    diff: bool = False
    day: str | None = None
    limit: str | None = None
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None
    secrets_file: Path | None = None
    report: bool = True
    grace_s: float = 5.0

    @property
    def name(self) -> str:
        """What the run is filed by."""
        return self.filed_as or self.job


def find_root(start: Path, *, explicit: str | Path | None = None) -> Path:
    """Return the checkout: `explicit`, or the nearest ancestor of `start` with ansible.cfg and playbooks/.

    Raises ConfigurationError when there is none.
    """
    if explicit:
        root = Path(explicit).expanduser().resolve()
        if not _is_root(root):
            raise ConfigurationError(
                f"{root} is not a checkout of Courtkeeper: it lacks ansible.cfg or playbooks/; "
                "name the directory that has both with --root or COURTKEEPER_ROOT."
            )
        return root
    here = start.resolve()
    for candidate in (here, *here.parents):
        if _is_root(candidate):
            return candidate
    raise ConfigurationError(
        f"No checkout of Courtkeeper holds {here}: no directory above it has ansible.cfg and playbooks/; "
        "change into the checkout, or name it with --root or COURTKEEPER_ROOT."
    )


def _is_root(path: Path) -> bool:
    return (path / "ansible.cfg").is_file() and (path / "playbooks").is_dir()


def find_playbook(root: Path, job: str) -> Path:
    """Return the job's playbook. Raises ConfigurationError naming the known jobs."""
    known = {path.stem: path for path in sorted((root / "playbooks").glob("*.yml"))}
    if job in known:
        return known[job]
    raise ConfigurationError(
        f"There is no job {job!r}: {_choices('playbooks/ holds', known, job, 'no playbook yet')}"
    )


def find_inventory(root: Path, inventory: str) -> Path:
    """Return the inventory's directory. Raises ConfigurationError naming those there are."""
    for candidate in (Path(inventory).expanduser(), root / inventory, root / "inventory" / inventory):
        if candidate.is_dir() and any(candidate.glob("hosts*")):
            return candidate.resolve()
    known = [f"inventory/{path.parent.name}" for path in sorted((root / "inventory").glob("*/hosts*"))]
    raise ConfigurationError(
        f"There is no inventory {inventory!r}: "
        + _choices("the checkout holds", dict.fromkeys(known), inventory, "none yet")
    )


def _choices(intro: str, known: Iterable[str], wanted: str, none: str) -> str:
    names = list(known)
    if not names:
        return f"{intro} {none}."
    near = get_close_matches(wanted, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{intro} {', '.join(names)}.{hint}"


def parse_day(text: str, now: datetime) -> date:
    """Return `text` as a date not after today in New York, where the league's day is counted.

    Raises ConfigurationError when it is malformed or in the future.
    """
    today = now.astimezone(LEAGUE_TIME).date()
    # fromisoformat also takes 20260211 and 2026-W07-3, which nobody means on a command line.
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ConfigurationError(f"{text!r} is not a date: write it as year-month-day, for example {today}.")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a day of the calendar: write year-month-day, for example {today}."
        ) from None
    if day > today:
        raise ConfigurationError(
            f"{day} is in the future: today is {today} in New York; give a day no later than that."
        )
    return day


def check_extra_vars(extra_vars: Iterable[str]) -> None:
    """Raise ConfigurationError for a name Ansible cannot use, or one that is the driver's own."""
    for name in extra_vars:
        if name in _RESERVED:
            raise ConfigurationError(f"-e may not set {name}: {_RESERVED[name]}.")
        if not (name.isidentifier() and name.isascii()):
            raise ConfigurationError(
                f"{name!r} is not a variable's name: use letters, digits and underscores, as in {_EXAMPLE}."
            )


def parse_extra_vars(pairs: Iterable[str]) -> dict[str, Any]:
    """Return variables by name: `key=value` pairs give strings, JSON objects what they hold.

    Raises ConfigurationError for any other shape.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        if pair.lstrip().startswith("{"):
            values |= _json_object(pair)
            continue
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            # The text may hold a value that should not be repeated, so only its shape is named.
            raise ConfigurationError(f"-e takes key=value, for example {_EXAMPLE}, or a JSON object.")
        values[name.strip()] = value
    check_extra_vars(values)
    return values


def _json_object(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        # As above: where it is wrong, and nothing of what it holds.
        where = f" (character {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigurationError(
            f"-e got what begins as a JSON object and is none{where}: write it as {_JSON_EXAMPLE}."
        ) from None
    return found


def shown(path: Path, root: Path) -> str:
    """Return `path` as a person would write it from the checkout's root."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
