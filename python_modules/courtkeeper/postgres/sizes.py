"""Sizes as a person reads them."""

from __future__ import annotations


def size(count: float) -> str:
    """Return `12.3 MB` for a number of bytes."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"
