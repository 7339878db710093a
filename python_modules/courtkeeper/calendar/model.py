"""The shape of `courtkeeper_calendar` in `inventory/<system>/group_vars/all/calendar.yml`.

The JSON schema for editors and the reference in docs/calendar.md are made from these structs, so that a
field is described once, here. What a struct cannot say (a rule that is none, a cycle in `after`, a playbook
that does not exist) `calendar.load` says with file and line.

Times in the file are local times of the job's zone; all instants in the code are aware datetimes in UTC.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

NAME = r"^[a-z][a-z0-9_]*$"
CONCURRENCY = r"^(group|host|resource):[A-Za-z0-9_.-]+$"
WINDOW = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"

Name = Annotated[str, Meta(pattern=NAME, max_length=50)]
Minutes = Annotated[int, Meta(ge=1, le=14 * 24 * 60)]


class Misfire(StrEnum):
    """What becomes of slots that could not begin in time (the scheduler was down, a lock was held)."""

    SKIP = "skip"  # none is made up for; each is recorded as missed
    LATEST = "latest"  # the latest one is, if it is not later than its grace; the others are missed
    ALL = "all"  # every one is, oldest first, if it is not later than its grace


class Retries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a failed run is tried again. Only failures are: what was refused or cancelled is not."""

    times: Annotated[int, Meta(ge=0, le=10, description="How many times after the first.")] = 0
    backoff_minutes: Annotated[Minutes, Meta(description="How long before the first retry.")] = 5
    factor: Annotated[
        float, Meta(ge=1, le=10, description="By how much each further wait is longer than the one before.")
    ] = 2.0
    max_minutes: Annotated[Minutes, Meta(description="The longest wait.")] = 60

    def delay(self, number: int) -> timedelta:
        """Return how long to wait before retry `number`, which counts from 1."""
        minutes = min(self.backoff_minutes * self.factor ** (number - 1), self.max_minutes)
        return timedelta(minutes=minutes)


class After(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that must have passed before: its last run, begun within so many hours, ended well."""

    job: Annotated[Name, Meta(description="The name of a job of this calendar.")]
    within_hours: Annotated[
        float, Meta(gt=0, le=24 * 366, description="How long ago it may have passed at most.")
    ]

    @property
    def within(self) -> timedelta:
        """How long ago it may have passed at most."""
        return timedelta(hours=self.within_hours)


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job: what runs when, and what becomes of it when something is in its way.

    As it stands in the file: what is empty there falls to the calendar's own value, which
    `Calendar.resolved` fills in. Whoever runs jobs takes resolved ones, as `calendar.load` gives them.
    """

    name: Annotated[
        Name, Meta(description="The job's name, once in a calendar; it is what runs are filed by.")
    ]
    schedule: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=500,
            description="When it runs, as an RRULE without DTSTART, in local time.",
            examples=[
                "FREQ=DAILY;BYHOUR=3;BYMINUTE=30",
                "FREQ=WEEKLY;BYDAY=SU;BYHOUR=4;BYMINUTE=0",
                "FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2;BYHOUR=2;BYMINUTE=0",
            ],
        ),
    ]
    playbook: Annotated[
        str, Meta(description="The playbook, without .yml; where it is empty, the one with the job's name.")
    ] = ""
    description: Annotated[str, Meta(max_length=300, description="One sentence: what it is for.")] = ""
    owner: Annotated[str, Meta(max_length=100, description="Who answers for it; else the calendar's.")] = ""
    time_zone: Annotated[
        str, Meta(description="Whose local time the schedule is, as Europe/London; else the calendar's.")
    ] = ""
    anchor: Annotated[
        date | None, Meta(description="The day from which an INTERVAL is counted; nothing runs before it.")
    ] = None
    enabled: Annotated[bool, Meta(description="Without it, the job is kept but does not run by itself.")] = (
        True
    )
    window: Annotated[
        str,
        Meta(
            pattern=f"{WINDOW}|^$",
            description="The only time of day in which a run may begin and should end, as 01:00-05:00 in the "
            "job's zone; it may span midnight. Its end stops no run; timeout_minutes does.",
        ),
    ] = ""
    blackouts: Annotated[
        list[str] | None,
        Meta(description="iCalendar files beside this one: nothing begins during their events. [] for none."),
    ] = None
    misfire: Annotated[
        Misfire | None,
        Meta(description="What becomes of missed slots; if not said: latest, of a disruptive job skip."),
    ] = None
    grace_minutes: Annotated[Minutes, Meta(description="How late a slot may still begin.")] = 60
    disruptive: Annotated[bool, Meta(description="It stops or restarts what people use.")] = False
    approval: Annotated[
        bool, Meta(description="A person must approve each run before it begins (`courtkeeper approve`).")
    ] = False
    concurrency: Annotated[
        list[Annotated[str, Meta(pattern=CONCURRENCY)]],
        Meta(
            description="What no two runs may hold at once: group:NAME or host:NAME of the inventory, or "
            "resource:NAME for anything else. The same playbook never runs twice at once in any case."
        ),
    ] = []
    timeout_minutes: Annotated[Minutes, Meta(description="When a run is stopped.")] = 60
    retries: Annotated[Retries, Meta(description="How often a failed run is tried again.")] = Retries()
    after: Annotated[
        list[After], Meta(description="It runs only if these jobs passed within so many hours.")
    ] = []
    notify: Annotated[
        list[str] | None, Meta(description="The channels that hear of it; else the calendar's. [] for none.")
    ] = None
    limit: Annotated[str, Meta(description="Only these hosts or groups, as ansible-playbook --limit.")] = ""
    extra_vars: Annotated[
        dict[str, str | int | float | bool],
        Meta(description="Variables for the playbook. No secrets: this file is under git."),
    ] = {}
    check: Annotated[
        bool, Meta(description="A drift run: check mode, which changes nothing and counts what would change.")
    ] = False

    @property
    def misfire_policy(self) -> Misfire:
        """What becomes of missed slots: what the file says, else by how disruptive the job is."""
        if self.misfire is not None:
            return self.misfire
        return Misfire.SKIP if self.disruptive else Misfire.LATEST

    @property
    def grace(self) -> timedelta:
        """How late a slot may still begin."""
        return timedelta(minutes=self.grace_minutes)

    @property
    def timeout(self) -> timedelta:
        """How long a run may take before it is stopped."""
        return timedelta(minutes=self.timeout_minutes)

    @property
    def locks(self) -> tuple[str, ...]:
        """The keys that a run holds, sorted: its `concurrency`, and `playbook:NAME`.

        Keys are compared as they stand: `group:databases` is not resolved to hosts.
        """
        return tuple(sorted({*self.concurrency, f"playbook:{self.playbook or self.name}"}))

    @property
    def variables(self) -> dict[str, str]:
        """The extra variables as `courtkeeper run -e` takes them: strings."""
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in self.extra_vars.items()
        }


class Calendar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of `courtkeeper_calendar`: what holds for all jobs, and the jobs."""

    time_zone: Annotated[
        str, Meta(description="Whose local time the schedules are, as America/New_York or UTC.")
    ] = "UTC"
    owner: Annotated[str, Meta(max_length=100, description="Who answers for jobs that name nobody.")] = ""
    notify: Annotated[list[str], Meta(description="The channels that hear of jobs that name none.")] = []
    blackouts: Annotated[
        list[str],
        Meta(description="iCalendar files beside this one: no job begins during their events."),
    ] = []
    jobs: Annotated[list[Job], Meta(description="The jobs, one entry each.")] = []

    def resolved(self, job: Job) -> Job:
        """Return `job` with the calendar's own values where it has none."""
        return msgspec.structs.replace(
            job,
            playbook=job.playbook or job.name,
            time_zone=job.time_zone or self.time_zone,
            owner=job.owner or self.owner,
            notify=self.notify if job.notify is None else job.notify,
            blackouts=self.blackouts if job.blackouts is None else job.blackouts,
            misfire=job.misfire_policy,
        )

    def job(self, name: str) -> Job | None:
        """Return the job of that name, or None."""
        return next((job for job in self.jobs if job.name == name), None)
