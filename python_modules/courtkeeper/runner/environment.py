"""The environment that ansible-playbook gets: what it needs and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from courtkeeper.findings import ConfigurationError
from courtkeeper.runner.processes import MARK

_PASSED = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PYTHONPATH",
    "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "XDG_RUNTIME_DIR",
    "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START",  # so that tests see what modules execute
}  # fmt: skip
_PROXIES = {"http_proxy", "https_proxy", "no_proxy", "all_proxy"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SECRET_NAME = re.compile(r"(PASS|PASSWORD|PASSPHRASE|TOKEN|SECRET)$")
# Set by the driver itself; a value from outside would change what the run means or how it is read.
_OURS = {
    "ANSIBLE_CONFIG", "ANSIBLE_STDOUT_CALLBACK", "ANSIBLE_FORCE_COLOR",
    # Both would leave a module's arguments, passwords among them, in a file.
    "ANSIBLE_PIPELINING", "ANSIBLE_KEEP_REMOTE_FILES",
}  # fmt: skip


def ansible_playbook(environ: Mapping[str, str]) -> tuple[Path, str]:
    """Return the ansible-playbook to run and the PATH to run it with, this interpreter's own first.

    Raises ConfigurationError when there is none: ansible-runner would only say "failed", rc 127.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    found = shutil.which("ansible-playbook", path=path)
    if found is None:
        raise ConfigurationError(
            f"ansible-playbook is neither beside {sys.executable} nor on PATH: "
            "run `pip install -e '.[driver]'` in the checkout, in the environment that courtkeeper runs in."
        )
    return Path(found), path


def only_while_we_live(path: Path) -> str:
    """Name `path` through this process: once it is dead the name leads nowhere.

    A driver killed in its first second would otherwise leave an ansible-playbook that waits for ever for
    somebody to write its variables.
    """
    through_us = Path(f"/proc/{os.getpid()}/root")
    return f"{through_us}{path}" if os.access(through_us / path.relative_to("/"), os.R_OK) else str(path)


def scrubbed(
    environ: Mapping[str, str], *, root: Path, run_dir: Path, private: Path, path: str
) -> dict[str, str]:
    """Return the variables that a run may see. ansible-runner alone would pass, and write down, all."""
    kept = {name: value for name, value in environ.items() if _may_pass(name, value)}
    defaults = {
        "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
        # Without it Ansible warns about an unreadable inventory, runs on no host and calls that success.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        # A module's arguments then go through a pipe: a run that is killed leaves no file with secrets.
        "ANSIBLE_PIPELINING": "True",
        # Ansible empties this directory at its end, but not when it is killed; ours goes with the run.
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
    }
    return {
        **defaults,
        **kept,
        **_without_proxy(kept),
        "PATH": path,
        "ANSIBLE_NOCOLOR": "1",
        # ansible-runner drops a result longer than this without a word; its default is 700 kB.
        "MAX_EVENT_RES": "100000000",
        MARK: str(run_dir),
    }


def _without_proxy(kept: Mapping[str, str]) -> dict[str, str]:
    """Return no_proxy, in both spellings, with this machine's own addresses: no proxy can reach those."""
    given = [host.strip() for name in ("no_proxy", "NO_PROXY") for host in kept.get(name, "").split(",")]
    hosts = list(dict.fromkeys(filter(None, [*given, *_LOOPBACK])))
    # A `*` is understood only where it stands alone.
    value = "*" if "*" in hosts else ",".join(hosts)
    return {"no_proxy": value, "NO_PROXY": value}


def _may_pass(name: str, value: str) -> bool:
    if name in _PASSED or name.startswith("LC_"):
        return True
    if name.lower() in _PROXIES:
        return "@" not in value  # a proxy's address may hold a password
    return name.startswith("ANSIBLE_") and name not in _OURS and not _SECRET_NAME.search(name)
