"""What a kernel setting will be after the next boot, by the rules of sysctl.d(5) and tmpfiles.d(5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

# The first directory that holds a file of a name hides the others; files count in the order of their names.
PLACES = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
MOST_BYTES = 2**20


class Booted(msgspec.Struct, frozen=True):
    """The value after a boot, and the file (below the root, with its line) that says so; '' is the kernel."""

    value: str
    where: str


def sysctl(root: Path, key: str, default: str) -> Booted:
    """Return what `key` (`vm.overcommit_memory`) will be: the last line that sets it, else `default`."""
    found = Booted(default, "")
    for path in _files(root, "sysctl.d"):
        for number, line in enumerate(_lines(path), 1):
            name, equals, value = line.partition("=")
            if equals and name.strip().removeprefix("-").strip().replace("/", ".") == key:
                found = Booted(value.strip(), f"{_shown(root, path)}:{number}")
    return found


def written_at_boot(root: Path, target: str) -> Booted | None:
    """Return what tmpfiles.d writes to `target`; the first line that does counts. None where none does."""
    for path in _files(root, "tmpfiles.d"):
        for number, line in enumerate(_lines(path), 1):
            words = line.split(maxsplit=6)
            if len(words) == 7 and words[0].startswith("w") and words[1] == target:
                return Booted(words[6].strip(), f"{_shown(root, path)}:{number}")
    return None


def on_command_line(root: Path, name: str) -> Booted | None:
    """Return what the kernel's command line says of `name`; None where it says nothing."""
    path = root / "proc/cmdline"
    found = [word.partition("=")[2] for word in " ".join(_lines(path)).split() if word.startswith(f"{name}=")]
    return Booted(found[-1], "/proc/cmdline") if found else None


def _files(root: Path, kind: str) -> list[Path]:
    found: dict[str, Path] = {}
    for place in PLACES:
        for path in sorted((root / place / kind).glob("*.conf")):
            found.setdefault(path.name, path)
    return [found[name] for name in sorted(found)]


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file, comments emptied; none where it cannot be read or is masked by /dev/null."""
    try:
        with path.open("rb") as stream:
            text = stream.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    for line in text.splitlines():
        yield "" if line.lstrip().startswith(("#", ";")) else line.strip()


def _shown(root: Path, path: Path) -> str:
    """Return the path as the host sees it; a link such as 99-sysctl.conf by the file it leads to."""
    real, base = os.path.realpath(path), os.path.realpath(root)
    return real if base == "/" else real.removeprefix(base)
