"""Python, Ansible, the programs that jobs call, the store, the disk, the clock."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from courtkeeper.doctor import Patient, finding
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Status

if TYPE_CHECKING:
    from courtkeeper.store.connection import Database

_LEAST_PYTHON = (3, 11)
_LEAST_ANSIBLE = (2, 19)
_LEAST_RUNNER = (2, 4, 3)
# A run's files and the store grow; below that a night's backup of a small database already fills the disk.
_WARN_BYTES, _CRIT_BYTES = 2 << 30, 256 << 20
_PROGRAMS = ("pg_dump", "pg_dumpall", "psql")
_UNSYNCHRONISED = 0x40  # STA_UNSYNC, adjtimex(2)


def python(_: Patient) -> Iterator[Finding]:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _LEAST_PYTHON:
        fix = "make the venv with Python 3.11 or newer"
        yield finding("python", "", Status.CRIT, f"Python {version} is too old.", fix, version)
    else:
        yield finding("python", "", Status.OK, f"Python {version} in {sys.prefix}.", observed=version)


def ansible(_: Patient) -> Iterator[Finding]:
    """ansible-playbook and ansible-runner."""
    from courtkeeper.runner.environment import ansible_playbook

    fix = "in the checkout: pip install -e '.[driver]', in the environment that courtkeeper runs in"
    try:
        program, _path = ansible_playbook(os.environ)
    except ConfigurationError as error:
        yield finding("ansible", "ansible-playbook", Status.CRIT, str(error), fix)
    else:
        yield _version("ansible", "ansible-core", _LEAST_ANSIBLE, fix, f" ({program})")
    yield _version("ansible_runner", "ansible-runner", _LEAST_RUNNER, fix)


def _version(name: str, package: str, least: tuple[int, ...], fix: str, where: str = "") -> Finding:
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return finding(name, package, Status.CRIT, f"{package} is not installed here.", fix)
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[: len(least)])
    if numbers < least:
        wanted = ".".join(map(str, least))
        said = f"{package} {version} is older than {wanted}."
        return finding(name, package, Status.CRIT, said, fix, version)
    return finding(name, package, Status.OK, f"{package} {version}{where}.", observed=version)


def collection(patient: Patient) -> Iterator[Finding]:
    """The collection of this checkout, of the library's own version, with the roles that it links to."""
    from courtkeeper import __version__

    home = patient.root / "collections/ansible_collections/courtkeeper/ops"
    fix = "check the repository out whole; on Windows file systems links are lost"
    try:
        said = re.search(r"^version: *(\S+)", (home / "galaxy.yml").read_text("utf-8"), re.MULTILINE)
    except OSError as error:
        text = f"courtkeeper.ops cannot be read: {error.strerror}."
        yield finding("collection", "courtkeeper.ops", Status.CRIT, text, fix)
        return
    version = said[1] if said else "?"
    if version != __version__:
        text = f"courtkeeper.ops is {version}, the library is {__version__}."
        fix = "install the library of this checkout: pip install -e ."
        yield finding("collection", "courtkeeper.ops", Status.WARN, text, fix, version)
    elif not (home / "roles").is_dir():
        yield finding("collection", "courtkeeper.ops", Status.CRIT, "Its link to roles/ leads nowhere.", fix)
    else:
        yield finding(
            "collection", "courtkeeper.ops", Status.OK, f"courtkeeper.ops {version}.", observed=version
        )


def programs(patient: Patient) -> Iterator[Finding]:
    """The programs of Postgres that backups call, where they are looked for; age and zstd are built in."""
    directory = _platform_bin(patient.root)
    path = os.pathsep.join(filter(None, [directory, os.environ.get("PATH", os.defpath)]))
    for name in _PROGRAMS:
        found = shutil.which(name, path=path)
        if found is None:
            fix = "install Postgres' client programs, or name them in bin_directory of the source"
            text = f"{name} is not on PATH; backups of Postgres from this machine need it."
            yield finding("postgres_programs", name, Status.WARN, text, fix)
            continue
        done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, timeout=30)
        version = done.stdout.strip()
        if done.returncode or not version:
            fix = "install it again"
            yield finding("postgres_programs", name, Status.WARN, f"{found} does not run.", fix)
        else:
            yield finding("postgres_programs", name, Status.OK, f"{version} ({found}).", observed=version)
    for module, what in (("pyrage", "age"), ("zstandard", "zstd")):
        try:
            version = metadata.version(module)
        except metadata.PackageNotFoundError:
            fix = "in the checkout: pip install -e . (it is one of its own dependencies)"
            yield finding("sealing", what, Status.CRIT, f"{module} is not installed.", fix)
        else:
            yield finding("sealing", what, Status.OK, f"{what} by {module} {version}.", observed=version)


def _platform_bin(root: Path) -> str:
    try:
        state = json.loads((root / "var/platform/state.json").read_text("utf-8"))
        return str(state["postgres"]["bin"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def store(patient: Patient) -> Iterator[Finding]:
    """The run store: there, readable, and of a version that this library knows."""
    try:
        from courtkeeper.store.connection import ENVIRONMENT, Database, locate
    except ImportError as error:
        fix = "in the checkout: pip install -e '.[driver]'"
        yield finding("store", "", Status.CRIT, f"{error.name} is not installed.", fix)
        return
    try:
        database = Database(locate(patient.root))
    except CourtkeeperError as error:
        fix = f"correct {ENVIRONMENT}, or mend the directory that it names"
        yield finding("store", "", Status.CRIT, str(error), fix)
        return
    try:
        yield _schema(database)
    except CourtkeeperError as error:
        what = "put that file right" if database.is_sqlite else "see that the server answers"
        fix = f"{what}, or name another store in {ENVIRONMENT}"
        yield finding("store", database.name, Status.CRIT, str(error), fix)
    finally:
        database.close()


def _schema(database: Database) -> Finding:
    """Return what the store's schema says. Raises CourtkeeperError where it cannot be asked."""
    from courtkeeper.store.schema import current, revisions

    if database.is_sqlite and not Path(database.name).exists():
        return finding("store", "", Status.OK, "There is none yet: the first run makes it.")
    found, newest = current(database), revisions()[-1]
    if found is not None and found > newest:
        text = f"It has schema {found}; this version of courtkeeper knows up to {newest}."
        return finding("store", database.name, Status.CRIT, text, "upgrade courtkeeper", found)
    if found != newest:
        text = f"It has schema {found or 'none'}; the next command brings it to {newest}."
        return finding("store", database.name, Status.OK, text, observed=found)
    return finding("store", database.name, Status.OK, f"Schema {found}.", observed=found)


def disk(patient: Patient) -> Iterator[Finding]:
    """Room for runs, the store and the embedded platform."""
    place = patient.root / "var" if (patient.root / "var").is_dir() else patient.root
    free = shutil.disk_usage(place).free
    status = Status.CRIT if free < _CRIT_BYTES else Status.WARN if free < _WARN_BYTES else Status.OK
    fix = "" if status is Status.OK else "make room, or let retention keep less"
    yield finding("disk", str(place), status, f"{free / (1 << 30):.1f} GB are free in {place}.", fix, free)
    if not os.access(place, os.W_OK):
        fix = f"give it to the user that runs courtkeeper: chown -R … {place}"
        yield finding("disk.writable", str(place), Status.CRIT, f"{place} cannot be written.", fix)


def clock(_: Patient) -> Iterator[Finding]:
    """Time zones, and whether the kernel's clock is kept right by somebody."""
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo("America/New_York")
    except (OSError, KeyError, ValueError):
        fix = "pip install tzdata, or apt-get install tzdata"
        yield finding("time_zones", "", Status.CRIT, "There are no data of time zones.", fix)
    else:
        count = len(available_timezones())
        yield finding("time_zones", "", Status.OK, f"{count} time zones are known.", observed=count)
    state = _clock_state()
    if state is None:
        text = "The kernel does not say whether its clock is kept right."
        yield finding("clock", "", Status.UNKNOWN, text, "see that an NTP client runs on the machine")
    elif state & _UNSYNCHRONISED:
        fix = "run an NTP client: systemd-timesyncd or chrony (in a container: on its host)"
        yield finding("clock", "", Status.WARN, "The clock is not kept right by any time server.", fix)
    else:
        yield finding("clock", "", Status.OK, "The clock is kept right by a time server.")


def _clock_state() -> int | None:
    """Return the status bits of adjtimex(2), asked without changing anything; None where it cannot be."""
    buffer = ctypes.create_string_buffer(512)  # struct timex is about 208 bytes; modes = 0 only asks
    try:
        if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
            return None
    except (OSError, AttributeError):
        return None
    # modes (int), then offset, freq, maxerror, esterror (long each, aligned), then status (int).
    offset = 5 * ctypes.sizeof(ctypes.c_long)
    return ctypes.c_int.from_buffer(buffer, offset).value


CHECKS = (python, ansible, collection, programs, store, disk, clock)
