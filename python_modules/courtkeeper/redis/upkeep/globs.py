"""Patterns of keys, in which `*` stands for anything: does one match a key, do two have a key in common."""

from __future__ import annotations

from functools import cached_property

import msgspec


class Glob(msgspec.Struct, frozen=True, dict=True):
    """One pattern. Only `*` is special; what else is special to the server is refused by the settings."""

    text: str

    @cached_property
    def _parts(self) -> list[bytes]:
        return self.text.encode("utf-8", "surrogateescape").split(b"*")

    def matches(self, key: bytes) -> bool:
        """Tell whether `key` is one of the pattern's, in time linear in its length."""
        first, *between = self._parts
        if not key.startswith(first):
            return False
        if not between:
            return key == first
        last = between.pop()
        at, end = len(first), len(key) - len(last)
        if end < at or not key.endswith(last):
            return False
        for part in between:
            found = key.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    def covers(self, other: str) -> bool:
        """Tell whether every key of the pattern `other` is one of this one's too."""
        # No literal part of ours holds a star: the other's stars can only fall to stars of ours.
        return self.matches(other.encode("utf-8", "surrogateescape"))

    def overlaps(self, other: Glob) -> bool:
        """Tell whether some key matches both. Time and memory are bounded by the product of their lengths."""
        ours, theirs = self.text, other.text
        # row[j]: whether what is left of ours and theirs[j:] have a text in common; from the end on.
        row = [not theirs[at:].strip("*") for at in range(len(theirs) + 1)]
        for here in reversed(ours):
            below, row = row, [False] * (len(theirs) + 1)
            row[-1] = below[-1] and here == "*"
            for at in range(len(theirs) - 1, -1, -1):
                if "*" in (here, theirs[at]):
                    row[at] = below[at] or row[at + 1]
                else:
                    row[at] = here == theirs[at] and below[at + 1]
        return row[0]


def first_match(globs: list[Glob], key: bytes) -> int | None:
    """Return the index of the first pattern that matches `key`, None where none does."""
    return next((index for index, glob in enumerate(globs) if glob.matches(key)), None)
