"""The wheelhouse: all that a host needs for a venv of ours, in one file that the controller builds.

One archive for each package and each kind of host (Python, machine, glibc): the wheels that the package's
lock pins, pip to install them with, and their hashes. `courtkeeper` (`requirements/agent.lock`) holds the
library's own wheel as well; `certbot` is what its lock says and nothing of ours. A host needs no index, no
compiler and, on Debian, no package beyond python3.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.version import InvalidVersion, Version

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result

PIN = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>\S+?)(?: ; (?P<marker>[^\\]+?))?(?P<hashes>(?: --hash=\S+)+)"
)
OLDEST = Version("3.11")
# manylinux tags reach from the host's glibc down to the oldest that wheels are still built for (PEP 600).
OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
KEPT = 2  # archives of one kind of host: this one and the one before
DOWNLOAD_S = 900
# The packages that can be put on a host, each in a venv of its own.
LIBRARY = "courtkeeper"
LOCKS = {LIBRARY: "requirements/agent.lock", "certbot": "requirements/certbot.lock"}


@dataclass(frozen=True)
class Target:
    """A kind of host: its Python (`3.11.2`), its machine (`x86_64`) and its glibc (`2.36`)."""

    python: str
    machine: str
    glibc: str

    @property
    def name(self) -> str:
        """Return the target's name, with the full version: markers such as `< '3.11.3'` ask for it."""
        return f"{self.python}-{self.machine}-glibc{self.glibc}"

    def check(self) -> None:
        """Refuse a host for which no wheels can be chosen."""
        try:
            python = Version(self.python)
        except InvalidVersion:
            raise ConfigurationError(f"{self.python!r} is not a version of Python.") from None
        if python < OLDEST:
            raise ConfigurationError(
                f"The host has Python {self.python}; name one of {OLDEST} or newer in agent_python."
            )
        if self.machine not in OLDEST_GLIBC or not re.fullmatch(r"2\.\d+", self.glibc):
            raise ConfigurationError(
                f"There are no wheels for {self.machine} with C library {self.glibc or 'other than glibc'}: "
                f"the agent runs on {' and '.join(OLDEST_GLIBC)} with glibc."
            )

    def platforms(self) -> list[str]:
        """Return the platform tags that the host can run, the newest first."""
        newest = int(self.glibc.partition(".")[2])
        tags = []
        for minor in range(newest, OLDEST_GLIBC[self.machine] - 1, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in LEGACY:
                tags.append(f"{LEGACY[minor]}_{self.machine}")
        return tags

    def environment(self) -> dict[str, str]:
        """Return what the markers of a lock are to be judged by: the host's Python, not ours."""
        return {
            "python_version": ".".join(self.python.split(".")[:2]),
            "python_full_version": self.python,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "platform_machine": self.machine,
        }


def pins(lock: str, target: Target, where: str = LOCKS[LIBRARY]) -> dict[str, str]:
    """Return the pins of `lock` (its text, `where` it came from) that `target` needs.

    The shape is name → requirement with hashes, without its marker.
    """
    found = {}
    for line in lock.replace(" \\\n    ", " ").splitlines():
        if not line or line.startswith("#"):
            continue
        pin = PIN.fullmatch(line)
        if pin is None:
            raise ConfigurationError(f"{where} has a line that is no pin: {line[:80]}. Run `make lock`.")
        if pin["marker"] is None or Marker(pin["marker"]).evaluate(target.environment()):
            found[pin["name"]] = f"{pin['name']}=={pin['version']}{pin['hashes']}"
    if "pip" not in found:
        raise ConfigurationError(f"{where} does not pin pip. Run `make lock`.")
    return found


def library_files(source: Path) -> Iterator[Path]:
    """Yield the files that the library's wheel is made from."""
    yield source / "pyproject.toml"
    for path in sorted((source / "python_modules/courtkeeper").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def read_version(source: Path) -> str:
    """Return the library's version, without importing it: it may not be the one that runs."""
    text = (source / "python_modules/courtkeeper/__init__.py").read_text()
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise ConfigurationError(f"{source} does not say which version of the library it holds.")
    return match[1]


def digest(package: str, source: Path, wanted: dict[str, str], target: Target) -> str:
    """Return what the archive is known by: it changes with a pin, the target and the library in it."""
    sha = hashlib.sha256(json.dumps([target.name, sorted(wanted.values())]).encode())
    for path in library_files(source) if package == LIBRARY else ():
        sha.update(f"{path.relative_to(source)}\0".encode())
        sha.update(hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


def pip(*arguments: str | Path) -> None:
    """Run this Python's pip, and turn its failure into one sentence."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise CourtkeeperError(
            f"pip {arguments[0]} did not end within {DOWNLOAD_S} s: is the package index in reach?"
        ) from None
    if done.returncode:
        errors = [
            line for line in done.stderr.splitlines() if line.startswith("ERROR")
        ] or done.stderr.splitlines()
        last = errors[-1].removeprefix("ERROR: ").rstrip(".") if errors else f"exit code {done.returncode}"
        raise CourtkeeperError(f"pip {arguments[0]} failed on the controller: {last}.")


def download(wanted: dict[str, str], target: Target, wheels: Path, scratch: Path) -> None:
    """Bring the pinned wheels for `target` into the directory `wheels`."""
    requirements = scratch / "download.txt"
    requirements.write_text("\n".join(wanted.values()) + "\n")
    platforms = [argument for tag in target.platforms() for argument in ("--platform", tag)]
    pip(
        "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation", "cp",
        "--python-version", target.python, *platforms, "--dest", wheels, "--requirement", requirements,
    )  # fmt: skip


def build_library(source: Path, scratch: Path) -> Path:
    """Build the library's own wheel with the build backend that is installed beside us."""
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", scratch, source)
    (wheel,) = scratch.glob("courtkeeper-*.whl")
    return wheel


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def chosen_wheels(wanted: dict[str, str], wheels: Path) -> dict[str, Path]:
    """Return, by name, the wheels in the directory `wheels` that have a hash which their pin allows."""
    by_hash = {sha256(path): path for path in sorted(wheels.glob("*.whl"))}
    return {
        name: by_hash[match]
        for name, pin in wanted.items()
        for match in re.findall(r"--hash=sha256:([0-9a-f]{64})", pin)
        if match in by_hash
    }


def pack(archive: Path, files: list[Path], texts: dict[str, str]) -> None:
    """Write an uncompressed tar (wheels are compressed) whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=archive.parent, suffix=".part", delete=False) as part:
        try:
            with tarfile.open(fileobj=part, mode="w") as tar:
                for name, text in texts.items():
                    entry = tarfile.TarInfo(name)
                    entry.size = len(text.encode())
                    tar.addfile(entry, io.BytesIO(text.encode()))
                for path in files:
                    tar.add(path, f"wheels/{path.name}", filter=anonymous)
            Path(part.name).rename(archive)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an entry that says nothing of who built the archive."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    return entry


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Let one process at a time build in `directory`: hosts of one kind ask for the same archive at once."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def release_version(package: str, source: Path, wanted: dict[str, str]) -> str:
    """Return the version of what the archive is for: the library's own, or the one its lock pins."""
    if package == LIBRARY:
        return read_version(source)
    if package not in wanted:
        raise ConfigurationError(f"{LOCKS[package]} does not pin {package}. Run `make lock`.")
    return wanted[package].split()[0].partition("==")[2]


def release(source: Path, target: Target, package: str = LIBRARY) -> tuple[dict[str, str], str, str]:
    """Return what checkout `source` would put on `target`: the pins, the version and the digest.

    Raises ConfigurationError for a host that no wheels fit or a source that is no checkout of ours.
    """
    target.check()
    lock = source / LOCKS[package]
    if not lock.is_file() or not (source / "pyproject.toml").is_file():
        raise ConfigurationError(
            f"{source} is no checkout of Courtkeeper (no {LOCKS[package]}): name one in agent_source."
        )
    if tomllib.loads((source / "pyproject.toml").read_text()).get("project", {}).get("name") != "courtkeeper":
        raise ConfigurationError(f"{source} is another project's checkout: name ours in agent_source.")
    wanted = pins(lock.read_text(), target, LOCKS[package])
    return wanted, release_version(package, source, wanted), digest(package, source, wanted, target)


def build(
    source: Path, directory: Path, target: Target, *, package: str = LIBRARY, check: bool = False
) -> Result:
    """Have the archive of `package` (a key of LOCKS) for `target` under `directory`, from checkout `source`.

    `details` holds `digest`, `version` and `archive` (a path, which in check mode may not exist yet).
    Raises ConfigurationError for a host that no wheels fit or a source that is no checkout of ours, and
    CourtkeeperError when pip fails.
    """
    started = time.monotonic()
    wanted, version, sign = release(source, target, package)
    # A directory for each package, because older archives and wheels no longer pinned are removed from it.
    home = directory / (target.name if package == LIBRARY else f"{target.name}-{package}")
    archive = home / f"{package}-{version}-{sign[:12]}.tar"
    result = Result(
        msg=f"The wheelhouse of {package} for {target.name} is there.",
        details={"digest": sign, "version": version, "archive": str(archive), "target": target.name},
    )
    if not archive.exists():
        result.changed = True
        own = " and the library's own" if package == LIBRARY else ""
        result.actions = [f"build {archive.name} for {target.name}: {len(wanted)} wheels{own}"]
        result.msg = f"{'Would build' if check else 'Built'} the wheelhouse of {package} for {target.name}."
        if not check:
            with alone(home):
                if archive.exists():  # another process built it while we waited
                    result.changed, result.actions = False, []
                else:
                    build_archive(source if package == LIBRARY else None, archive, wanted, target, result)
    result.metrics["duration_s"] = round(time.monotonic() - started, 3)
    return result


def build_archive(
    library: Path | None, archive: Path, wanted: dict[str, str], target: Target, result: Result
) -> None:
    """Download, build the wheel of the checkout `library` if it goes along, pack; forget older archives."""
    wheels = archive.parent / "wheels"
    wheels.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as name:
        scratch = Path(name)
        own = [build_library(library, scratch)] if library else []
        chosen = chosen_wheels(wanted, wheels)
        if missing := {name: pin for name, pin in wanted.items() if name not in chosen}:
            download(missing, target, wheels, scratch)
            chosen = chosen_wheels(wanted, wheels)
        if lost := sorted(wanted.keys() - chosen.keys()):
            raise CourtkeeperError(f"pip brought no wheel of {', '.join(lost)} for {target.name}.")
        # Only the hash of the one wheel that is there, not of those for other machines.
        lines = [
            f"{requirement.split()[0]} --hash=sha256:{sha256(chosen[name])}"
            for name, requirement in wanted.items()
            if name != "pip"
        ]
        lines += [f"{LIBRARY}=={result.details['version']} --hash=sha256:{sha256(path)}" for path in own]
        manifest = {
            "digest": result.details["digest"],
            "version": result.details["version"],
            "target": target.name,
            "pip": f"wheels/{chosen['pip'].name}",
        }
        texts = {"requirements.txt": "\n".join(lines) + "\n", "manifest.json": json.dumps(manifest) + "\n"}
        pack(archive, [*chosen.values(), *own], texts)
    for path in wheels.glob("*.whl"):
        if path not in chosen.values():
            path.unlink()
    archives = sorted(archive.parent.glob("*.tar"), key=lambda path: path.stat().st_mtime)
    for path in archives[:-KEPT]:
        path.unlink()
    result.metrics |= {"wheels": len(chosen) + len(own), "archive_bytes": archive.stat().st_size}
