"""Run Molecule's scenarios on Debian 12 and 13 with systemd, in containers of our own.

    tools/test_hosts.py                       every scenario's whole sequence, COURTKEEPER_JOBS at a time
    tools/test_hosts.py agent                 one scenario's whole sequence
    tools/test_hosts.py agent converge -v     one step of it; the hosts stay for the next

What a scenario says goes to build/hosts/<scenario>.log; its last lines are shown when it fails. Where no
engine or no image can be had, it says why in one sentence and exits 0: the other tests can do without.
Where root of a Debian could have them and they fail, it exits 1.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import images
from engine import BrokenError, NoEngineError, engine

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build/hosts"
# Whose containers they are: this checkout's.
CHECKOUT = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
LABEL = f"label=courtkeeper.test={CHECKOUT}"
HOSTS = ("debian12", "debian13")
TAIL = 60


def environment(scenario: str) -> dict[str, str]:
    """Return what Molecule and our create and destroy playbooks have to know."""
    bin_dir = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "COLUMNS": "160",
        "ANSIBLE_HOME": str(ROOT / ".ansible"),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(ROOT / "build/molecule" / scenario),
        "COURTKEEPER_TEST_PREFIX": f"courtkeeper-{CHECKOUT}",
        "COURTKEEPER_TEST_LABEL": CHECKOUT,
        **{f"COURTKEEPER_IMAGE_{name.upper()}": images.tag(name) for name in HOSTS},
    }


def molecule(scenario: str, step: str, *more: str) -> list[str]:
    """Return the command for one step of `scenario`."""
    return [str(Path(sys.executable).with_name("molecule")), step, "--scenario-name", scenario, *more]


def whole_sequence(scenario: str) -> bool:
    """Run the whole sequence of `scenario`, say in one line how it went, and return whether it passed."""
    log = LOGS / f"{scenario}.log"
    # What a step by hand left there says that hosts exist which the sweep has just removed.
    shutil.rmtree(ROOT / "build/molecule" / scenario, ignore_errors=True)
    start = time.monotonic()
    with log.open("wb") as output:
        code = subprocess.run(
            molecule(scenario, "test"),
            env=environment(scenario),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    text = log.read_text(errors="replace")
    verdict = "passed" if code == 0 else "FAILED"
    shown = f"{verdict}  {scenario}  {time.monotonic() - start:.0f} s  {log.relative_to(ROOT)}\n"
    if code:
        shown += "".join(f"    {line}\n" for line in text.splitlines()[-TAIL:])
    sys.stdout.write(shown)
    sys.stdout.flush()
    return code == 0


def sweep() -> None:
    """Remove what a killed run of this checkout left."""
    for kind, remove in (("container", ["rm", "--force", "--volumes"]), ("network", ["rm"])):
        every = ["--all"] if kind == "container" else []
        listing = subprocess.run(
            ["docker", kind, "ls", "--quiet", *every, "--filter", LABEL],
            check=True,
            capture_output=True,
            text=True,
        )
        if names := listing.stdout.split():
            subprocess.run(["docker", kind, *remove, *names], check=True, stdout=subprocess.DEVNULL)


def everything(scenarios: list[str]) -> int:
    """Run the whole sequences of `scenarios`, some at a time, and leave nothing behind."""
    with (LOGS / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs in one checkout would share names
        sweep()
        try:
            with ThreadPoolExecutor(int(os.environ.get("COURTKEEPER_JOBS") or 2)) as pool:
                passed = list(pool.map(whole_sequence, scenarios))
        finally:
            sweep()
    sys.stdout.write(f"test hosts: {sum(passed)} passed, {len(passed) - sum(passed)} failed\n")
    return 0 if all(passed) else 1


def main() -> int:
    """Run what was asked for."""
    LOGS.mkdir(parents=True, exist_ok=True)
    scenarios = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    name, *step = sys.argv[1:] or [""]
    if name and name not in scenarios:
        sys.stderr.write(f"test-hosts: there is no scenario {name}; there are: {', '.join(scenarios)}\n")
        return 2
    try:
        with engine():
            for image in HOSTS:
                images.have(image)
            if step:
                return subprocess.run(
                    molecule(name, *step), env=environment(name), cwd=ROOT, check=False
                ).returncode
            return everything([name] if name else scenarios)
    except (NoEngineError, images.NoImageError) as error:
        sys.stdout.write(f"test hosts: not run, {error}.\n")
        return 0
    except BrokenError as error:
        sys.stderr.write(f"test hosts: FAILED, {error}.\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
