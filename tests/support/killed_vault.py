"""A backup that kills itself (SIGKILL) when it reaches its n-th point, in a process of its own.

Points are the named steps of a run and every change that it makes to a file: each opening for writing, each
chunk, each sync, each rename.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from courtkeeper.vault.backup import backup
from courtkeeper.vault.destinations import directory
from courtkeeper.vault.settings import vault_from
from support.forks import forked

_GUARD = threading.Lock()


def points_of(told: dict[str, Any]) -> list[str]:
    """Take a backup, and return the points that it came to."""
    done = forked(lambda: _backup(told, -1))
    assert done.returncode == 0
    return done.told.splitlines()


def killed_at(told: dict[str, Any], point: int) -> bool:
    """Take a backup that dies at its `point`th point; False where it did not come to it, and is whole."""
    code = forked(lambda: _backup(told, point)).returncode
    assert code in {0, -signal.SIGKILL}, f"the backup failed by itself ({code})"
    return code != 0


def _backup(told: dict[str, Any], chosen: int) -> str:
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
    return "\n".join(points)
