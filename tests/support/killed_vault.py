"""A backup that kills itself (SIGKILL) when it reaches its n-th point, in a process of its own.

Points are the named steps of a run and every change that it makes to a file: each opening for writing, each
chunk, each sync, each rename.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from courtkeeper.vault.backup import backup
from courtkeeper.vault.destinations import directory
from courtkeeper.vault.settings import vault_from

_GUARD = threading.Lock()


def points_of(told: dict[str, Any]) -> list[str]:
    """Take a backup, and return the points that it came to."""
    reading, writing = os.pipe()
    code = _forked(lambda: _backup(told, -1, writing))
    os.close(writing)
    with os.fdopen(reading) as stream:
        points = stream.read().splitlines()
    assert code == 0
    return points


def killed_at(told: dict[str, Any], point: int) -> bool:
    """Take a backup that dies at its `point`th point; False where it did not come to it, and is whole."""
    code = _forked(lambda: _backup(told, point, -1))
    assert code in {0, -signal.SIGKILL}, f"the backup failed by itself ({code})"
    return code != 0


def _forked(work: Callable[[], None]) -> int:
    """Do `work` in a fork, which is far cheaper than a new Python; return its exit code."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child of pytest must not go on
            traceback.print_exc(file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _backup(told: dict[str, Any], chosen: int, report: int) -> None:
    points: list[str] = []

    def reach(name: str) -> None:
        with _GUARD:
            if len(points) == chosen:
                os.kill(os.getpid(), signal.SIGKILL)
            points.append(name)

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            reach(name)
            return call(*arguments, **more)

        return wrapped

    for name in ("replace", "fsync", "unlink", "mkdir", "rmdir"):
        setattr(os, name, counted(name, getattr(os, name)))
    upload = directory.FileUpload
    upload.__init__ = counted("begin", upload.__init__)  # type: ignore[method-assign]
    upload.write = counted("write", upload.write)  # type: ignore[method-assign]
    backup(vault_from(told), trace=reach)
    if report >= 0:
        os.write(report, "\n".join(points).encode())
