"""Work in a process of its own that is a fork of this one, which is far cheaper than a new Python."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import NamedTuple


class Ended(NamedTuple):
    """How a fork ended: its exit code, minus the signal's number where one killed it, and what it told."""

    returncode: int
    told: str


def forked(work: Callable[[], object]) -> Ended:
    """Do `work` in a fork and wait for it; what it returns is told as text, an exception is exit code 1."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        code = 1
        try:
            os.write(writing, str(work()).encode())
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except BaseException:  # noqa: BLE001 - a child of pytest must not go on
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        told = stream.read()
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told)
