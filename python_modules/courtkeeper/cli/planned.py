"""What a request to run a job means: by the system's calendar, and after a run that failed."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.runner.options import RunOptions, find_inventory
from courtkeeper.runner.record import RunRecord, RunStatus, read
from courtkeeper.runner.store import runs_dir

# What to run, and the locks that it holds.
Request: TypeAlias = tuple[RunOptions, tuple[str, ...]]


def by_calendar(asked: RunOptions) -> Request:
    """Return the request with what the calendar says of its job, and the locks that this holds.

    What was asked for explicitly stays. A name that is no job of the calendar is a playbook's.
    Raises ConfigurationError for a job whose entry is broken.
    """
    from courtkeeper.calendar.load import PATH, load

    inventory = find_inventory(asked.root, asked.inventory)
    if not (inventory / PATH).is_file():
        return asked, ()
    loaded = load(inventory, asked.root)
    if asked.job not in {*loaded.broken, *(job.name for job in loaded.jobs)}:
        return asked, ()
    job = loaded.job(asked.job)
    limit = asked.limit if asked.limit is not None else job.limit or None
    timeout = asked.timeout_s if asked.timeout_s is not None else job.timeout.total_seconds()
    return replace(
        asked,
        job=job.playbook,
        filed_as=job.name,
        check=asked.check or job.check,
        limit=limit,
        extra_vars={**job.variables, **asked.extra_vars},
        timeout_s=timeout,
    ), job.locks


def from_job(asked: RunOptions, first: str) -> list[Request]:
    """Return one request for each job from `first` on to the one asked for; empty if `first` is no job.

    The first goes on where it failed, if its last run did. Raises ConfigurationError where the one asked for
    does not wait for `first`, where the request says what only one job can mean, or an entry is broken.
    """
    from courtkeeper.calendar.load import PATH, load
    from courtkeeper.calendar.plan import chain

    inventory = find_inventory(asked.root, asked.inventory)
    if not (inventory / PATH).is_file():
        return []
    loaded = load(inventory, asked.root)
    if first not in {*loaded.broken, *(job.name for job in loaded.jobs)}:
        return []
    names = chain(loaded, first, asked.job)
    if not names:
        raise ConfigurationError(
            f"{asked.job} does not wait for {first}: --start-at takes a run or a job that it is `after`."
        )
    for_one = (asked.limit, asked.day, asked.timeout_s, asked.extra_vars or None)
    if len(names) > 1 and any(each is not None for each in for_one):
        raise ConfigurationError(
            f"--start-at {first} runs {', '.join(names)}: leave out --limit, --date, -e and --timeout, which "
            "are for one job."
        )
    requests = [by_calendar(replace(asked, job=name)) for name in names]
    options, locks = requests[0]
    return [(_gone_on(options), locks), *requests[1:]]


def _gone_on(asked: RunOptions) -> RunOptions:
    """Return the request for the hosts that its last run has not done; as it is if that did not fail."""
    try:
        return resumed(asked, "last")
    except ConfigurationError:
        return asked  # it did not fail, or never ran


def resumed(asked: RunOptions, start_at: str) -> RunOptions:
    """Return the request for the hosts that a failed run has not done.

    Raises ConfigurationError where there is no such run, or where it did not fail.
    """
    from courtkeeper.scheduler.resume import limit_after

    inventory = find_inventory(asked.root, asked.inventory)
    record = _failed(asked, inventory.name, start_at)
    return replace(asked, limit=limit_after(record, asked.limit or "") or None)


def _failed(asked: RunOptions, system: str, start_at: str) -> RunRecord:
    pattern = f"*Z-{asked.name}-????" if start_at == "last" else f"*{_word(start_at)}"
    # Ids sort by time: the latest comes first.
    for path in sorted(runs_dir(asked.root).glob(f"{pattern}/run.json"), reverse=True):
        try:
            record = read(path)
        except (OSError, msgspec.MsgspecError):
            continue
        if record.job != asked.name or record.inventory.rpartition("/")[2] != system or record.check:
            continue
        if record.status in (RunStatus.OK, RunStatus.RUNNING):
            raise ConfigurationError(
                f"{record.run_id} has not failed, it is {record.status}: there is nothing to go on with."
            )
        return record
    raise ConfigurationError(
        f"There is no run {start_at!r} of {asked.name} on {system}: `courtkeeper history` lists them."
    )


def _word(text: str) -> str:
    if not text or not all(letter.isalnum() or letter in "-_" for letter in text):
        raise ConfigurationError(f"{text[:40]!r} is no run's id: `courtkeeper history` lists them.")
    return text
