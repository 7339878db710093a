"""A small checkout with real playbooks, and what its tests share."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[3] / "python_modules"
MAIN = (sys.executable, "-c", "from courtkeeper.cli import main; main()")

# A password that is also a template, a piece of shell and hard to quote: it must arrive as it is.
PASSWORD = "p4ss-\"w{{ord}}'$(x)-öne"
PIN = "9081726354"

MODULE = """
import json, os, time
from ansible.module_utils.basic import AnsibleModule

FINDING = {"id": "t.one", "subject": "game 1", "status": "warn", "summary": "Late.", "fix": "Wait."}

def main():
    module = AnsibleModule(
        dict(
            password=dict(no_log=True), progress_file=dict(), say=dict(default=""), how=dict(default="ok"),
            until=dict(),
        ),
        supports_check_mode=True,
    )
    p = module.params
    if p["how"] == "configuration":
        module.fail_json(msg="no_such_database is not set", configuration_error=True)
    if p["how"] == "partly":
        module.fail_json(
            msg="the new key is not accepted", configuration_error=True, changed=True,
            findings=[FINDING], actions=["game 1 loaded"], metrics={"rows": 2}, details={"said": "half"},
        )
    if p["how"] == "raise":
        raise ValueError("a module's own mistake")
    if p["progress_file"]:
        for step in range(1, 4):
            with open(p["progress_file"], "a") as stream:
                line = {"done": step, "total": 3, "text": "step %d %s" % (step, p["say"])}
                stream.write(json.dumps(line) + "\\n")
            time.sleep(0.15)
    end = time.monotonic() + 120
    while p["until"] and not os.path.exists(p["until"]) and time.monotonic() < end:
        time.sleep(0.05)
    module.exit_json(
        changed=True,
        findings=[FINDING, dict(FINDING, status="crit", subject=p["say"] or "game 2"), {"id": "broken"}],
        actions=["insert 3 rows " + p["say"]],
        metrics={"rows_upserted": 3, "duration_s": 0.9},
        details={"said": p["say"]},
        diff={"before": "", "after": p["say"]},
        msg="loaded " + p["say"],
    )

main()
"""

# Starts what a run must not leave behind: a session of its own, one without our mark, an orphan.
TREE = """
import subprocess, sys, time
token = sys.argv[1]
wait = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(120)"
command = [sys.executable, "-c", wait, token]
subprocess.Popen(command, start_new_session=True)
subprocess.Popen(command, start_new_session=True, env={})
subprocess.run(["/bin/sh", "-c", 'setsid "$@" & exit 0', "sh", *command])
print("started", flush=True)
time.sleep(120)
"""

HERE = "- hosts: here\n  gather_facts: false\n"
PLAYBOOKS = {
    "good": HERE
    + """
  tasks:
    - name: Load the games
      told:
        password: "{{ courtkeeper_secrets.password }}"
        progress_file: "{{ courtkeeper_progress_file }}"
    - name: Skip this
      ansible.builtin.debug: {msg: never}
      when: false
    - name: Repeat
      ansible.builtin.debug: {msg: "{{ item }}"}
      loop: "{{ range(60) | list }}"
""",
    "leaky": HERE
    + """
  vars: {secret: "{{ courtkeeper_secrets.password }}"}
  tasks:
    - name: Prove that it arrived
      ansible.builtin.copy:
        content: "{{ [secret, courtkeeper_secrets.deep.pin, courtkeeper_date, word] | to_json }}"
        dest: "{{ proof }}"
        mode: "0600"
      no_log: true
    - name: Say it
      ansible.builtin.debug: {var: secret}
    - name: Say it in a command
      ansible.builtin.command: {argv: [echo, "{{ secret }}"]}
    - name: Report it
      told: {say: "{{ secret }}", progress_file: "{{ courtkeeper_progress_file }}"}
    - name: Warn of {{ secret }}
      ansible.builtin.fail: {msg: "cannot log in with {{ secret }} and {{ courtkeeper_secrets.deep.pin }}"}
""",
    "quiet_secret": HERE
    + """
  tasks:
    - name: Use it
      told:
        password: "{{ courtkeeper_secrets.password }}"
        progress_file: "{{ courtkeeper_progress_file }}"
        until: "{{ looked }}"
""",
    "long": HERE
    + """
  tasks:
    - name: Take very long
      ansible.builtin.command:
        argv: ["{{ ansible_playbook_python }}", "{{ playbook_dir }}/../tree.py", "{{ token }}"]
    - name: Never reached
      ansible.builtin.file: {path: "{{ playbook_dir }}/../reached", state: touch, mode: "0600"}
""",
    "spec": HERE + "  roles: [strict]\n",
    "hint": HERE + """  tasks: [{name: Use it, ansible.builtin.debug: {msg: "{{ database_dsn }}"}}]\n""",
    "undefined": HERE + """  tasks: [{name: Use it, ansible.builtin.debug: {msg: "{{ nowhere }}"}}]\n""",
    "module": HERE + """  tasks: [{name: Call it, told: {how: "{{ how }}"}}]\n""",
    "late": HERE
    + """
  tasks:
    - {name: Write it, told: {}}
    - {name: Call it, told: {how: configuration}}
""",
    "command": HERE
    + """  tasks: [{name: Run it, ansible.builtin.command: {cmd: "sh -c 'echo why >&2; exit 3'"}}]\n""",
    "everyone": "- hosts: all\n  gather_facts: false\n  tasks: [{name: Ping, ansible.builtin.ping: {}}]\n",
    "nobody": "- hosts: nobody\n  gather_facts: false\n  tasks: [{ansible.builtin.ping: {}}]\n",
    "broken": "- hosts: here\n  tasks: [\n",
    "unknown_module": HERE + "  tasks: [{no_such_module: {}}]\n",
}


def build(root: Path) -> Path:
    """A checkout with one playbook per case and the inventories `x`, `bad` and `lost`."""
    files = {
        "ansible.cfg": "[defaults]\nroles_path = roles\nlibrary = library\n"
        "interpreter_python = auto_silent\n",
        "library/told.py": MODULE,
        "tree.py": TREE,
        "roles/strict/meta/argument_specs.yml": "argument_specs: {main: {options: {strict_database: "
        "{type: str, required: true, description: Where.}}}}\n",
        "roles/strict/tasks/main.yml": "- name: Do\n  ansible.builtin.debug: {msg: x}\n",
        "inventory/x/hosts.yml": "all: {hosts: {here: {ansible_connection: local, "
        "ansible_python_interpreter: '{{ ansible_playbook_python }}'}, "
        "gone: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n",
        "inventory/x/group_vars/all/platform.yml": "courtkeeper_secrets_file: var/platform/secrets.json\n"
        """database_dsn: "{{ undef(hint='say where the database is') }}"\n""",
        "inventory/bad/hosts.yml": "all:\n  hosts: {a\n",
        "inventory/lost/hosts.yml": "all: {hosts: {here: {ansible_connection: local}}}\n",
        "inventory/lost/group_vars/all/platform.yml": "courtkeeper_secrets_file: var/platform/gone.json\n",
        "var/platform/secrets.json": json.dumps({"password": PASSWORD, "deep": {"pin": PIN}}),
        **{f"playbooks/{job}.yml": text for job, text in PLAYBOOKS.items()},
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "var/platform/secrets.json").chmod(0o600)
    return root


def command(root: Path, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    """The command line as a child process: what to start and how."""
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "COLUMNS": "120"}
    # Tests that are themselves run under nohup hand SIG_IGN on; a driver of a person has the default.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
    return [*MAIN, *arguments], {"cwd": root, "env": env, "text": True, **heard}


def with_word(word: str) -> list[int]:
    """The live processes that have `word` in their command line, whoever their parents are."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and word.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
