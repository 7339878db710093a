"""Tell of every change that work makes to the world around pgBackRest, before it and after it.

Changes are what is made, renamed, handed over or removed in the lab's directory, the exchange of two
directories, and each run of a program that changes something: before it, once it runs, once it has ended.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from courtkeeper.vault.pgbackrest import swap

Trace = Callable[[str], None]
_CHANGING = {"stanza-create", "backup", "expire", "annotate", "restore", "verify", "check"}
_CALLS = ("rename", "replace", "mkdir", "unlink", "rmdir", "chown")
_RANDOM = re.compile(r"\d{8}T\d{6}Z|[0-9a-f]{16}$")


class _Watch:
    """Tells of changes in `home`; of those that one is made of, only of the whole."""

    def __init__(self, trace: Trace, home: Path) -> None:
        self._trace, self._home = trace, str(home)
        self._inside = False

    def wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **more: Any) -> Any:
            place = os.fspath(path)
            if self._inside or not isinstance(place, str) or not place.startswith(self._home):
                return original(path, *arguments, **more)
            what = f"{name} {_RANDOM.sub('…', Path(place).name)}"
            self._trace(f"before {what}")
            self._inside = True
            try:
                found = original(path, *arguments, **more)
            finally:
                self._inside = False
            self._trace(f"after {what}")
            return found

        return call

    def programs(self) -> type:
        trace = self._trace

        class Program(subprocess.Popen):  # type: ignore[type-arg]
            def __init__(self, command: Any, *arguments: Any, **more: Any) -> None:
                self.what = _what([str(word) for word in command])
                if self.what:
                    trace(f"before {self.what}")
                super().__init__(command, *arguments, **more)
                if self.what:
                    trace(f"during {self.what}")

            def wait(self, *arguments: Any, **more: Any) -> int:
                code = super().wait(*arguments, **more)
                what, self.what = self.what, ""
                if what:
                    trace(f"after {what}")
                return code

        return Program


@contextmanager
def told(trace: Trace, home: Path) -> Iterator[None]:
    """Call `trace` with each change in `home`, until the end of the block."""
    watch = _Watch(trace, home)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(subprocess, "Popen", watch.programs()))
        for module, name in [*((os, name) for name in _CALLS), (shutil, "rmtree"), (swap, "exchange")]:
            wrapped = watch.wrapped(name, getattr(module, name))
            stack.enter_context(mock.patch.object(module, name, wrapped))
        yield


def _what(command: list[str]) -> str:
    """Name a program that changes something; empty for one that only looks."""
    program = Path(command[0]).name
    if program == "pgbackrest":
        word = next((word for word in command[1:] if not word.startswith("-")), "")
        return word if word in _CHANGING else ""
    if program == "systemctl":
        return " ".join(command[:2])
    return program if program in ("postgres", "pg_checksums") else ""
