"""How a step that takes long tells the driver how far it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def writer(path: str) -> Callable[[int, int, str], None]:
    """Return a function (done, total, text) that appends one JSON line to the file at `path`.

    Where `path` is empty or its directory is not there (a remote host), it does nothing:
    progress is a courtesy and never a reason to fail.
    """
    target = Path(path) if path else None
    if target is None or not target.parent.is_dir():
        return lambda _done, _total, _text: None

    def write(done: int, total: int, text: str) -> None:
        line = json.dumps({"done": done, "total": total, "text": text})
        try:
            with target.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError:
            return

    return write
