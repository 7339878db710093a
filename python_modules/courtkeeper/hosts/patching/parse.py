"""Read what dpkg, apt and the kernel say. Pure: text in, values out.

What cannot be read raises CourtkeeperError, with the line that was not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.patching.model import Installed

INSTALLED_FORMAT = "${Package}\t${Architecture}\t${Version}\t${db:Status-Abbrev}\t${Installed-Size}\n"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?")
_VERSION = re.compile(r"[A-Za-z0-9.+:~_-]+")
_VERSION_LINE = re.compile(r" (\*\*\*|   ) (\S+) -?\d+(?: .*)?")
_SOURCE_LINE = re.compile(r" {6,}-?\d+ (.+)")
_INST = re.compile(r"Inst (\S+)(?: \[([^\]\s]+)\])? \((\S+) ?(.*)")
_REMOVED = re.compile(r"(?:Remv|Purg) (\S+)")
_KEPT = re.compile(
    r"Configuration file '([^'\n]+)'\n(?:.*\n){0,6}?.*==> Keeping old config file", re.MULTILINE
)
_SERVICE = re.compile(r"[A-Za-z0-9:_.\\@-]+\.service")
# Where files of packages lie; what is mapped from elsewhere (/tmp, /memfd, /dev) no upgrade replaces.
_PLACES = ("/usr/", "/opt/")
_MERGED = ("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/")


class Release(msgspec.Struct, frozen=True):
    """Where a version comes from, as the repository's Release file says."""

    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""

    def __str__(self) -> str:
        return f"{self.label or self.origin or 'local'}:{self.suite or self.codename}"


class Policy(msgspec.Struct, frozen=True):
    """What apt knows of a package: versions from the newest down, each with the repositories that have it."""

    installed: str
    candidate: str
    versions: dict[str, list[str]]


class Simulated(msgspec.Struct, frozen=True):
    """What apt would do: packages with their new versions, and packages that would go."""

    installs: dict[str, str]
    removes: list[str]


def _unreadable(tool: str, line: str) -> CourtkeeperError:
    return CourtkeeperError(f"{tool} said something that cannot be read: {line[:120]!r}.")


def installed(text: str, native: str) -> dict[str, Installed]:
    """Read dpkg-query's answer in INSTALLED_FORMAT; names carry an architecture only if it is foreign."""
    found = {}
    for line in text.split("\n"):
        if not line:
            continue
        parts = line.split("\t")
        if len(parts) != 5 or not _NAME.fullmatch(parts[0]):
            raise _unreadable("dpkg-query", line)
        package, architecture, version, state, size = parts
        name = package if architecture in {native, "all", ""} else f"{package}:{architecture}"
        kib = int(size) if re.fullmatch(r"[0-9]{1,12}", size) else 0
        # A removed package whose configuration is left stands here too, without a place in any plan.
        found[name] = Installed(name=name, version=version, state=f"{state:3.3}", size_kib=kib)
    return found


def names(text: str, native: str) -> list[str]:
    """Read a list of packages, one a line, as apt-mark prints it."""
    found = []
    for line in text.split("\n"):
        name = line.strip()
        if name and not _NAME.fullmatch(name):
            raise _unreadable("apt-mark", line)
        if name:
            found.append(name.removesuffix(f":{native}"))
    return found


def releases(text: str) -> dict[str, Release]:
    """Read `apt-cache policy` without a package: which repository is what."""
    found: dict[str, Release] = {}
    source = ""
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith("release ") and source:
            fields = dict(part.split("=", 1) for part in _fields(stripped[8:]))
            found[source] = Release(
                fields.get("o", ""), fields.get("l", ""), fields.get("a", ""), fields.get("n", "")
            )
            source = ""
        elif match := re.fullmatch(r" {1,4}-?\d+ (.+)", line):
            source = match[1]
            found.setdefault(source, Release())
    return found


def _fields(text: str) -> list[str]:
    """Split `o=A,l=B, C,a=x`: a label may hold a comma."""
    return [part for part in re.split(r",(?=[a-z]=)", text) if "=" in part]


def policies(text: str) -> dict[str, Policy]:
    """Read `apt-cache policy NAME…`."""
    found: dict[str, Policy] = {}
    name = version = ""
    known: dict[str, str] = {}
    for line in text.split("\n"):
        if line.endswith(":") and not line.startswith(" "):
            name, version, known = line[:-1], "", {}
            if not _NAME.fullmatch(name):
                raise _unreadable("apt-cache", line)
        elif match := re.fullmatch(r"  (Installed|Candidate): (\S+)", line):
            known[match[1]] = "" if match[2] == "(none)" else match[2]
            if name and len(known) == 2:
                found[name] = Policy(known["Installed"], known["Candidate"], {})
        elif (match := _VERSION_LINE.fullmatch(line)) and name in found:
            version = match[2]
            found[name].versions.setdefault(version, [])
        elif (match := _SOURCE_LINE.fullmatch(line)) and version:
            found[name].versions[version].append(match[1])
    return found


def simulated(text: str) -> Simulated:
    """Read `apt-get -s`."""
    installs: dict[str, str] = {}
    removes = []
    for line in text.split("\n"):
        if line.startswith("Inst "):
            match = _INST.fullmatch(line)
            if not match or not _NAME.fullmatch(match[1]) or not _VERSION.fullmatch(match[3].rstrip(")")):
                raise _unreadable("apt-get", line)
            installs[match[1]] = match[3].rstrip(")")
        elif match := _REMOVED.match(line):
            removes.append(match[1])
    return Simulated(installs, removes)


def sizes(text: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Read `apt-cache show`: for each name and version the size of its archive (bytes) and unpacked (KiB)."""
    found = {}
    for stanza in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in stanza.split("\n") if ": " in line and not line.startswith(" ")
        )
        if "Package" in fields and "Version" in fields:
            amounts = [fields.get(field, "") for field in ("Size", "Installed-Size")]
            size, unpacked = (int(a) if re.fullmatch(r"[0-9]{1,15}", a) else 0 for a in amounts)
            found[fields["Package"], fields["Version"]] = (size, unpacked)
    return found


def files(text: str) -> list[set[str]]:
    """Read `dpkg-query -L NAME…`: the files of each package, in the order asked for."""
    return [
        {canonical(line) for line in block.split("\n") if line.startswith("/") and line != "/."}
        for block in text.rstrip("\n").split("\n\n")
    ]


def canonical(path: str) -> str:
    """Return the path as it is on a host whose /bin and /lib are links into /usr (Debian since 12)."""
    return f"/usr{path}" if path.startswith(_MERGED) else path


def kept_files(text: str) -> list[str]:
    """Return the configuration files whose old version dpkg kept, from what it printed."""
    return list(dict.fromkeys(_KEPT.findall(text)))


def mapped(text: str) -> tuple[set[str], set[str]]:
    """Read /proc/PID/maps: files of packages that are executed, and those of them that were replaced."""
    present: set[str] = set()
    replaced: set[str] = set()
    for line in text.split("\n"):
        parts = line.split(None, 5)
        if len(parts) != 6 or "x" not in parts[1]:
            continue
        path, gone = parts[5].removesuffix(" (deleted)"), parts[5].endswith(" (deleted)")
        path = canonical(path)
        if path.startswith(_PLACES):
            (replaced if gone else present).add(path)
    return present, replaced


def unit_of(text: str) -> str:
    """Read /proc/PID/cgroup: the service of this host that the process belongs to, or nothing.

    It lies below slices alone. What a user's manager or a container runs has names of its own, which may be
    those of other services here.
    """
    for line in text.split("\n"):
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers in {"", "name=systemd"}:
            inside = [part for part in path.split("/") if part and not part.endswith(".slice")]
            if inside and _SERVICE.fullmatch(inside[0]):
                return inside[0]
    return ""


def units_in(paths: Iterable[str]) -> set[str]:
    """Return the services whose unit or init script is among `paths`; templates end in `@.service`."""
    found = set()
    for path in paths:
        directory, _, name = path.rpartition("/")
        if directory in {"/usr/lib/systemd/system", "/etc/systemd/system"} and _SERVICE.fullmatch(name):
            found.add(name)
        elif directory == "/etc/init.d" and _SERVICE.fullmatch(f"{name}.service"):
            found.add(f"{name}.service")
    return found


def properties(text: str) -> list[dict[str, str]]:
    """Read `systemctl show -p … UNIT…`: one dict a unit."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return [dict(line.split("=", 1) for line in block.split("\n") if "=" in line) for block in blocks]
