"""Pages by key: where a page ends is what the next one begins after, however deep one is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.store.rows import AnyRow

MOST = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Some rows, and the token with which the next ones are asked for; empty at the end."""

    rows: list[Item]
    next: str = ""


def at_most(limit: int) -> int:
    """Return a page's size from 1 to MOST. Raises ConfigurationError for less than 1."""
    if limit < 1:
        raise ConfigurationError(f"A page of {limit} rows holds nothing: ask for 1 to {MOST}.")
    return min(limit, MOST)


def token(*numbers: int | datetime) -> str:
    """Return the place after a row as a word that can stand in a URL."""
    return "-".join(str(_number(each)) for each in numbers)


def place(word: str, size: int) -> tuple[int, ...] | None:
    """Return what `token` was made from (times as microseconds); None for an empty word.

    Raises ConfigurationError for a word that `token` did not make.
    """
    if not word:
        return None
    parts = word.split("-")
    if len(parts) != size or not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise ConfigurationError(f"{word[:40]!r} is no place in a list: begin at its first page.")
    return tuple(int(part) for part in parts)


def moment(microseconds: int) -> datetime:
    """Return the instant. Raises ConfigurationError for one beyond what there is."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise ConfigurationError(f"{microseconds} is no time: begin at the first page.") from None


def paged(
    rows: Sequence[AnyRow], limit: int, item: Callable[[AnyRow], Item], mark: Callable[[AnyRow], str]
) -> Page[Item]:
    """Return a page from up to `limit` + 1 rows; the one too many says that there is a next page."""
    shown = rows[:limit]
    return Page([item(row) for row in shown], mark(shown[-1]) if len(rows) > limit else "")


def _number(value: int | datetime) -> int:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return value
