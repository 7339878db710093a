"""Write requirements/*.lock from pyproject.toml, or say whether they still belong to it.

`python tools/lock.py` resolves anew (`--upgrade` takes newer releases, otherwise existing pins stay);
`python tools/lock.py --check` needs no network: each lock records a digest of what it was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
# The extras in each lock. hosts is a superset of dev and dev of demo with the very same pins, so one venv
# serves them all; agent is the part of dev that goes to a host, certbot what it gets in a venv of its own.
EXTRAS = {
    "demo": ("driver", "embedded"),
    "dev": ("dev",),
    "hosts": ("dev", "hosts"),
    "agent": ("agent",),
    "certbot": ("certbot",),
}
PINNED_BY = {"dev": "demo", "hosts": "dev", "agent": "dev", "certbot": "hosts"}
# What goes to a host is a set of wheels: nothing is built there, and certbot does not need the library.
WITHOUT_BACKEND = {"agent", "certbot"}
WITHOUT_LIBRARY = {"certbot"}
MARK = "# inputs: sha256:"


def extra_lines(extra: str, extras: dict[str, list[str]]) -> Iterator[str]:
    """Yield the requirements of `extra`, following `courtkeeper[other]` into the extras it names."""
    for requirement in extras[extra]:
        if own := re.fullmatch(r"courtkeeper\[(.+)]", requirement):
            for name in own[1].split(","):
                yield from extra_lines(name.strip(), extras)
        else:
            yield requirement


def inputs(name: str, project: dict[str, Any], bootstrap: str) -> list[str]:
    """Return the requirement lines lock `name` is made from: for a venv lock, the build backend too."""
    if name == "bootstrap":
        return [line for line in bootstrap.splitlines() if line and not line.startswith("#")]
    lines = [] if name in WITHOUT_BACKEND else [*project["build-system"]["requires"]]
    lines += [] if name in WITHOUT_LIBRARY else project["project"]["dependencies"]
    for extra in EXTRAS[name]:
        lines += extra_lines(extra, project["project"]["optional-dependencies"])
    return sorted(set(lines))


def digest(name: str, project: dict[str, Any], bootstrap: str) -> str:
    """Return the digest of everything lock `name` depends on."""
    parts = [project["project"]["requires-python"], *inputs(name, project, bootstrap)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def stale(locks: Path, project: dict[str, Any]) -> list[str]:
    """Return one sentence per lock in `locks` that does not belong to `project`."""
    bootstrap = (locks / "bootstrap.in").read_text()
    sentences = []
    for name in ("bootstrap", *EXTRAS):
        lock = locks / f"{name}.lock"
        recorded = MARK + digest(name, project, bootstrap)
        if not lock.exists() or recorded not in lock.read_text().splitlines():
            sentences.append(
                f"requirements/{name}.lock was not made from today's pyproject.toml: run `make lock`"
            )
    return sentences


def compile_lock(name: str, project: dict[str, Any], *, upgrade: bool) -> None:
    """Resolve lock `name` for every supported Python and platform and write it."""
    bootstrap = (LOCKS / "bootstrap.in").read_text()
    lock = LOCKS / f"{name}.lock"
    minimum = project["project"]["requires-python"].removeprefix(">=")
    command = [ROOT / ".venv/bin/uv", "--no-config", "--quiet", "pip", "compile"]
    command += ["--universal", "--generate-hashes", "--python-version", minimum]
    # Neither the index nor the path of the machine that resolved belongs in the file.
    command += ["--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"]
    if upgrade:
        command.append("--upgrade")
    if name in PINNED_BY:
        command += ["--constraints", LOCKS / f"{PINNED_BY[name]}.lock"]
    with tempfile.TemporaryDirectory() as scratch:
        source, output = Path(scratch, "requirements.in"), Path(scratch, "out.lock")
        source.write_text("\n".join(inputs(name, project, bootstrap)) + "\n")
        if lock.exists():
            output.write_text(lock.read_text())  # uv keeps the pins it finds here
        subprocess.run(
            [*command, "--output-file", output, source], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
        )
        body = output.read_text()
    header = f"# Made by `make lock`; do not edit.\n{MARK}{digest(name, project, bootstrap)}\n"
    lock.write_text(header + body)
    pins = sum(line[:1].isalnum() for line in body.splitlines())
    sys.stdout.write(f"{lock.relative_to(ROOT)}: {pins} pins\n")


def main() -> int:
    """Write the locks, or with `--check` fail when one is stale."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a lock is stale")
    parser.add_argument("--upgrade", action="store_true", help="take the newest releases")
    arguments = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if arguments.check:
        sentences = stale(LOCKS, project)
        sys.stderr.writelines(f"{sentence}\n" for sentence in sentences)
        return 1 if sentences else 0
    for name in ("bootstrap", *EXTRAS):
        compile_lock(name, project, upgrade=arguments.upgrade)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
