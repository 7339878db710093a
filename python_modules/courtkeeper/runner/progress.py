"""How far a run is: what its tasks say, and what its modules write to the progress file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """A moment of a run: the task now running, and how far it says it is (`total` 0: it does not say)."""

    task: str = ""
    host: str = ""
    done: int = 0
    total: int = 0
    text: str = ""


class ProgressFile:
    """Reads the JSON lines that modules append to the progress file, as they come."""

    def __init__(self, path: Path) -> None:
        """Read from the start of `path`, which need not exist yet."""
        self._path = path
        self._offset = 0
        self._rest = b""

    def latest(self) -> tuple[int, int, str] | None:
        """Return (done, total, text) of the newest whole line since the last call, or None."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                fresh = stream.read()
        except OSError:
            return None
        self._offset += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        steps = (step for line in reversed(lines) if (step := _step(line)))
        return next(steps, None)


def _step(line: bytes) -> tuple[int, int, str] | None:
    try:
        step = json.loads(line)
        return int(step["done"]), int(step["total"]), str(step.get("text", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # half a line, or not ours: progress is a courtesy, never a reason to stop
