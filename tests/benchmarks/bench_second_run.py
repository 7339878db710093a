"""The second run of every scenario's playbooks on hosts with nothing to do: limits 10 s and 12 tasks a host.

Each scenario's hosts are made, prepared and converged once; then `ansible-playbook` runs each playbook again
on each host alone. What was made is removed. Needs an engine, as `make test-hosts` does.

    tests/benchmarks/bench_second_run.py [SCENARIO…]     every scenario when none is named
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from limits import hold

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import images  # noqa: E402
import test_hosts as hosts  # noqa: E402
from engine import BrokenError, NoEngineError, engine  # noqa: E402

LIMIT_S = 10


def run(command: list[str], scenario: str, **more: str) -> str:
    """Run a command for `scenario` and return what it says; end the benchmark where it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=hosts.environment(scenario) | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:] + done.stderr[-4000:])
        raise SystemExit(f"{scenario}: `{' '.join(command[:2])}` failed")
    return done.stdout


def second_run(scenario: str, host: str, playbook: Path) -> tuple[int, float]:
    """Run a playbook of the converged `scenario` on `host` again; return its tasks and its seconds."""
    inventory = Path(hosts.environment(scenario)["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
    began = time.perf_counter()
    said = run([*command, "--limit", host, str(playbook)], scenario, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
    seconds = time.perf_counter() - began
    return hosts.tasks_by_host(said, hosts.playbooks(scenario))[host], seconds


def measure(scenario: str) -> list[tuple[str, int, float]]:
    """Converge a scenario; return of each playbook and host: names, the second run's tasks and seconds."""
    shutil.rmtree(ROOT / "build/molecule" / scenario, ignore_errors=True)
    try:
        output = run(hosts.molecule(scenario, "converge"), scenario)
        names = sorted(hosts.tasks_by_host(output, {}))
        return [
            (f"{playbook.stem} on {host}", *second_run(scenario, host, playbook))
            for playbook in hosts.converged(scenario)
            for host in names
        ]
    finally:
        run(hosts.molecule(scenario, "destroy"), scenario)


def main() -> None:
    """Measure and print."""
    try:
        with engine():
            for image in hosts.HOSTS:
                images.have(image)
            with hosts.alone():
                found = {name: measure(name) for name in sys.argv[1:] or hosts.all_scenarios()}
    except (NoEngineError, images.NoImageError) as error:
        sys.stdout.write(f"second run: not measured, {error}.\n")
        return
    except BrokenError as error:
        raise SystemExit(f"second run: {error}.") from None
    for scenario, rows in found.items():
        for host, tasks, seconds in rows:
            sys.stdout.write(f"{scenario}: {host}: {seconds:.1f} s (limit {LIMIT_S} s), {tasks} tasks")
            sys.stdout.write(f" (limit {hosts.MOST_TASKS})\n")
    for scenario, rows in found.items():
        if problem := hosts.too_many({host: tasks for host, tasks, _ in rows}):
            raise SystemExit(f"MISSED: {scenario}: {problem}")
        for host, _, seconds in rows:
            hold(f"the second run of {host} ({scenario})", seconds, LIMIT_S)


if __name__ == "__main__":
    main()
