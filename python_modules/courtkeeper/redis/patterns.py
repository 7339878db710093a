"""Keys as patterns: numbers, dates, hashes and UUIDs become `*`, and so does a part that has many names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, Self, TypeVar

OTHER = "(other)"
# More different names than this in one place, with few keys each, are names of things: `user:alice`,
# `user:bob` …; with many keys each they are kinds, unless there are far too many of them.
FAN_OUT = 40
_FEW_KEYS = 8
_MOST_NAMES = 10 * FAN_OUT
_SEPARATORS = re.compile(r"([:/.|_\-{}@#,;=+\s]+)")
_UUID = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
_HEX = re.compile(r"[0-9A-Fa-f]{16,}")
_SHORT_HEX = re.compile(r"[a-f]+|[A-F]+")
_MOST_BYTES = 512
_MOST_PARTS = 16


def parts(key: bytes) -> tuple[str, ...]:
    """Cut a key into parts and what is between them; each part with a digit, or long in hex, is `*`.

    What comes after sixteen parts is one `*`.
    """
    words = _SEPARATORS.split(_UUID.sub("0", key[:_MOST_BYTES].decode(errors="replace")))
    words[::2] = ["*" if _varies(word) else word for word in words[::2]]
    if len(words) > 2 * _MOST_PARTS:
        words[2 * _MOST_PARTS - 1 :] = ["*"]
    return tuple(words)


def pattern(key: bytes) -> str:
    """Return the pattern of one key by itself: `session:1f3e…:2026-11-22` → `session:*:*-*-*`."""
    return shown(parts(key))


def shown(words: tuple[str, ...]) -> str:
    """Return parts as one pattern that can be shown."""
    return printable("".join(words), 120)


def printable(text: str, most: int = 60) -> str:
    """Return `text` on one line, without control characters and at most `most` characters long."""
    clean = "".join(sign if sign.isprintable() else "?" for sign in text[: most + 1])
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def _varies(word: str) -> bool:
    return any(sign.isdigit() for sign in word) or _HEX.fullmatch(word) is not None


class Sum(Protocol):
    """What is counted for each pattern."""

    def merge(self, other: Self, /) -> None:
        """Take in what another pattern counted."""


Counted = TypeVar("Counted", bound=Sum)


class Patterns(Generic[Counted]):
    """Counts by pattern, in memory that does not grow with the keys.

    A place where more than FAN_OUT different names stand, with few keys each, becomes `*`, and what was
    counted for them is merged. Of more than `most` patterns the rest is OTHER.
    """

    def __init__(self, new: Callable[[], Counted], most: int) -> None:
        self._new, self._most = new, most
        self._root: _Node[Counted] = _Node()
        self._leaves = 0
        self._other: Counted | None = None

    def of(self, key: bytes) -> Counted:
        """Return where to count `key`."""
        node = self._root
        words = parts(key)
        for at, word in enumerate(words):
            node.keys += 1
            child = node.child(word)
            if child is None and _SHORT_HEX.fullmatch(word):
                child = node.children.get("*")  # an id like its neighbours, which happens to have no digit
            if child is None:
                self._room(node)
                child = node.child(word)
            if child is None:
                if self._leaves >= self._most:
                    self._other = self._other or self._new()
                    return self._other
                return self._grow(node, words[at:])
            node = child
        if node.counted is None:
            self._leaves += 1
            node.counted = self._new()
        return node.counted

    def all(self) -> Iterator[tuple[str, Counted]]:
        """Yield every pattern and what was counted for it."""
        for words, counted in self._root.leaves(()):
            yield shown(words), counted
        if self._other is not None:
            yield OTHER, self._other

    def _room(self, node: _Node[Counted]) -> None:
        """Make `*` of the names under `node` where they are too many."""
        names = len(node.children)
        if names < FAN_OUT or (names < _MOST_NAMES and node.keys > _FEW_KEYS * names):
            return
        merged: _Node[Counted] = _Node()
        for child in node.children.values():
            self._leaves -= merged.take(child)
        node.children, node.wild = {"*": merged}, True

    def _grow(self, node: _Node[Counted], words: tuple[str, ...]) -> Counted:
        for word in words:
            node.children[word] = node = _Node()
            node.keys = 1
        node.keys = 0
        node.counted = self._new()
        self._leaves += 1
        return node.counted


class _Node(Generic[Counted]):
    """A place in the keys: what can follow, and what was counted for keys that end here."""

    __slots__ = ("children", "counted", "keys", "wild")

    def __init__(self) -> None:
        self.children: dict[str, _Node[Counted]] = {}
        self.counted: Counted | None = None
        self.keys = 0
        self.wild = False

    def child(self, word: str) -> _Node[Counted] | None:
        return self.children.get("*" if self.wild else word)

    def take(self, other: _Node[Counted]) -> int:
        """Take in another place and all below it; return how many patterns are fewer by that."""
        fewer = 0
        self.keys += other.keys
        if other.counted is not None:
            if self.counted is None:
                self.counted = other.counted
            else:
                self.counted.merge(other.counted)
                fewer += 1
        if other.wild and not self.wild:
            merged: _Node[Counted] = _Node()
            for child in self.children.values():
                fewer += merged.take(child)
            self.children, self.wild = {"*": merged}, True
        for word, child in other.children.items():
            mine = self.child(word)
            if mine is None:
                self.children[word] = child
            else:
                fewer += mine.take(child)
        return fewer

    def leaves(self, before: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Counted]]:
        if self.counted is not None:
            yield before, self.counted
        for word, child in self.children.items():
            yield from child.leaves((*before, word))
