"""Ask apt and dpkg, and let them work. Every command is bounded in time and asks nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts import commands
from courtkeeper.hosts.patching import parse
from courtkeeper.hosts.patching.model import Installed

ASK_S = 120
UPDATE_S = 600
DOWNLOAD_S = 1800
CHANGE_S = 3600
# needrestart's own hook would restart services in no order; this run does it, with a gate behind it.
QUIET = {"NEEDRESTART_SUSPEND": "1", "APT_LISTCHANGES_FRONTEND": "none", "UCF_FORCE_CONFFOLD": "1"}
# A configuration file that was edited is kept, the new one lies beside it (apt.conf(5), dpkg(1)).
KEEP = (
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Use-Pty=0",
)
READ_ONLY = ("-s", "-o", "Debug::NoLocking=1")
# The archives lie where apt's download user may not write.
AS_ROOT = ("-o", "APT::Sandbox::User=root")
SOME = 200  # packages a command line


def _apt(command: Sequence[str | Path], timeout_s: float) -> str:
    """Run apt-get and return what it said; where it fails, with the line that says why.

    Its last line is often "Sub-process /usr/bin/dpkg returned an error code", which tells nobody anything.
    """
    said = commands.run(command, timeout_s=timeout_s, extra=QUIET, allowed=(0, 1, 100))
    text = said.stdout + said.stderr
    if said.code:
        lines = [line.strip() for line in text.splitlines()]
        wanted = [line for line in lines if line.startswith(("dpkg: error processing", "E: "))]
        reason = wanted[0].removeprefix("E: ").rstrip(":. ") if wanted else said.last_line.rstrip(".")
        raise commands.CommandError(f"apt-get failed: {reason}.")
    return text


def require() -> None:
    """Raise CourtkeeperError on a host without apt: dnf is not supported."""
    if not Path("/usr/bin/apt-get").exists():
        raise CourtkeeperError(
            "This host has no apt-get: os_patching supports Debian's apt only, not dnf or others."
        )


def architecture() -> str:
    """Return dpkg's native architecture, such as `amd64`."""
    return commands.run(["dpkg", "--print-architecture"], timeout_s=ASK_S).stdout.strip()


def installed(native: str) -> dict[str, Installed]:
    """Return every package that dpkg knows, by apt's name."""
    said = commands.run(["dpkg-query", "-W", "-f", parse.INSTALLED_FORMAT], timeout_s=ASK_S)
    return parse.installed(said.stdout, native)


def marked(kind: str, native: str) -> set[str]:
    """Return the packages marked as `hold` or `auto`."""
    return set(parse.names(commands.run(["apt-mark", f"show{kind}"], timeout_s=ASK_S).stdout, native))


def mark_automatic(names: Sequence[str]) -> None:
    """Mark `names` as installed automatically: naming them to apt made them look asked for."""
    if names:
        commands.run(["apt-mark", "auto", *names], timeout_s=ASK_S)


def audit() -> list[str]:
    """Return the packages that dpkg left half done."""
    said = commands.run(["dpkg", "--audit"], timeout_s=ASK_S, allowed=(0, 1)).stdout
    return [line.split()[0] for line in said.splitlines() if line.startswith(" ") and line.split()]


def broken() -> str:
    """Return apt's word on dependencies that are not met on this host; nothing where all are."""
    try:
        _apt(["apt-get", "-q", "-o", "Debug::NoLocking=1", "check"], ASK_S)
    except commands.CommandError as error:
        return str(error).removeprefix("apt-get failed: ").removesuffix(".")
    return ""


def update() -> None:
    """Fetch the index of every repository; one that cannot be had is an error."""
    _apt(["apt-get", "-qq", "update", "-o", "APT::Update::Error-Mode=any"], UPDATE_S)


def policies(names: Iterable[str]) -> dict[str, parse.Policy]:
    """Return what apt knows of each of `names`."""
    wanted, found = sorted(names), {}
    for first in range(0, len(wanted), SOME):
        command = ["apt-cache", "policy", *wanted[first : first + SOME]]
        found.update(parse.policies(commands.run(command, timeout_s=ASK_S).stdout))
    return found


def releases() -> dict[str, parse.Release]:
    """Return what each repository is."""
    return parse.releases(commands.run(["apt-cache", "policy"], timeout_s=ASK_S).stdout)


def sizes(wanted: Iterable[str]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return archive bytes and unpacked KiB of each `name=version`."""
    asked, found = sorted(wanted), {}
    for first in range(0, len(asked), SOME):
        command = ["apt-cache", "show", *asked[first : first + SOME]]
        found.update(parse.sizes(commands.run(command, timeout_s=ASK_S).stdout))
    return found


def files(names: Sequence[str]) -> dict[str, set[str]]:
    """Return the files of each of the installed packages `names`."""
    found: dict[str, set[str]] = {}
    for first in range(0, len(names), SOME):
        part = names[first : first + SOME]
        said = parse.files(commands.run(["dpkg-query", "-L", *part], timeout_s=ASK_S).stdout)
        if len(said) != len(part):
            raise CourtkeeperError(
                f"dpkg-query listed {len(said)} packages where {len(part)} were asked for."
            )
        found.update(zip(part, said, strict=True))
    return found


def simulate(wanted: Sequence[str], *, backwards: bool = False) -> parse.Simulated:
    """Return what it takes to install each `name=version` of `wanted`. May raise CommandError."""
    if not wanted:
        return parse.Simulated({}, [])
    direction = ["--allow-downgrades"] if backwards else []
    return parse.simulated(_apt(["apt-get", *READ_ONLY, *direction, "install", *wanted], ASK_S))


def download(wanted: Sequence[str], lock_timeout_s: float) -> None:
    """Fetch the archives of `wanted` and of nothing else into apt's cache; nothing is installed."""
    _apt(
        [
            "apt-get", "-qq", "-y", "--download-only", "--no-remove", "--allow-downgrades",
            "-o", f"DPkg::Lock::Timeout={lock_timeout_s:.0f}", "install", *wanted,
        ],
        DOWNLOAD_S,
    )  # fmt: skip


def fetch_archive(name: str, version: str, directory: Path) -> bool:
    """Fetch the archive of one version into `directory`; return whether any repository still had it."""
    command: list[str | Path] = [
        "env",
        "--chdir",
        directory,
        "apt-get",
        "-qq",
        *AS_ROOT,
        "download",
        f"{name}={version}",
    ]
    try:
        commands.run(command, timeout_s=DOWNLOAD_S)
    except commands.CommandError:
        return False
    return True


def install(wanted: Sequence[str | Path], lock_timeout_s: float, *, backwards: bool = False) -> str:
    """Install exactly `wanted` (`name=version`, an archive's path, `name-` to remove); return what apt said.

    Forwards nothing is ever removed. Backwards, versions may go down and what is named with `-` goes.
    """
    direction = ["--allow-downgrades"] if backwards else ["--no-remove"]
    return _apt(
        [
            "apt-get", "-q", "-y", *direction, *KEEP, *AS_ROOT,
            "-o", f"DPkg::Lock::Timeout={lock_timeout_s:.0f}", "install", *wanted,
        ],
        CHANGE_S,
    )  # fmt: skip


def configure() -> str:
    """Finish what dpkg left unpacked and not configured; return what it said."""
    command = ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"]
    said = commands.run(command, timeout_s=CHANGE_S, extra=QUIET)
    return said.stdout + said.stderr


def configure_what_can_be() -> None:
    """The same on the way back from a package that does not configure: a failure is expected."""
    with suppress(commands.CommandError):
        configure()


def unpack(archives: Sequence[Path]) -> None:
    """Unpack `archives` again: packages that were cut off while they were unpacked need it first."""
    if archives:
        options = ["--force-confdef", "--force-confold"]
        commands.run(["dpkg", "--unpack", *options, *archives], timeout_s=CHANGE_S, extra=QUIET)


def is_newer(left: str, right: str) -> bool:
    """Tell whether version `left` is newer than `right`, by Debian's own order."""
    command = ["dpkg", "--compare-versions", left, "gt", right]
    return commands.run(command, timeout_s=ASK_S, allowed=(0, 1)).code == 0
