"""Names of log files: patterns as logrotate reads them, rotated files, and which directories may be named."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from courtkeeper.findings import ConfigurationError

WILDCARDS = re.compile(r"[*?\[]")
# What logrotate and Debian's older stanzas put behind a log's name: .1, .2.gz, -20260101,
# -20260101-000000.gz. A year is what an application puts there, and keeps.
NUMBER = r"\.(?!(?:19|20)\d\d(?!\d))\d{1,4}"
ROTATED = re.compile(rf"(?:{NUMBER}|-\d{{8}}(?:-?\d{{6,10}})?)(?:\.(?:gz|bz2|xz|zst|Z|lz4))?\Z")
COMPRESSED = re.compile(r"\.(?:gz|bz2|xz|zst|Z|lz4)\Z")
# Declared as a root, each of these would take in files that are no logs.
TOO_WIDE = frozenset(
    f"/{name}"
    for name in (
        "", "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run",
        "sbin", "srv", "sys", "usr", "usr/lib", "usr/local", "usr/share", "var", "var/cache", "var/lib",
        "var/spool",
    )
)  # fmt: skip


def shown(path: str) -> str:
    """Return a path for a person: what cannot be printed, or is no UTF-8, as its code."""
    return "".join(c if c.isprintable() else f"\\x{ord(c) & 0xFF:02x}" for c in path)


def matches(path: str, pattern: str) -> bool:
    """Tell whether glob(3) would find `path` by `pattern`: no wildcard crosses a slash or a leading dot."""
    parts, wanted = path.split("/"), pattern.split("/")
    if len(parts) != len(wanted):
        return False
    return all(
        fnmatchcase(part, want) and (not part.startswith(".") or want.startswith("."))
        for part, want in zip(parts, wanted, strict=True)
    )


def original(path: str) -> str:
    """Return the path of the log that `path` was rotated from; '' if it does not look rotated."""
    directory, name = os.path.split(path)
    stem = ROTATED.sub("", name)
    return os.path.join(directory, stem) if stem and stem != name else ""  # noqa: PTH118


def below(path: str, root: str) -> bool:
    """Tell whether `path` is `root` or lies in it, by name."""
    return PurePosixPath(path).is_relative_to(root)


def fixed_part(pattern: str) -> str:
    """Return the directory above the first wildcard of `pattern`."""
    parts = pattern.split("/")[:-1]
    wild = next((number for number, part in enumerate(parts) if WILDCARDS.search(part)), len(parts))
    return "/".join(parts[:wild]) or "/"


def folders(pattern: str) -> list[str]:
    """Return the directories that `pattern` finds logs in, but for those that a link leads elsewhere to.

    Who may write a log's directory could else let a wildcard find any directory of the host.
    """
    top = os.path.realpath(fixed_part(pattern))
    return [
        folder
        for folder in glob.glob(pattern.rpartition("/")[0])  # noqa: PTH207 - the whole path is the pattern
        if below(os.path.realpath(folder), top)
    ]


def plain(path: str) -> bool:
    """Tell whether `path` is absolute, normal and of printable characters that need no escape in a stanza."""
    return (
        path.startswith("/")
        and not path.startswith("//")
        and os.path.normpath(path) == path
        and path.isprintable()
        and not set(path) & set("\"'\\{}")
    )


def refuse_odd_roots(roots: Iterable[str], where: str) -> None:
    """Raise ConfigurationError for a root that is not a plain path, is too wide, or leads through a link."""
    for root in roots:
        if not plain(root) or WILDCARDS.search(root):
            raise ConfigurationError(
                f"{where} holds {root!r}: give an absolute path without wildcards or dots."
            )
        if root in TOO_WIDE:
            raise ConfigurationError(
                f"{where} holds {root}, which is too wide: name the directory of the logs."
            )
        if (real := os.path.realpath(root)) != root:
            raise ConfigurationError(
                f"{where} holds {root}, which is a link or leads through one: it is really {real}."
            )


def refuse_outside(pattern: str, directory: str, roots: Iterable[str], where: str, variable: str) -> None:
    """Raise ConfigurationError if `directory`, that of `pattern`, is outside `roots`, also by a link."""
    if not plain(pattern):
        raise ConfigurationError(
            f"{where} holds {pattern!r}: give an absolute path without dots, quotes, braces or backslashes."
        )
    real = os.path.realpath(directory)
    for root in roots:
        if below(directory, root) and below(real, os.path.realpath(root)):
            return
    by_link = f" (it is really in {real})" if real != directory else ""
    raise ConfigurationError(
        f"{where} holds {pattern}{by_link}, which is outside {variable} ({', '.join(roots) or 'empty'}): "
        "declare its directory there or mend the path."
    )
