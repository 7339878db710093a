"""The playbook's order and batches, from an inventory or the command line, on hosts nobody can reach.

Unreachable hosts show both at once: who is tried first, together with whom, and what is printed in the end.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ["web1", "alpha", "beta", "gamma"]  # the inventory's order is none of those asked for
INVENTORY = """all:
  vars:
    ansible_connection: ssh
    ansible_ssh_executable: {ssh}
    ansible_python_interpreter: /usr/bin/python3
  children:
    primaries: {{hosts: {{alpha: }}, vars: {variables}}}
    replicas: {{hosts: {{gamma: , beta: }}, vars: {variables}}}
    others: {{hosts: {{web1: }}, vars: {variables}}}
    servers: {{children: {{primaries: , replicas: , others: }}}}
"""


def play(tmp_path: Path, variables: str, *more: str) -> tuple[int, dict[str, str]]:
    """Run the playbook; return its exit code and what it said of each host in the end."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho no route >&2\nexit 255\n")
    ssh.chmod(0o755)
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(INVENTORY.format(ssh=ssh, variables=variables))
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible-playbook"), "-i", inventory),
            *(ROOT / "playbooks/os_patching.yml", *more),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_RETRIES": "0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    failed = re.findall(r"^fatal: \[(\w+)\]: FAILED! => (.*)$", done.stdout, re.MULTILINE)
    said = {host: json.loads(result)["msg"].strip() for host, result in failed}
    last = {host: message for host, message in said.items() if message.startswith(f"{host}: ")}
    assert last, done.stdout + done.stderr
    return done.returncode, last


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "more", "first", "left"),
    [
        ("{}", [], ["alpha"], "gamma,beta,web1"),
        ("{os_patching_groups: [replicas, primaries]}", [], ["gamma"], "beta,alpha,web1"),
        (
            "{os_patching_groups: [replicas, primaries], os_patching_serial: 2}",
            [],
            ["gamma", "beta"],
            "alpha,web1",
        ),
        (
            "{os_patching_groups: [replicas, primaries], os_patching_serial: 1}",
            ["-e", "os_patching_serial=100%", "-e", '{"os_patching_groups": ["others", "replicas"]}'],
            ["web1"],
            "gamma,beta,alpha",
        ),
        ("{os_patching_groups: [replicas]}", ["--limit", "alpha,beta"], ["beta"], "alpha"),
    ],
)
def test_batches_come_from_the_inventory_or_the_command_line(
    tmp_path: Path, variables: str, more: list[str], first: list[str], left: str
) -> None:
    code, said = play(tmp_path, variables, *more)
    assert code != 0
    assert sorted(said) == sorted(first)  # those of one batch answer in any order
    for host, message in said.items():
        assert message.startswith(f"{host}: it cannot be reached: ")
        assert "no route" in message
        assert message.endswith(f"Not patched: --limit {left}")
