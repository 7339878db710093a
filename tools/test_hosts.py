"""Run Molecule's scenarios on Debian 12 and 13 with systemd, in containers of our own.

    tools/test_hosts.py                       every scenario's whole sequence, COURTKEEPER_JOBS at a time
    tools/test_hosts.py agent                 one scenario's whole sequence
    tools/test_hosts.py agent converge -v     one step of it; the hosts stay for the next

What a scenario says goes to build/hosts/<scenario>.log; its last lines are shown when it fails. A scenario
fails, too, when the second run of one of its playbooks needs more tasks on a host than is promised. Where
no engine or no image can be had, it says why in one sentence and exits 0: the other tests can do without.
Where root of a Debian could have them and they fail, it exits 1.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import images
import yaml
from engine import BrokenError, NoEngineError, engine

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build/hosts"
# The library as hosts of one run got it, for the next of their kind (molecule/shared/prepare.yml).
AGENTS = LOGS / "agents"
# Whose containers they are: this checkout's.
CHECKOUT = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
LABEL = f"label=courtkeeper.test={CHECKOUT}"
HOSTS = ("debian12", "debian13", *images.LAYERS)
TAIL = 60
# What begins last should be short: these take longest, the longest first.
LONG = ("os_patching", "disaster_recovery", "database", "certificate_renewal", "backup", "agent")
# What the second run of a playbook may need on a host with nothing to do; its 10 s are held by
# tests/benchmarks/bench_second_run.py.
MOST_TASKS = 12


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
        "COURTKEEPER_TEST_AGENTS": str(AGENTS),
        **{f"COURTKEEPER_IMAGE_{name.upper()}": images.tag(name) for name in HOSTS},
    }


def have_ssh() -> None:
    """Have the client by which Ansible comes to the hosts.

    Raises NoEngineError where none can be installed, BrokenError where apt could not.
    """
    if shutil.which("ssh"):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoEngineError("there is no ssh client: install openssh-client")
    if subprocess.run([ROOT / "tools/apt-install", "openssh-client"], check=False).returncode:
        raise BrokenError("there is no ssh client, and apt could not install openssh-client (see above)")


def molecule(scenario: str, step: str, *more: str) -> list[str]:
    """Return the command for one step of `scenario`."""
    return [str(Path(sys.executable).with_name("molecule")), step, "--scenario-name", scenario, *more]


def step_of(line: str) -> str:
    """Return the step of a scenario that begins with this line of Molecule's, empty for any other line."""
    begins = re.search(r"\[[\w-]+ > ([\w-]+)\] Executing", line)
    return begins[1] if begins else ""


def converged(scenario: str) -> list[Path]:
    """Return the playbooks that a scenario's converge.yml imports; itself where it imports none."""
    converge = ROOT / "molecule" / scenario / "converge.yml"
    entries = yaml.safe_load(converge.read_text())
    keys = ("ansible.builtin.import_playbook", "import_playbook")
    names = [entry[key] for entry in entries for key in keys if key in entry]
    return [(converge.parent / name).resolve() for name in names] or [converge]


def playbooks(scenario: str) -> dict[str, str]:
    """Return in which playbook each play of a scenario stands, both by name.

    The limit is a playbook's: a scenario that imports four of them has it four times.
    """
    return {
        play["name"]: path.stem for path in converged(scenario) for play in yaml.safe_load(path.read_text())
    }


def tasks_by_host(output: str, playbook_of: Mapping[str, str]) -> dict[str, int]:
    """Return how many tasks each host ran in that playbook of `output` in which it ran most.

    A skipped task is none; one over many items is one. `playbook_of` is what `playbooks` returns; plays that
    it does not know are counted together.
    """
    ran: dict[tuple[str, str], set[int]] = {}
    playbook = ""
    for number, task in enumerate(re.split(r"^(?=PLAY |TASK |RUNNING HANDLER )", output, flags=re.MULTILINE)):
        if play := re.match(r"PLAY \[(.*)\] \**$", task, re.MULTILINE):
            playbook = playbook_of.get(play[1], "")
        hosts = re.findall(r"^(?:ok|changed|failed|fatal): \[([\w.-]+)", task, re.MULTILINE)
        for included in re.findall(r"^included: .* for (.+?)(?: => .*)?$", task, re.MULTILINE):
            hosts += included.split(", ")
        for host in hosts:
            ran.setdefault((host, playbook), set()).add(number)
    most: dict[str, int] = {}
    for (host, _), tasks in ran.items():
        if host != "localhost":
            most[host] = max(most.get(host, 0), len(tasks))
    return most


def second_run(output: str, playbook_of: Mapping[str, str]) -> dict[str, int]:
    """Return the same of the idempotence step of a scenario's `output`."""
    lines, inside = [], False
    for line in output.splitlines(keepends=True):
        if step := step_of(line):
            inside = step == "idempotence"
        if inside:
            lines.append(line)
    return tasks_by_host("".join(lines), playbook_of)


def too_many(tasks: dict[str, int]) -> str:
    """Return one sentence about the hosts whose second run has too many tasks, empty where none has."""
    over = [f"{count} tasks on {host}" for host, count in tasks.items() if count > MOST_TASKS]
    return f"the second run ran {', '.join(over)}; the limit is {MOST_TASKS}" if over else ""


def record(scenario: str, log: Path) -> tuple[int, float]:
    """Run all steps of `scenario` into `log`; return the exit code and the seconds of the second run."""
    step, began, seconds = "", 0.0, 0.0
    with (
        log.open("wb") as output,
        subprocess.Popen(
            molecule(scenario, "test"),
            env=environment(scenario),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        for line in process.stdout or ():
            output.write(line)
            output.flush()
            if following := step_of(line.decode(errors="replace")):
                if step == "idempotence":
                    seconds = time.monotonic() - began
                step, began = following, time.monotonic()
    return process.returncode, seconds


def whole_sequence(scenario: str) -> bool:
    """Run the whole sequence of `scenario`, say in one line how it went, and return whether it passed."""
    log = LOGS / f"{scenario}.log"
    # What a step by hand left there says that hosts exist which the sweep has just removed.
    shutil.rmtree(ROOT / "build/molecule" / scenario, ignore_errors=True)
    start = time.monotonic()
    code, seconds = record(scenario, log)
    text = log.read_text(errors="replace")
    tasks = second_run(text, playbooks(scenario))
    problem = too_many(tasks) if tasks or code else "its log shows no second run"
    verdict = "FAILED" if code or problem else "passed"
    shown = f"{verdict}  {scenario}  {time.monotonic() - start:.0f} s  {log.relative_to(ROOT)}"
    if tasks:
        shown += f"  (second run: {max(tasks.values())} tasks, {seconds:.0f} s)"
    shown += f"\n    {problem}\n" if problem else "\n"
    if code:
        shown += "".join(f"    {line}\n" for line in text.splitlines()[-TAIL:])
    sys.stdout.write(shown)
    sys.stdout.flush()
    return not code and not problem


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


@contextmanager
def alone() -> Iterator[None]:
    """Have this checkout's hosts to oneself, and leave none behind."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs in one checkout would share names
        sweep()
        shutil.rmtree(AGENTS, ignore_errors=True)
        AGENTS.mkdir()
        try:
            yield
        finally:
            sweep()
            shutil.rmtree(AGENTS, ignore_errors=True)


def everything(scenarios: list[str]) -> int:
    """Run the whole sequences of `scenarios`, some at a time, and leave nothing behind."""
    order = sorted(scenarios, key=lambda name: LONG.index(name) if name in LONG else len(LONG))
    with alone(), ThreadPoolExecutor(int(os.environ.get("COURTKEEPER_JOBS") or 2)) as pool:
        passed = list(pool.map(whole_sequence, order))
    sys.stdout.write(f"test hosts: {sum(passed)} passed, {len(passed) - sum(passed)} failed\n")
    return 0 if all(passed) else 1


def all_scenarios() -> list[str]:
    """Return the names of the scenarios."""
    return sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


def main() -> int:
    """Run what was asked for."""
    scenarios = all_scenarios()
    name, *step = sys.argv[1:] or [""]
    if name and name not in scenarios:
        sys.stderr.write(f"test-hosts: there is no scenario {name}; there are: {', '.join(scenarios)}\n")
        return 2
    try:
        with engine():
            have_ssh()
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
