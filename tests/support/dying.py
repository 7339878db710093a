"""Work that ends, as by SIGKILL, at one of the steps that it tells of."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from support.forks import forked


def steps_of(work: Callable[[Callable[[str], None]], object], *, most: int = 2) -> list[str]:
    """Do `work`, and return each step that it told of, `most` times at most."""
    told: list[str] = []

    def trace(step: str) -> None:
        if told.count(step) < most:
            told.append(step)

    work(trace)
    return told


def killed_at(step: str, occurrence: int, work: Callable[[Callable[[str], None]], object]) -> None:
    """Do `work` in a process that kills itself when the step is told for the `occurrence`th time."""
    left = occurrence

    def trace(now: str) -> None:
        nonlocal left
        if now == step:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    code = forked(lambda: work(trace)).returncode
    assert code == -signal.SIGKILL, f"it did not come to {step!r} ({code})"
