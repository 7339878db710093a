"""`make images`: the images of the test hosts, Debian 12 and 13 with systemd as PID 1, and of `make fresh`.

Where scenarios begin with the same packages, an image built on one of these has them.

An image is built once for a recipe (its tag holds the recipe's digest) and kept by the engine. From a
Dockerfile where a registry is in reach, else by mmdebstrap from this machine's own apt sources;
COURTKEEPER_IMAGES_FROM=registry or =apt decides instead of a try. An image made by mmdebstrap carries
this machine's apt sources: never publish one.

    tools/images.py           build what is missing, print NAME=IMAGE lines
    tools/images.py --list    only print them
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import engine

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = os.environ.get("COURTKEEPER_IMAGE") or "courtkeeper-test"
SUITES = {"12": "bookworm", "13": "trixie"}
# What a Debian server has: an init, a package manager that modules can use, logs, cron, ssh.
HOST = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "python3-apt",
    "iproute2",
    "procps",
    "sudo",
    "cron",
    "logrotate",
    "ca-certificates",
    "openssh-server",
]
# What README promises to be enough, and nothing else.
BARE = ["python3", "python3-venv", "make", "git"]
IMAGES = {"debian12": ("12", HOST), "debian13": ("13", HOST), "bare12": ("12", BARE), "bare13": ("13", BARE)}
# On another image: what several scenarios begin with. Its services start with the host.
LAYERS = {
    f"{kind}{release}": (f"debian{release}", packages)
    for release, version in (("12", 15), ("13", 17))
    for kind, packages in (
        ("databases", ["postgresql", f"postgresql-{version}-repack", f"postgresql-{version}-hypopg"]),
        ("caches", ["redis-server"]),
        ("webs", ["nginx-light", "pebble"]),
    )
}
SYSTEMD = ['CMD ["/lib/systemd/systemd"]', "ENV container=docker"]
# A service that fails in every container, or only costs time; machine-id so that each host has its own.
TIDY = "rm -f /etc/machine-id; touch /etc/machine-id; rm -rf /var/lib/apt/lists/*"
# While an image is built no service starts, which nobody would stop.
NOT_YET = "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 0755 /usr/sbin/policy-rc.d"
PULL_S = 60


class NoImageError(Exception):
    """An image cannot be built here; the message says why."""


def changes(packages: list[str]) -> list[str]:
    """Return what the image has beyond its files, as lines of a Dockerfile."""
    return SYSTEMD if "systemd" in packages else ['CMD ["bash"]']


def tag(name: str) -> str:
    """Return the full name of image `name`: it changes with the recipe."""
    if name in LAYERS:
        below, packages = LAYERS[name]
        recipe = repr((tag(below), packages, NOT_YET))
    else:
        release, packages = IMAGES[name]
        recipe = repr((SUITES[release], packages, changes(packages), TIDY))
    return f"{REPOSITORY}:{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def docker(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run docker."""
    return subprocess.run(["docker", *arguments], check=False, **options)  # type: ignore[call-overload,no-any-return]


def exists(image: str) -> bool:
    """Tell whether the engine has `image`."""
    return docker("image", "inspect", image, capture_output=True).returncode == 0


def registry_in_reach(base: str) -> bool:
    """Tell whether `base` is here or can be pulled within a minute."""
    wanted = os.environ.get("COURTKEEPER_IMAGES_FROM", "")
    if wanted in {"apt", "registry"}:
        return wanted == "registry"
    if exists(base):
        return True
    try:
        return docker("pull", "--quiet", base, capture_output=True, timeout=PULL_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def installed(packages: list[str]) -> str:
    """Return the command that installs `packages` in an image."""
    install = f"apt-get update -qq && apt-get install -qq --yes --no-install-recommends {' '.join(packages)}"
    return f"export DEBIAN_FRONTEND=noninteractive && {install} && apt-get clean"


def from_dockerfile(image: str, *lines: str) -> None:
    """Build `image` from the lines of a Dockerfile."""
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", image, "-"],
        input="\n".join(lines).encode(),
        check=True,
        stdout=sys.stderr,
    )


def apt_sources(suite: str) -> list[str]:
    """Return this machine's Debian sources as lines for `suite`: the same mirrors, another release.

    Raises BrokenError where a Debian has none, NoImageError on any other machine.
    """
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    own = release.get("VERSION_CODENAME", "").strip('"')
    listing = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(COMPONENT)",
            "Created-By: Packages",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = []
    for uri, name, component in (line.split() for line in sorted(set(listing.splitlines()))):
        # Only the release itself, its updates and its security fixes; not somebody's own repository.
        if name in {own, f"{own}-updates", f"{own}-security"} and component == "main":
            lines.append(f"deb {uri} {name.replace(own, suite)} {component}")
    if not lines:
        message = "no registry is in reach, and this machine's apt has no Debian sources"
        raise (engine.BrokenError if release.get("ID") == "debian" else NoImageError)(message)
    return lines


def from_apt(image: str, suite: str, packages: list[str]) -> None:
    """Build `image` with mmdebstrap from this machine's apt sources."""
    if os.geteuid() != 0:
        raise NoImageError("no registry is in reach, and only root can build an image without one")
    subprocess.run([ROOT / "tools/apt-install", "mmdebstrap"], check=True, stdout=sys.stderr)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        archive = Path(scratch, "base.tar")
        command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"]
        command += [f"--include={','.join(packages)}", f'--customize-hook=chroot "$1" sh -c "{TIDY}"']
        # A cut-out mirror or a snapshot may be behind its own Valid-Until date.
        command += ["--aptopt=Acquire::Retries 3", "--aptopt=Acquire::Check-Valid-Until false"]
        subprocess.run(
            [*command, suite, archive, "-"],
            input="\n".join(apt_sources(suite)) + "\n",
            text=True,
            check=True,
            stdout=sys.stderr,
        )
        lines = [part for line in changes(packages) for part in ("--change", line)]
        subprocess.run(
            ["docker", "import", *lines, archive, image],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
        )


def have(name: str) -> str:
    """Build image `name` if the engine does not have it, and return its full name."""
    image = tag(name)
    if exists(image):
        return image
    if name in LAYERS:
        below, packages = LAYERS[name]
        lines = [f"FROM {have(below)}", f"RUN {NOT_YET} && {installed(packages)} && rm /usr/sbin/policy-rc.d"]
        sys.stderr.write(f"images: building {image}\n")
        from_dockerfile(image, *lines)
        return image
    sys.stderr.write(f"images: building {image}\n")
    release, packages = IMAGES[name]
    if registry_in_reach(f"debian:{release}"):
        from_dockerfile(
            image, f"FROM debian:{release}", f"RUN {installed(packages)} && {TIDY}", *changes(packages)
        )
    else:
        from_apt(image, SUITES[release], packages)
    return image


def main() -> int:
    """Build what is missing of the images named (all of them when none is), and print them."""
    names = [name for name in sys.argv[1:] if name != "--list"] or [*IMAGES, *LAYERS]
    if unknown := set(names) - {*IMAGES, *LAYERS}:
        there = ", ".join([*IMAGES, *LAYERS])
        sys.stderr.write(f"images: no image {', '.join(sorted(unknown))}; there are: {there}\n")
        return 2
    if "--list" in sys.argv:
        sys.stdout.writelines(f"{name}={tag(name)}\n" for name in names)
        return 0
    try:
        with engine.engine():
            sys.stdout.writelines(f"{name}={have(name)}\n" for name in names)
    except (engine.NoEngineError, NoImageError) as error:
        sys.stderr.write(f"courtkeeper: {error}.\n")
        return engine.NONE
    except engine.BrokenError as error:
        sys.stderr.write(f"courtkeeper: {error}.\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
