"""Work that ends, as by SIGKILL, at one of the steps that it tells of."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable


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
    child = os.fork()
    if not child:
        left = [occurrence]

        def trace(now: str) -> None:
            if now == step:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            work(trace)
        except BaseException:  # noqa: BLE001 - a child of pytest must not go on
            traceback.print_exc(file=sys.stderr)
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == -signal.SIGKILL, f"it did not come to {step!r} ({code})"
