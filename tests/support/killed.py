"""End a piece of work at each of its changes to the file system, as a kill would."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

CHANGES = ("open", "rename", "replace", "unlink", "fsync", "fchmod", "utime", "makedirs")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do `work` in a process that ends, as by SIGKILL, before its `number`th change; tell if it got there."""
    child = os.fork()
    if not child:
        left = [number]

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **more: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os._exit(9)
                return call(*arguments, **more)

            return wrapped

        for name in CHANGES:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child of pytest must not go on
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}, "the work failed by itself"
    return code == 9
