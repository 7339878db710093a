"""`/metrics` for Prometheus: how things stand, and how fast the dashboard answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from courtkeeper.findings import Status
from courtkeeper.runner.record import RunStatus
from courtkeeper.web.site import Site

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)


class Standing(Collector):
    """What the store says at this moment."""

    def __init__(self, site: Site) -> None:
        """Ask `site`."""
        self._site = site

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield each gauge."""
        store, now = self._site.store, self._site.clock()
        last = self._site.last_runs()
        systems = sorted({run.system for run in last} | set(self._site.calendars.systems))
        gauge = GaugeMetricFamily(
            "courtkeeper_findings_open", "Findings that are open", labels=["system", "status"]
        )
        for system in systems:
            counts = store.queries.count_open(system=system)
            for status in (Status.WARN, Status.CRIT, Status.UNKNOWN):
                gauge.add_metric([system, str(status)], counts.get(status, 0))
        yield gauge
        yield GaugeMetricFamily("courtkeeper_runs_running", "Runs that go now", len(store.queries.running()))
        waiting = Counter(slot.state for slot in store.slots.open())
        gauge = GaugeMetricFamily("courtkeeper_slots_open", "Slots not at their end", labels=["state"])
        for state, number in sorted(waiting.items()):
            gauge.add_metric([state], number)
        yield gauge
        living = store.owners.living()
        schedulers = sum(each.kind == "scheduler" and each.lease_until > now for each in living)
        yield GaugeMetricFamily("courtkeeper_schedulers", "Schedulers that live", schedulers)
        began = GaugeMetricFamily(
            "courtkeeper_job_last_run_timestamp_seconds",
            "When a job's last run began",
            labels=["system", "job"],
        )
        good = GaugeMetricFamily(
            "courtkeeper_job_last_run_ok",
            "1 if a job's last run ended well and found nothing critical",
            labels=["system", "job"],
        )
        took = GaugeMetricFamily(
            "courtkeeper_job_last_run_duration_seconds", "How long it took", labels=["system", "job"]
        )
        for run in last:
            labels = [run.system, run.job]
            began.add_metric(labels, run.started_at.timestamp())
            if run.status != RunStatus.RUNNING:
                good.add_metric(labels, float(run.status == RunStatus.OK and run.worst != Status.CRIT))
                took.add_metric(labels, run.duration_s or 0.0)
        yield from (began, good, took)


class Meters:
    """The registry of one site."""

    def __init__(self, site: Site) -> None:
        """Make it."""
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series which nothing reads
        self._registry = CollectorRegistry(auto_describe=False)
        self._answered = Histogram(
            "courtkeeper_web_request_seconds",
            "How long a page took",
            ["route", "status"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._registry.register(Standing(site))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one answer. `route` is a pattern of ours, never the address: that could be anything."""
        self._answered.labels(route, str(status)).observe(seconds)


class Timed:
    """ASGI middleware that measures the time to an answer's first byte."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        """Measure `app`."""
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer and measure."""
        began = time.perf_counter()

        async def measuring(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._meters.answered(route, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, measuring if scope["type"] == "http" else send)
