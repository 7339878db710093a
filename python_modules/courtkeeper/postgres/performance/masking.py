"""Statements as they may be shown: without comments, and without literals that the server left in."""

from __future__ import annotations

import re

# pg_stat_statements replaces the constants of most statements, but not those of all utility statements
# (ALTER ROLE … PASSWORD), nor those of a statement whose entry was evicted while it ran, nor comments.
_TOKEN = re.compile(
    r"""
      (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<comment>--[^\n]*|/\*)
    | (?P<string>
          [eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)
        | (?:[uU]&|[bBxXnN])?'(?:[^']|'')*(?:'|\Z)
        | \$(?P<tag>[^\W\d]\w*)?\$.*?(?:\$(?(tag)(?P=tag))\$|\Z)
      )
    | (?P<word>[^\W\d][\w$]*)
    | (?P<parameter>\$\d+)
    | (?P<number>(?:\d|\.\d)[\w.]*(?:(?<=[eE])[+-]\d+)?)
    """,
    re.VERBOSE | re.DOTALL,
)
MASK = "?"
LONGEST = 100_000


def masked(statement: str, longest: int = LONGEST) -> str:
    """Return `statement` on one line, with `?` for each literal, cut at `longest` characters."""
    parts = []
    place = 0
    whole = statement[:LONGEST]
    while match := _TOKEN.search(whole, place):
        parts.append(whole[place : match.start()])
        place = match.end()
        kind = match.lastgroup if match.lastgroup != "tag" else "string"
        if kind == "comment":
            place = _comment_end(whole, match.start())
            parts.append(" ")
        else:
            parts.append(MASK if kind in ("string", "number") else match.group())
    text = " ".join("".join([*parts, whole[place:]]).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _comment_end(text: str, start: int) -> int:
    """Return where a comment ends; those with /* hold others, and one without an end is the rest."""
    if text.startswith("--", start):
        end = text.find("\n", start)
        return len(text) if end < 0 else end
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark.group() == "/*" else -1
        if not depth:
            return mark.end()
    return len(text)
