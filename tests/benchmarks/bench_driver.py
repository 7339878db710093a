"""What the driver adds to plain `ansible-playbook`: the same small playbook, interleaved, medians of five.

Run it as `python tests/benchmarks/bench_driver.py`. It ends with an error where the driver takes more than
1.05 of the time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from limits import hold_ratio

from courtkeeper.runner import RunOptions, run

ROUNDS = 5
LIMIT = 1.05
FILES = {
    "ansible.cfg": "[defaults]\ninterpreter_python = auto_silent\n",
    "inventory/x/hosts.yml": "all: {hosts: {here: {ansible_connection: local, "
    "ansible_python_interpreter: '{{ ansible_playbook_python }}'}}}\n",
    "playbooks/small.yml": "- hosts: here\n  gather_facts: false\n  tasks:\n"
    "    - {name: One, ansible.builtin.ping: {}}\n    - {name: Two, ansible.builtin.ping: {}}\n"
    "    - {name: Three, ansible.builtin.debug: {msg: '{{ item }}'}, loop: '{{ range(20) | list }}'}\n",
}


def seconds(action: Callable[[], object]) -> float:
    """Return how long `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        for name, text in FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        binary = Path(sys.executable).parent / "ansible-playbook"
        plain_argv = [str(binary), "-i", "inventory/x", "playbooks/small.yml"]
        options = RunOptions(root=root, job="small", inventory="x", report=False)

        def plain() -> None:
            subprocess.run(plain_argv, cwd=root, check=True, capture_output=True)

        def driven() -> None:
            assert run(options).record.exit_code == 0

        plain(), driven()  # warm both
        pairs = [(seconds(plain), seconds(driven)) for _ in range(ROUNDS)]
    alone, through = (statistics.median(column) for column in zip(*pairs, strict=True))
    sys.stdout.write(
        f"ansible-playbook {alone:.2f} s, through the driver {through:.2f} s: "
        f"ratio {through / alone:.2f}, {through - alone:+.2f} s (median of {ROUNDS})\n"
    )
    hold_ratio("the driver's time over plain ansible-playbook's", through / alone, LIMIT)


if __name__ == "__main__":
    main()
