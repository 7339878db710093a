"""The host's logrotate configuration as a whole: who rotates which path, and what logrotate passes over.

logrotate itself says little about what it skips. Source of the rules: logrotate(8) and config.c of 3.21.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError

MAIN = "/etc/logrotate.conf"
MOST_BYTES = 2**20
DEEPEST = 8
SCRIPTS = frozenset({"prerotate", "postrotate", "preremove", "firstaction", "lastaction"})
# logrotate's own list; tabooext in the configuration replaces it or, with +, adds to it.
TABOO = (
    ",v", ".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new", ".dpkg-old",
    ".dpkg-tmp", ".rhn-cfg-tmp-*", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".ucf-dist", ".ucf-new",
    ".ucf-old", "~",
)  # fmt: skip


class ConfigError(CourtkeeperError):
    """A file of the configuration cannot be read as one; the message says which and why."""


class Block(msgspec.Struct, frozen=True):
    """One stanza: where it stands, its patterns, its directives by name, and its scripts by name."""

    file: str
    line: int
    patterns: list[str]
    directives: dict[str, str]
    scripts: dict[str, str]


class Parsed(msgspec.Struct, frozen=True):
    """One file: its stanzas, and its global directives in their order (name, argument)."""

    blocks: list[Block]
    globals: list[tuple[str, str]]


class Configuration(msgspec.Struct, frozen=True):
    """All files that logrotate reads: stanzas, (file, reason) that it passes over, and global directives."""

    blocks: list[Block]
    ignored: list[tuple[str, str]]
    globals: dict[str, str]
    files: list[str]


def parse(text: str, file: str) -> Parsed:
    """Read one file of configuration. Raises ConfigError for what is none."""
    if len(text) > MOST_BYTES or "\0" in text:
        raise ConfigError(f"{file} is no logrotate configuration: it is too large or holds a NUL.")
    blocks: list[Block] = []
    outside: list[tuple[str, str]] = []
    waiting: list[str] = []
    lines = iter(enumerate(text.split("\n"), 1))
    for number, raw in lines:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if waiting or line[0] in "/\"'~*?[{" or line.endswith("{"):
            head, brace, rest = line.partition("{")
            waiting += _words(head, file, number)
            if brace:
                if not waiting:
                    raise ConfigError(f"{file}:{number} opens a stanza without a path.")
                blocks.append(_block(lines, rest, file, number, waiting))
                waiting = []
        elif (name := line.split()[0]) in SCRIPTS:
            _script(lines, file, number, name)
        else:
            outside.append(_directive(line))
    if waiting:
        raise ConfigError(f"{file} ends within the paths of a stanza.")
    return Parsed(blocks, outside)


def _words(text: str, file: str, number: int) -> list[str]:
    """Split a list of paths, which may be quoted."""
    try:
        return shlex.split(text, comments=False)
    except ValueError:
        raise ConfigError(f"{file}:{number} has a quotation mark without its pair.") from None


def _directive(line: str) -> tuple[str, str]:
    """Split `name argument` or `name=argument`."""
    name, _, argument = (
        line.replace("=", " ", 1).partition(" ") if "=" in line.split()[0] else line.partition(" ")
    )
    name, tab, more = name.partition("\t")
    return name, (more + " " + argument if tab else argument).strip()


def _block(lines: Iterator[tuple[int, str]], rest: str, file: str, number: int, patterns: list[str]) -> Block:
    """Read what stands between the braces."""
    directives: dict[str, str] = {}
    scripts: dict[str, str] = {}
    pending: list[tuple[int, str]] = [(number, rest)]
    while True:
        at, raw = pending.pop() if pending else next(lines, (0, ""))
        if at == 0:
            raise ConfigError(f"{file}:{number} opens a stanza that is never closed.")
        line = raw.strip()
        if line.startswith("}") or (line.endswith("}") and not line.startswith("#")):
            if body := line.rpartition("}")[0].strip():
                directives.update([_directive(body)])
            return Block(file, number, patterns, directives, scripts)
        if not line or line.startswith("#"):
            continue
        name, argument = _directive(line)
        if name in SCRIPTS:
            scripts[name] = _script(lines, file, at, name)
        else:
            directives[name] = argument


def _script(lines: Iterator[tuple[int, str]], file: str, number: int, name: str) -> str:
    """Read a script up to its endscript."""
    body: list[str] = []
    for _, raw in lines:
        if raw.split()[:1] == ["endscript"]:
            return "\n".join(body)
        body.append(raw.strip())
    raise ConfigError(f"{file}:{number}: {name} has no endscript.")


def taboo(name: str, patterns: Sequence[str] = TABOO) -> bool:
    """Tell whether logrotate passes over a file called `name` in an included directory."""
    return any(fnmatchcase(name, f"*{pattern}") for pattern in patterns)


def unsafe(status: os.stat_result) -> str:
    """Return why logrotate ignores a file of configuration with this owner and mode; '' if it does not."""
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file"
    if status.st_uid != 0:
        return "it does not belong to root"
    if status.st_mode & 0o022:
        return "its group or others can write it"
    return ""


def load(main: str = MAIN, trusted: Callable[[os.stat_result], str] = unsafe) -> Configuration:
    """Read `main` and what it includes, as logrotate would, and say what logrotate passes over."""
    blocks: list[Block] = []
    ignored: list[tuple[str, str]] = []
    settings: dict[str, str] = {}
    files: list[str] = []
    patterns = list(TABOO)
    todo: list[tuple[str, int]] = [(main, 0)]
    while todo:
        path, depth = todo.pop(0)
        try:
            if reason := trusted(os.stat(path)):  # noqa: PTH116
                ignored.append((path, reason))
                continue
            parsed = parse(Path(path).read_bytes()[: MOST_BYTES + 1].decode("utf-8", "replace"), path)
        except OSError as error:
            ignored.append((path, f"it cannot be read: {error.strerror}"))
            continue
        except ConfigError as error:
            ignored.append((path, str(error).rstrip(".")))
            continue
        files.append(path)
        blocks += parsed.blocks
        included: list[str] = []
        for name, argument in parsed.globals:
            if name in {"tabooext", "taboopat"}:
                patterns = _taboos(name, argument, patterns)
            elif name == "include":
                included += _included(argument, patterns)
            else:
                settings[name] = argument
        if depth < DEEPEST:
            todo = [(each, depth + 1) for each in included if each not in files] + todo
    return Configuration(blocks, ignored, settings, files)


def _taboos(name: str, argument: str, before: list[str]) -> list[str]:
    """Return the endings that are passed over after one tabooext or taboopat."""
    words = argument.replace(",", " ").split()
    added = words[:1] == ["+"]
    return [*(before if added or name == "taboopat" else []), *(words[1:] if added else words)]


def _included(argument: str, patterns: Sequence[str]) -> list[str]:
    """Return the files that `include argument` means, in logrotate's order."""
    target = argument.strip("\"'")
    if not os.path.isdir(target):  # noqa: PTH112
        return [target]
    names = sorted(os.listdir(target))  # noqa: PTH208
    return [
        f"{target}/{name}"
        for name in names
        if not name.startswith(".") and not taboo(name, patterns) and not os.path.isdir(f"{target}/{name}")  # noqa: PTH112
    ]
