"""A backup that kills itself (SIGKILL) when it reaches its n-th point: run as a process of its own.

    python -m support.killed_vault N < settings.json

Points are the named steps of a run and every change that it makes to a file: each opening for writing, each
chunk, each sync, each rename. With N of -1 it runs to its end and prints what the points were.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from courtkeeper.vault.backup import backup
from courtkeeper.vault.destinations import directory
from courtkeeper.vault.settings import vault_from

_GUARD = threading.Lock()


def main() -> None:
    """Run, and die at the chosen point."""
    chosen = int(sys.argv[1])
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
    backup(vault_from(json.load(sys.stdin)), trace=reach)
    print(json.dumps(points))


if __name__ == "__main__":
    main()
