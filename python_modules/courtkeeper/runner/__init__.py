"""The driver: runs a job's playbook through ansible-runner and leaves one record behind.

`run(RunOptions(...))` is all that a caller needs; the command line and the scheduler use the same call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from courtkeeper.runner.driver import CompletedRun as CompletedRun
    from courtkeeper.runner.driver import run as run
    from courtkeeper.runner.observer import Observer as Observer
    from courtkeeper.runner.options import RunOptions as RunOptions
    from courtkeeper.runner.processes import Cancellation as Cancellation
    from courtkeeper.runner.progress import Progress as Progress

_HOMES = {
    "CompletedRun": "driver",
    "Observer": "observer",
    "run": "driver",
    "RunOptions": "options",
    "Cancellation": "processes",
    "Progress": "progress",
}
__all__ = ["Cancellation", "CompletedRun", "Observer", "Progress", "RunOptions", "run"]


def __getattr__(name: str) -> object:
    """Import the driver on first use: whoever only reads a record should not pay for it."""
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
