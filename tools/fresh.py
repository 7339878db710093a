"""`make fresh`: prove on a bare Debian that a clone and two commands are enough.

A container with python3, python3-venv, make, git and nothing else clones the checkout's HEAD, and runs
`make demo` (on simulated games: it has no recorded ones) and `make test-fast`, as root and as an ordinary
user. This machine's settings for the package index are mounted read-only, and nothing else of it.
The container and all that was made in it are removed afterwards. Where no engine or no image can be had,
it says why in one sentence and exits 0; where root of a Debian could have them and they fail, it exits 1.

    tools/fresh.py [12|13]     the Debian release; 13 if none is named
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import images
from engine import BrokenError, NoEngineError, engine
from pip_settings import read_pip_settings
from test_hosts import CHECKOUT, ROOT

LOG = ROOT / "build/fresh.log"
TAIL = 60
WHO = {"root": "/root", "courtier": "/home/courtier"}
LIMIT_S = 1500
# The steps one user goes through; a line `fresh: …` is what it proved.
STEPS = """\
set -eu
umask 022
cd "$HOME"
step() {
    began=$(date +%s)
    "$@"
    echo "fresh: $(id -un): ${*: -1} took $(($(date +%s) - began)) s"
}
git -c init.defaultBranch=main clone --quiet /source.bundle courtkeeper
cd courtkeeper
step make demo
make demo-down
step make test-fast
git status --short >../status
test ! -s ../status || { echo "the checkout is not clean afterwards:"; cat ../status; exit 1; }
"""


def local_path(value: str) -> Path | None:
    """Return the path on this machine that a setting of pip names, if it names one."""
    path = Path(value.removeprefix("file://"))
    return path if path.is_absolute() and path.exists() else None


def mounts(settings: dict[str, str]) -> list[str]:
    """Return the paths that pip's settings name: certificates, local indexes, wheels."""
    paths = {str(path) for value in settings.values() for word in value.split() if (path := local_path(word))}
    return [argument for path in sorted(paths) for argument in ("--volume", f"{path}:{path}:ro")]


def docker(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run docker, and fail with it."""
    return subprocess.run(["docker", *arguments], check=True, **options)  # type: ignore[call-overload,no-any-return]


def run(name: str, image: str, scratch: Path) -> int:
    """Go through the steps in container `name`; return 0 if all of them passed."""
    bundle, conf = scratch / "source.bundle", scratch / "pip.conf"
    # A bundle, because a worktree or a shallow clone cannot be cloned through a mount.
    subprocess.run(
        ["git", "bundle", "create", "--quiet", bundle, "HEAD"],
        check=True,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    settings = read_pip_settings()
    conf.write_text("".join(["[global]\n", *(f"{key} = {value}\n" for key, value in settings.items())]))
    for path in (bundle, conf):
        path.chmod(0o644)
    docker(
        # SYS_PTRACE: root of a real machine may look at the processes of others.
        "run", "--rm", "--detach", "--init", "--cap-add", "SYS_PTRACE", "--pull", "never", "--name", name,
        "--label", f"courtkeeper.test={CHECKOUT}-fresh", *mounts(settings),
        "--volume", f"{bundle}:/source.bundle:ro", "--volume", f"{conf}:/etc/pip.conf:ro",
        image, "sleep", str(2 * LIMIT_S),
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    docker("exec", name, "useradd", "--create-home", "--shell", "/bin/bash", "courtier")
    with LOG.open("wb") as log:
        for user, home in WHO.items():
            command = ["docker", "exec", "--user", user, "--env", f"HOME={home}", name, "bash", "-c", STEPS]
            started = time.monotonic()
            code = subprocess.run(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False
            ).returncode
            if code:
                sys.stdout.write(f"fresh: FAILED as {user} after {time.monotonic() - started:.0f} s\n")
                return 1
    return 0


def main() -> int:
    """Run it and print what it proved."""
    release = sys.argv[1] if len(sys.argv) > 1 else "13"
    if f"bare{release}" not in images.IMAGES:
        sys.stderr.write("usage: tools/fresh.py [12|13]\n")
        return 2
    name = f"courtkeeper-{CHECKOUT}-fresh"
    LOG.parent.mkdir(exist_ok=True)
    head = subprocess.run(
        ["git", "log", "-1", "--format=%h %s"], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    try:
        with engine(), tempfile.TemporaryDirectory() as scratch:
            image = images.have(f"bare{release}")
            Path(scratch).chmod(0o755)
            sys.stdout.write(f"fresh: Debian {release} with {', '.join(images.BARE)}; commit {head}\n")
            sys.stdout.flush()
            docker("rm", "--force", "--volumes", name, capture_output=True)  # of a run that was killed
            try:
                code = run(name, image, Path(scratch))
            except subprocess.TimeoutExpired:
                sys.stdout.write(f"fresh: FAILED, it did not end within {LIMIT_S} s\n")
                code = 1
            finally:
                docker("rm", "--force", "--volumes", name, stdout=subprocess.DEVNULL)
    except (NoEngineError, images.NoImageError) as error:
        sys.stdout.write(f"fresh: not run, {error}.\n")
        return 0
    except BrokenError as error:
        sys.stderr.write(f"fresh: FAILED, {error}.\n")
        return 1
    lines = LOG.read_text(errors="replace").splitlines()
    shown = [line for line in lines if line.startswith(("fresh: ", "The feed serves")) or " passed" in line]
    sys.stdout.writelines(f"{line}\n" for line in (shown if code == 0 else [*shown, *lines[-TAIL:]]))
    sys.stdout.write(
        f"fresh: {'passed' if code == 0 else 'FAILED'}; {LOG.relative_to(ROOT)} holds all of it\n"
    )
    return code


if __name__ == "__main__":
    raise SystemExit(main())
