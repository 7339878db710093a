"""Numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from courtkeeper.platform.api.cache import Outcome
from courtkeeper.platform.api.database import Database

# A client may send any word as its method: only these become a label.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds. A hit takes about 1 ms, a miss 5 to 50; 5 s is the statement timeout.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class _Pool(Collector):
    """The pool's own counters, read when asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        stats = self._database.pool.get_stats()
        for name, source, text in (
            ("connections", "pool_size", "Connections to the database."),
            ("connections_available", "pool_available", "Connections to the database that are idle."),
            ("requests_waiting", "requests_waiting", "Requests that wait for a connection."),
        ):
            yield GaugeMetricFamily(
                f"courtkeeper_api_database_{name}", text, value=float(stats.get(source, 0))
            )


class Metrics:
    """One registry for one application, so that two in a process do not mix."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "courtkeeper_api_requests_total",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._duration = Histogram(
            "courtkeeper_api_request_duration_seconds",
            "Time to the answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._cache = Counter(
            "courtkeeper_api_cache_requests_total",
            "What the cache did: hit, miss, refused (invalidated while it was filled) or error.",
            ("result",),
            registry=self._registry,
        )
        for outcome in Outcome:
            self._cache.labels(outcome.value)  # from the first scrape on, so that a rate can be taken
        ProcessCollector(registry=self._registry)
        self._registry.register(_Pool(database))

    def answered(self, route: str, method: str, status: int, duration_s: float) -> None:
        """Count one request. `route` is the pattern, not the path: labels must stay few."""
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._duration.labels(route).observe(duration_s)

    def cached(self, outcome: Outcome) -> None:
        """Count what the cache did for one request."""
        self._cache.labels(outcome.value).inc()

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
