"""The indicators. Each says what it means, and is unknown where the store holds no evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import mean, median
from typing import ClassVar

from courtkeeper.kpi.evidence import MEMORY, Evidence, lasting
from courtkeeper.kpi.indicator import Found, Indicator, Part, Point, age, by_day, day_of, percent
from courtkeeper.store.states import SlotState

_DAY = timedelta(days=1)
_ON_TIME = timedelta(minutes=1)


class Availability(Indicator):
    """How often what the system serves was there."""

    key = "availability"
    title = "Availability"
    definition = (
        "Of all probes of health in the window, the share that was answered as it should be. Hours in which "
        "nothing was probed do not count; how many did is said."
    )
    unit = "%"
    better = "more"

    def find(self, evidence: Evidence) -> Found:
        """By day, and by probe."""
        hours = evidence.probes()
        asked = sum(each.asked for each in hours)
        if not asked:
            return Found(
                None,
                "Nothing was probed in the window: `courtkeeper serve` probes what courtkeeper_probes of "
                "probes.yml declares, `courtkeeper kpi --probe` does it once.",
            )
        days = by_day((each.hour, each.asked, each.answered) for each in hours)
        names = sorted({each.name for each in hours})
        parts = [
            Part(name, percent(sum(each.answered for each in mine), sum(each.asked for each in mine)))
            for name in names
            if (mine := [each for each in hours if each.name == name])
        ]
        whole = (evidence.now - evidence.start) / timedelta(hours=1)
        seen = min(len({each.hour for each in hours}) / max(whole, 1), 1)
        good = sum(each.answered for each in hours)
        basis = f"{asked} probes, {asked - good} not answered; {seen:.0%} of the hours were probed."
        return Found(percent(good, asked), basis, days, parts)


class DataQuality(Indicator):
    """How much of what was fetched was good."""

    key = "data_quality"
    title = "Data quality"
    definition = (
        "Of the games that refreshes and imports judged in the window, the share that passed the gate "
        "(loaded, corrected, unchanged). A game counts each time that it is judged; one that could not be "
        "compared does not count."
    )
    unit = "%"
    better = "more"

    def find(self, evidence: Evidence) -> Found:
        """By run."""
        good_names = ("games_loaded", "games_corrected", "games_unchanged")
        bad_names = ("games_quarantined", "games_missing")
        counts = []
        for run in evidence.metrics([*good_names, *bad_names]):
            good, bad = (
                sum(sum(run.numbers.get(name, ())) for name in names) for names in (good_names, bad_names)
            )
            if good + bad:
                counts.append((run.at, good + bad, good))
        judged = sum(each[1] for each in counts)
        if not judged:
            return Found(None, "No game was judged in the window.")
        good = sum(each[2] for each in counts)
        basis = f"{judged:g} judgements of games in {len(counts)} runs, {judged - good:g} not good."
        return Found(percent(good, judged), basis, [Point(at, percent(a, n)) for at, n, a in counts])


class Unattended(Indicator):
    """How much was done without a person."""

    key = "unattended"
    title = "Maintenance without a person"
    definition = (
        "Of all maintenance that ended in the window, the share that the calendar began and that ended "
        "well, with nobody approving, starting, or cancelling it. Check mode is no maintenance."
    )
    unit = "%"
    better = "more"

    def find(self, evidence: Evidence) -> Found:
        """By day."""
        done = [each for each in evidence.slots() if each.state != SlotState.MISSED] + evidence.by_hand()
        if not done:
            return Found(None, "No maintenance ended in the window.")
        good = [each for each in done if each.by_itself and each.state == SlotState.OK]
        alone = {id(each) for each in good}
        basis = (
            f"{len(done)} pieces of maintenance, {len(done) - len(good)} of them with a person, or not well."
        )
        days = by_day((each.at, 1, int(id(each) in alone)) for each in done)
        return Found(percent(len(good), len(done)), basis, days)


class Recovery(Indicator):
    """How long things stay wrong."""

    key = "recovery"
    title = "Mean time to recovery"
    definition = (
        "Of the warnings and critical findings closed in the window, the mean time from the run that opened "
        "them to the run that found them right, or gone. Findings that are still open do not count."
    )
    unit = "h"
    better = "less"

    def find(self, evidence: Evidence) -> Found:
        """By day of closing."""
        closed = [(at, length / timedelta(hours=1)) for at, length in evidence.closed()]
        if not closed:
            return Found(None, "No finding was closed in the window.")
        days: dict[datetime, list[float]] = {}
        for at, length in closed:
            days.setdefault(day_of(at), []).append(length)
        lengths = [length for _, length in closed]
        basis = f"{len(closed)} findings closed; the median is {median(lengths):.1f} h."
        return Found(mean(lengths), basis, [Point(at, mean(each)) for at, each in days.items()])


class Missed(Indicator):
    """What did not run."""

    key = "missed"
    title = "Missed runs"
    definition = (
        "Of the slots of the calendar that came to their end in the window, the share that never began."
    )
    unit = "%"
    better = "less"

    def find(self, evidence: Evidence) -> Found:
        """By day."""
        done = evidence.slots()
        if not done:
            return Found(None, "The calendar had nothing due in the window.")
        missed = sum(each.state == SlotState.MISSED for each in done)
        days = by_day((each.at, 1, int(each.state == SlotState.MISSED)) for each in done)
        return Found(percent(missed, len(done)), f"{missed} of {len(done)} slots.", days)


class Late(Indicator):
    """What began late."""

    key = "late"
    title = "Late runs"
    definition = (
        "Of the slots of the calendar that began and ended in the window, the share that began more than a "
        "minute after its time."
    )
    unit = "%"
    better = "less"

    def find(self, evidence: Evidence) -> Found:
        """By day."""
        late = [
            (each.at, int(each.began - each.scheduled_for > _ON_TIME))
            for each in evidence.slots()
            if each.state != SlotState.MISSED and each.began and each.scheduled_for
        ]
        if not late:
            return Found(None, "No slot of the calendar began in the window.")
        count = sum(each for _, each in late)
        days = by_day((at, 1, each) for at, each in late)
        return Found(percent(count, len(late)), f"{count} of {len(late)} slots.", days)


class ProvenRestore(Indicator):
    """How long ago a backup was last proven."""

    key = "proven_restore"
    title = "Last proven restore"
    definition = (
        "Days since a drill last restored a backup and found it to be what was backed up; of several "
        "sources the one for which that is longest ago counts."
    )
    unit = "d"
    better = "less"

    def find(self, evidence: Evidence) -> Found:
        """By source."""
        return age(lasting(evidence.proven), evidence, "No drill has restored {}.")


class _OfDrills(Indicator):
    """A number of the last drill; of several backups the worst."""

    finding: ClassVar[str]
    unit = "s"
    better = "less"

    def find(self, evidence: Evidence) -> Found:
        """By drill."""
        runs: dict[int, list[tuple[datetime, str, float]]] = {}
        seen = evidence.observed(self.finding) or evidence.observed(self.finding, evidence.now - MEMORY)
        for each in seen:
            if each.value is not None:
                runs.setdefault(each.run, []).append((each.at, each.subject, each.value))
        if not runs:
            return Found(None, "No drill has measured it.")
        worst = [(drill[0][0], max(value for *_, value in drill)) for drill in runs.values()]
        trend = [Point(at, value) for at, value in worst if at >= evidence.start]
        last = list(runs.values())[-1]
        basis = f"The drill of {worst[-1][0]:%Y-%m-%d}."
        return Found(worst[-1][1], basis, trend, [Part(name, value) for _, name, value in last])


class Rto(_OfDrills):
    """How long a restore takes."""

    key = "rto"
    title = "Recovery time (RTO)"
    finding = "drill.rto"
    definition = "In the last drill, the seconds from the decision to restore to the first committed write."


class Rpo(_OfDrills):
    """How much would be lost."""

    key = "rpo"
    title = "Recovery point (RPO)"
    finding = "drill.rpo"
    definition = (
        "In the last drill, the seconds from the newest thing that came back to the drill: how much would "
        "have been lost."
    )


class Expiry(Indicator):
    """How soon a certificate expires."""

    key = "certificate_expiry"
    title = "Days to certificate expiry"
    definition = (
        "Days until the first of all certificates that were looked at expires, by the last look at each host."
    )
    unit = "d"
    better = "more"

    def find(self, evidence: Evidence) -> Found:
        """By look."""
        names = ["days_to_expiry"]
        seen = evidence.metrics(names) or evidence.metrics(names, evidence.now - MEMORY)
        looks = [(each.at, min(each.numbers[names[0]])) for each in seen]
        if not looks:
            return Found(None, "No certificate was looked at.")
        at, days = looks[-1]
        trend = [Point(when, value) for when, value in looks if when >= evidence.start]
        return Found(days - (evidence.now - at) / _DAY, f"The look of {at:%Y-%m-%d}.", trend)


class PatchAge(Indicator):
    """How long ago hosts were patched."""

    key = "patch_age"
    title = "Patch age"
    definition = (
        "Days since os_patching last ended well on a host, in earnest; the host for which that is longest "
        "ago counts."
    )
    unit = "d"
    better = "less"

    def find(self, evidence: Evidence) -> Found:
        """By host."""
        found = lasting(lambda since: evidence.well_on("os_patching", since))
        return age(found, evidence, "os_patching never ended well on {}.")


INDICATORS: Sequence[type[Indicator]] = (
    Availability,
    DataQuality,
    Unattended,
    Recovery,
    Missed,
    Late,
    ProvenRestore,
    Rto,
    Rpo,
    Expiry,
    PatchAge,
)
