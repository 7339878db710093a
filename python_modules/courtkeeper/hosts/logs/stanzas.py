"""What an inventory declares about its logs, and the logrotate stanza that follows from it.

logrotate knows "compress at once" and "compress one rotation later", and counts either compressed or
uncompressed files. "Seven days readable, thirty days kept" is neither: so logrotate rotates and the
library's `keep` compresses, archives and removes by age, called by `lastaction` after each rotation.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.hosts.logs import paths

VARIABLE = "log_rotation_stanzas"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}\Z")
USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\Z")
UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127}\Z")
HEADER = "# Declared by log_rotation_stanzas (Courtkeeper); changes made here are undone by the next run.\n"
SIGNALS = Literal["", "HUP", "USR1", "USR2", "WINCH"]


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `log_rotation_stanzas`, as it is written; None means the preset of its kind."""

    name: str
    kind: Literal["app", "nginx", "postgres", "redis", "container", "custom"] = "app"
    paths: list[str] | None = None
    frequency: Literal["hourly", "daily", "weekly", "monthly"] = "daily"
    max_size_mib: int | None = None
    owner: str | None = None
    group: str | None = None
    mode: str | None = None
    su: str | None = None
    service: str | None = None
    signal: SIGNALS | None = None
    command: list[str] | None = None
    reopens: bool | None = None
    copytruncate: bool = False
    allow_lost_lines: bool = False
    compress_after_days: int | None = None
    keep_days: int | None = None
    replaces: str | None = None


class Stanza(msgspec.Struct, frozen=True, kw_only=True):
    """A declared stanza with everything decided; the form in which `keep` finds it in the state file."""

    name: str
    paths: list[str]
    frequency: str
    compress_after_days: int
    keep_days: int
    owner: str = ""
    group: str = ""
    mode: str = "0640"
    su: str = ""
    service: str = ""
    signal: str = ""
    command: list[str] = []
    copytruncate: bool = False
    max_size_mib: int = 0
    replaces: str = ""


# Owners and modes are those of Debian's own packages. Redis opens its log anew for every line.
PRESETS: dict[str, dict[str, Any]] = {
    "app": {},
    "custom": {},
    "container": {"copytruncate": True},
    "nginx": {
        "paths": ["/var/log/nginx/*.log"],
        "owner": "www-data", "group": "adm", "service": "nginx.service", "signal": "USR1",
    },
    # Only with logging_collector does Postgres open a new file; without it the division fails, and says so.
    "postgres": {
        "paths": ["/var/log/postgresql/*.log"],
        "owner": "postgres", "group": "adm", "su": "root postgres",
        "command": [
            "/usr/sbin/runuser", "-u", "postgres", "--", "/usr/bin/psql", "-Xqtc",
            "select 1 / pg_rotate_logfile()::int",
        ],
    },
    "redis": {
        "paths": ["/var/log/redis/*.log"],
        "owner": "redis", "group": "adm", "reopens": True,
    },
}  # fmt: skip


def read(
    entries: Sequence[object], *, roots: Sequence[str], compress_after_days: int, keep_days: int
) -> list[Stanza]:
    """Return the declared stanzas with presets and defaults filled in; refuse the first that is wrong.

    Nothing is asked of the host but where links lead and whether commands exist. Raises ConfigurationError.
    """
    paths.refuse_odd_roots(roots, "log_rotation_roots")
    found: list[Stanza] = []
    for number, entry in enumerate(entries):
        name = entry.get("name", "?") if isinstance(entry, dict) else "?"
        where = f"{VARIABLE}[{number}] ({name})"
        try:
            declared = msgspec.convert(_without_none(entry), Declared)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{where} cannot be read: {error}.") from None
        stanza = _decided(declared, where, compress_after_days, keep_days)
        _refuse_odd_paths(stanza, roots, where)
        if stanza.name in {other.name for other in found}:
            raise ConfigurationError(f"{where} has the name of another stanza: give each its own.")
        found.append(stanza)
    _refuse_shared_paths(found)
    return found


def _without_none(entry: object) -> object:
    """Drop what Ansible fills in as null where a key was left out."""
    return {k: v for k, v in entry.items() if v is not None} if isinstance(entry, dict) else entry


def _decided(declared: Declared, where: str, compress_after_days: int, keep_days: int) -> Stanza:
    """Fill in presets and defaults, and refuse what contradicts itself."""
    preset = PRESETS[declared.kind]
    own = {k: v for k, v in msgspec.structs.asdict(declared).items() if v is not None and v is not False}
    if own.keys() & {"service", "signal", "command", "reopens", "copytruncate"}:
        preset = {k: v for k, v in preset.items() if k not in {"service", "signal", "command", "reopens"}}
    values = {"compress_after_days": compress_after_days, "keep_days": keep_days, **preset, **own}
    _refuse_odd_values(values, where)
    _refuse_lost_lines(values, declared, where)
    wanted = {key: values[key] for key in Stanza.__struct_fields__ if key in values}
    return Stanza(**{**wanted, "frequency": declared.frequency, "service": _unit(values.get("service", ""))})


def _unit(name: str) -> str:
    """Return the full name of a unit: `nginx` means `nginx.service`."""
    return name if not name or "." in name else f"{name}.service"


def _refuse_odd_values(values: dict[str, Any], where: str) -> None:
    """Refuse names, modes and numbers that cannot be written into a stanza or make no sense."""
    tests = {
        "name": (NAME.match(values["name"]), "lower-case letters, digits, - and _, at most 41"),
        "paths": (values.get("paths"), "at least one path"),
        "owner": (USER.match(values.get("owner", "root")), "the name of a user"),
        "group": (USER.match(values.get("group", "root")), "the name of a group"),
        "mode": (re.fullmatch(r"0?[0-7]{3}", values.get("mode", "0640")), "three octal digits such as 0640"),
        "su": (re.fullmatch(r"|[a-z_][\w.-]* [a-z_][\w.-]*", values.get("su", "")), "a user and a group"),
        "service": (UNIT.match(values.get("service") or "x"), "the name of a systemd unit"),
        "max_size_mib": (1 <= values.get("max_size_mib", 1) <= 2**20, "a number from 1 to 1048576"),
        "compress_after_days": (0 <= values["compress_after_days"] <= 3650, "a number from 0 to 3650"),
        "keep_days": (1 <= values["keep_days"] <= 36500, "a number from 1 to 36500"),
    }
    for key, (good, wanted) in tests.items():
        if not good:
            raise ConfigurationError(f"{where}: {key} is {values.get(key)!r}; it has to be {wanted}.")
    if values["keep_days"] < values["compress_after_days"]:
        raise ConfigurationError(
            f"{where}: keep_days ({values['keep_days']}) is less than compress_after_days "
            f"({values['compress_after_days']}): nothing would ever be compressed."
        )
    if int(values.get("mode", "0640"), 8) & 0o002:
        raise ConfigurationError(f"{where}: mode {values['mode']} lets everybody write the log: take 0640.")
    if bool(values.get("owner")) != bool(values.get("group")):
        raise ConfigurationError(f"{where}: owner and group go together: give both or neither.")


def _refuse_lost_lines(values: dict[str, Any], declared: Declared, where: str) -> None:
    """Refuse a stanza whose writer is not told, is told twice, or loses lines without permission."""
    copies = bool(values.get("copytruncate"))
    told = [key for key in ("service", "command", "reopens") if values.get(key)]
    if copies and not declared.allow_lost_lines:
        what = (
            "Docker keeps a container's log open and never opens a new one; set max-size and max-file in the "
            "daemon's log-opts, or use its journald driver, or"
            if declared.kind == "container"
            else "copytruncate loses the lines written between the copy and the truncation: let the writer "
            "open a new file (service with signal, or command), or"
        )
        raise ConfigurationError(f"{where}: {what} say allow_lost_lines: true.")
    if copies and told:
        raise ConfigurationError(f"{where}: copytruncate and {told[0]} exclude each other: choose one.")
    if not copies and not told:
        raise ConfigurationError(
            f"{where}: nothing tells the writer to open a new file: give service (with signal, or it is "
            "reloaded), command, or reopens: true if it opens its log for every line."
        )
    if len(told) > 1:
        raise ConfigurationError(f"{where}: {told[0]} and {told[1]} exclude each other: choose one.")
    if values.get("signal") and not values.get("service"):
        raise ConfigurationError(f"{where}: signal needs a service to send it to.")
    for word in values.get("command") or []:
        if not word.isprintable():
            raise ConfigurationError(f"{where}: command holds a control character.")
    program = (values.get("command") or ["/bin/sh"])[0]
    if not program.startswith("/") or not os.access(program, os.X_OK):
        raise ConfigurationError(
            f"{where}: command begins with {program!r}, which is no program of this host."
        )


def _refuse_odd_paths(stanza: Stanza, roots: Sequence[str], where: str) -> None:
    """Refuse paths outside the roots and patterns that would find rotated files again."""
    for pattern in stanza.paths:
        directory = paths.fixed_part(pattern)
        paths.refuse_outside(pattern, directory, roots, f"{where}.paths", "log_rotation_roots")
        name = pattern.rpartition("/")[2]
        sample = re.sub(r"\[[^]]*\]|[*?]", "x", name)
        if name in {"", "*"} or any(
            paths.matches(f"/{sample}{suffix}", f"/{name}")
            for suffix in ("-20260101-000000", "-20260101-000000.gz")
        ):
            raise ConfigurationError(
                f"{where}.paths holds {pattern}, which finds the rotated files as well and would rotate them "
                "again: end it with what the log's name ends with, such as *.log."
            )
        if Path(pattern).is_dir() and not paths.WILDCARDS.search(pattern):
            raise ConfigurationError(
                f"{where}.paths holds {pattern}, which is a directory: say {pattern}/*.log."
            )
    if stanza.replaces and Path(stanza.replaces).parent.as_posix() != "/etc/logrotate.d":
        raise ConfigurationError(
            f"{where}: replaces is {stanza.replaces}; only files of /etc/logrotate.d can be replaced."
        )


def _refuse_shared_paths(stanzas: Sequence[Stanza]) -> None:
    """Refuse a pattern that two stanzas declare."""
    owner: dict[str, str] = {}
    for stanza in stanzas:
        for pattern in stanza.paths:
            if pattern in owner:
                raise ConfigurationError(
                    f"{VARIABLE}: {pattern} is declared twice, by {owner[pattern]} and {stanza.name}: "
                    "logrotate would skip one of them."
                )
            owner[pattern] = stanza.name


def postrotate(stanza: Stanza) -> str:
    """Return the line of shell that lets the writer open a new file; '' if it does so by itself."""
    if stanza.command:
        return shlex.join(stanza.command)
    if not stanza.service:
        return ""
    unit = shlex.quote(stanza.service)
    told = f"systemctl reload {unit}"
    if stanza.signal:
        told = f"systemctl kill --kill-whom=main --signal={stanza.signal} {unit}"
    return f"! systemctl --quiet is-active {unit} || {told}"  # a stopped service holds no file open


def render(stanza: Stanza, *, keeper: str, archived: bool) -> str:
    """Return the text of the stanza's file in /etc/logrotate.d.

    `keeper` is the Python that has the library. Where files are archived, logrotate itself removes none:
    it could not wait for the archive. Otherwise its maxage holds even on a host that lost the library.
    """
    lines = [
        stanza.frequency, "dateext", "dateformat -%Y%m%d-%H%M%S", "nocompress", "rotate -1",
        "missingok", "notifempty", "nocopy", "noolddir", "nomail", "sharedscripts",
    ]  # fmt: skip
    if not archived:
        lines.append(f"maxage {stanza.keep_days}")
    if stanza.max_size_mib:
        lines.append(f"maxsize {stanza.max_size_mib}M")
    if stanza.su:
        lines.append(f"su {stanza.su}")
    if stanza.copytruncate:
        lines.append("copytruncate")
    else:
        owner = f" {stanza.owner} {stanza.group}" if stanza.owner else ""
        lines += ["nocopytruncate", f"create {stanza.mode}{owner}"]
    if told := postrotate(stanza):
        lines += ["postrotate", f"    {told}", "endscript"]
    kept = shlex.join([keeper, "-I", "-m", "courtkeeper.hosts.logs", stanza.name])
    lines += ["lastaction", f"    {kept}", "endscript"]
    files = "\n".join(f'"{pattern}"' for pattern in stanza.paths)
    return HEADER + files + " {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"
