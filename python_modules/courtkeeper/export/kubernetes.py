"""Kubernetes: one CronJob for each expression of a job (batch/v1, `timeZone` since 1.27).

Its cron library goes by the clock on the wall: a time that does not exist is left out, one that comes twice
runs twice; and it ORs its fields for days as cron does.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any

from courtkeeper.calendar.model import Job, Misfire
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.export.clocks import Clock, Missing, demand_same
from courtkeeper.export.command import Place, gate, run
from courtkeeper.export.cron import fields
from courtkeeper.export.plain import plain
from courtkeeper.findings import ConfigurationError

NAME = "Kubernetes"
CARRIES = {"window", "blackouts", "after", "concurrency", "skip", "latest"}
CLOCK = Clock(NAME, Missing.SKIPPED, twice=True)
_LONGEST_NAME = 52
# The controller looks every ten seconds; a slot that is a minute late was missed.
_SKIP_DEADLINE_S = 60
_ENDING_S = 300


def compiled(schedule: Schedule, now: datetime) -> list[str]:
    """Return the five-field expressions that together are the schedule. Raises ConfigurationError."""
    found = fields(plain(schedule, now))
    demand_same(schedule, CLOCK, now)
    return found


def objects(job: Job, schedule: Schedule, place: Place, now: datetime, image: str) -> list[dict[str, Any]]:
    """Return the CronJobs of a job. Raises ConfigurationError where the schedule cannot be said."""
    expressions = compiled(schedule, now)
    name = f"{place.system}-{job.name}".replace("_", "-").lower()
    names = [name] if len(expressions) == 1 else [f"{name}-{at + 1}" for at in range(len(expressions))]
    if max(map(len, names)) > _LONGEST_NAME:
        raise ConfigurationError(f"its name {name} is longer than {_LONGEST_NAME} letters; shorten it")
    skips = job.misfire_policy is Misfire.SKIP
    container = {
        "name": "courtkeeper",
        "image": image,
        "workingDir": place.directory,
        "command": ["/bin/sh", "-c", _script(job, place)],
    }
    return [
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": each, "labels": {"app.kubernetes.io/name": "courtkeeper", "job": job.name}},
            "spec": {
                "schedule": expression,
                "timeZone": schedule.zone.key,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": _SKIP_DEADLINE_S if skips else job.grace_minutes * 60,
                "jobTemplate": {
                    "spec": {
                        "activeDeadlineSeconds": job.timeout_minutes * 60 + _ENDING_S,
                        "backoffLimit": 0,
                        "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
                    }
                },
            },
        }
        for each, expression in zip(names, expressions, strict=True)
    ]


def _script(job: Job, place: Place) -> str:
    """Return the shell's text: a gate that is closed (1) is no failure, a calendar that is broken is one."""
    guard, command = shlex.join(gate(job, place)), shlex.join(run(job, place))
    return f"{guard}; case $? in 0) exec {command};; 1) exit 0;; *) exit 2;; esac"
