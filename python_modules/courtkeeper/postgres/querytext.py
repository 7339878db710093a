"""What may be said of a query: its shape, never the values in it."""

from __future__ import annotations

import re

_SHOWN = 120

# In this order, at the place that is read: what a query may begin with next. A literal that does not end
# (pg_stat_activity cuts queries off) reaches to the end of the text.
_PART = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\* )
    | (?P<literal> (?:[eEbBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z)
                 | (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?:(?P=tag)|\Z) )
    | (?P<name>    "(?:[^"]|"")*(?:"|\Z) )
    | (?P<word>    [^\W\d][\w$]* | \$\d+ )
    | (?P<number>  (?:\d|\.\d)[\w.]*(?:(?<=[eE])[+-]\d+)? )
    | (?P<space>   \s+ )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)

_COMMENT_MARK = re.compile(r"/\*|\*/")


def shape(query: str, shown: int = _SHOWN) -> str:
    r"""Return `query` on one line with `?` for every literal, without comments, at most `shown` characters.

    A backslash in a literal leaves it open where the literal ends (that depends on a setting of the
    session), so the text stops there with `…`: rather less of the query than a piece of a password.
    """
    parts: list[str] = []
    place = 0
    while match := _PART.match(query, place):
        text = match[0]
        place = match.end()
        if match["comment"]:
            place = _comment_end(query, match.start(), place)
            parts.append(" ")
        elif match.lastgroup == "space":
            parts.append(" ")
        elif match["literal"]:
            parts.append("?")
            if "\\" in text and match["tag"] is None:
                parts.append("…")
                break
        elif match["number"]:
            parts.append("?")
        elif match["name"] and not text.endswith('"'):
            parts.append("…")  # cut off: it may be anything
        else:
            parts.append(text)
    line = " ".join("".join(parts).split())
    return line if len(line) <= shown else line[: shown - 1].rstrip() + "…"


def _comment_end(query: str, start: int, end: int) -> int:
    """Return where the comment from `start` ends: those in /* */ hold others, one left open is the rest."""
    if query.startswith("--", start):
        return end
    depth = 0
    for mark in _COMMENT_MARK.finditer(query, start):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(query)
