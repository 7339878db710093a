"""Keys as patterns: numbers, dates, hashes and UUIDs become `*`, so that like keys fall together."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"([:/.|_\-{}@#,;=+\s]+)")
_UUID = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
_MOST_CHARACTERS = 120


def pattern(key: bytes) -> str:
    """Return the pattern of `key`: `session:1f3e…:2026-11-22` → `session:*:*`.

    A part between separators becomes `*` where it holds a digit; parts of `*` in a row become one.
    """
    text = _UUID.sub("0", key[:512].decode(errors="replace"))
    parts = _SEPARATORS.split(text)
    parts[::2] = ["*" if any(sign.isdigit() for sign in part) else part for part in parts[::2]]
    return printable("".join(parts), _MOST_CHARACTERS)


def printable(text: str, most: int = 60) -> str:
    """Return `text` on one line, without control characters and at most `most` characters long."""
    clean = "".join(sign if sign.isprintable() else "?" for sign in text[: most + 1])
    return clean if len(clean) <= most else clean[: most - 1] + "…"
