"""The latency budget: work in small batches, with rests, and wait while the server answers slowly."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from math import inf, isfinite
from typing import TypeVar

from redis.exceptions import ResponseError

from courtkeeper.redis.server import Client

Answer = TypeVar("Answer")

_LEAST_BATCH = 10
_PROBES_KEPT = 1000
_PROBES_AT_FIRST = 10
# What a batch of our own may take before it is made smaller: others wait behind it, and it is read by us.
_OWN_MS = 20.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_LONGEST_REST_S = 1.0


class PutOffError(Exception):
    """What is left has to wait for another run. The message says why, without a full stop."""


class NoWritesError(PutOffError):
    """The server takes no writes since it could not save its data."""


class Pace:
    """How fast the upkeep may go.

    Before each batch a PING is timed, as another client would wait. The fastest one seen is the way itself;
    one that takes `budget_ms` longer means that the server is busy: batches get half as big and we wait,
    twice as long each time, `patience_s` in a row at most. After a batch we rest, so that only `share` of
    the time is ours. `deadline` is in seconds of `clock`.
    """

    def __init__(
        self,
        client: Client,
        *,
        budget_ms: float,
        share: float,
        batch: int,
        patience_s: float,
        deadline: float,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._budget_ms, self._share, self._largest = budget_ms, share, batch
        self._patience_s, self._deadline = patience_s, deadline
        self._clock, self._sleep = clock, sleep
        self._probes: deque[float] = deque(maxlen=_PROBES_KEPT)
        self.size = batch
        self.floor_ms = inf
        self.batches = 0
        self.backoffs = 0
        self.paused_s = 0.0

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the newest probes (at most 1,000); 0 before the first."""
        ordered = sorted(self._probes)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0

    def begin(self) -> None:
        """Learn how fast the server can answer."""
        for _ in range(_PROBES_AT_FIRST):
            self._probe()

    def batch(self, call: Callable[[], Answer]) -> Answer:
        """Wait until the server is quiet, do one bounded piece of work, rest. Raises PutOffError.

        What is done twice because a script kept the server busy must do no harm.
        """
        while True:
            self._quiet()
            began = self._clock()
            try:
                answer = call()
            except ResponseError as error:
                if not busy(error):
                    raise
                self._back_off(_FIRST_PAUSE_S)
                continue
            self._rest((self._clock() - began) * 1000)
            return answer

    def pause(self, seconds: float) -> None:
        """Rest for so long, and then until the server is quiet: for work that has batches of its own."""
        self.batches += 1
        self._sleep(min(seconds, _LONGEST_REST_S))
        self._quiet()

    def _quiet(self) -> None:
        """Wait while answers come late."""
        pause, waiting_since = _FIRST_PAUSE_S, self._clock()
        while True:
            if self._clock() >= self._deadline:
                raise PutOffError("the window of time is over")
            late_ms = self._probe() - min(self.floor_ms, _LONGEST_PAUSE_S * 1000)
            if late_ms <= self._budget_ms:
                return
            if self._clock() - waiting_since >= self._patience_s:
                how = f"answers {late_ms:.0f} ms late" if isfinite(late_ms) else "is kept busy by a script"
                raise PutOffError(
                    f"the server {how} and did not get quieter for {self._patience_s:g} s "
                    f"(budget {self._budget_ms:g} ms)"
                )
            self._back_off(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _probe(self) -> float:
        began = self._clock()
        try:
            self._client.ping()
        except ResponseError as error:
            if busy(error):
                return inf
            # A server that could not save its data, or whose user may not PING, answers by a refusal.
        took_ms = (self._clock() - began) * 1000
        self._probes.append(took_ms)
        self.floor_ms = min(self.floor_ms, took_ms)
        return took_ms

    def _back_off(self, pause_s: float) -> None:
        self.backoffs += 1
        self.paused_s += pause_s
        self.size = max(_LEAST_BATCH, self.size // 2)
        self._sleep(pause_s)

    def _rest(self, took_ms: float) -> None:
        self.batches += 1
        if took_ms > self.floor_ms + max(_OWN_MS, self._budget_ms):
            self.size = max(_LEAST_BATCH, self.size // 2)
        else:
            self.size = min(self._largest, self.size + self.size // 4)
        self._sleep(min(_LONGEST_REST_S, took_ms / 1000 * (1 / self._share - 1)))


def busy(error: ResponseError) -> bool:
    """Tell whether a server refuses since a script or a function keeps it busy."""
    return str(error).startswith("BUSY ")
