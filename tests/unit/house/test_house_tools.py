"""The scripts behind the Makefile: the README generator, pip's settings for uv, the set-up's refusals."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SPEC = """
argument_specs:
  undo:
    short_description: Take it back
    options: {}
  main:
    short_description: Count games
    description: [Counts C(Final) games., 'See L(the rules,https://example.org/rules).']
    options:
      counting_limit: {type: int, default: 10, description: How many | at most.}
      counting_kind: {type: str, required: true, choices: [home, away], description: [Which., Either.]}
      counting_sides:
        type: list
        elements: dict
        description: The sides.
        options:
          name: {required: true, description: Its name.}
"""
DEFAULTS = """---
# Ten is what
# the league allows.
counting_limit: 10

counting_sides: [] # none
"""


@pytest.fixture
def role(tmp_path: Path) -> Path:
    role = tmp_path / "roles/counting"
    for name, text in (("meta/argument_specs.yml", SPEC), ("defaults/main.yml", DEFAULTS)):
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text)
    return role


def test_a_readme_shows_every_entry_point_and_variable(tool: Callable[[str], ModuleType], role: Path) -> None:
    text = tool("generate").role_readme(role)
    assert text.index("## Entry point `main`") < text.index("## Entry point `undo`")
    assert "Counts `Final` games.\n\nSee [the rules](https://example.org/rules)." in text
    row = "| `counting_limit` | int | no | `10` |  | How many \\| at most. Ten is what the league allows. |"
    assert row in text
    assert "| `counting_kind` | str | yes |  | `home`, `away` | Which. Either. |" in text
    assert "| `counting_sides` | list of dict | no | `[]` |  | The sides. none |" in text
    assert "| `counting_sides[].name` | str | yes |  |  | Its name. |" in text
    assert "Called with `tasks_from: undo`.\n\nTakes no variables." in text
    assert "role: courtkeeper.ops.counting" in text


def test_a_stale_readme_is_shown_as_a_difference(tool: Callable[[str], ModuleType], role: Path) -> None:
    generate = tool("generate")
    root = role.parents[1]
    readme = role / "README.md"
    readme.write_text(generate.role_readme(role))
    assert generate.differences(root) == ""
    readme.write_text(readme.read_text().replace("`10`", "`11`"))
    assert "-| `counting_limit` | int | no | `11`" in generate.differences(root)


def test_pip_settings_become_those_of_uv(tool: Callable[[str], ModuleType]) -> None:
    pip = tool("pip_settings")
    listing = (
        ":env:.cert='/env/ca.pem'\n"
        "global.cert='/global/ca.pem'\n"
        "global.find-links='/some/where'\n"
        "global.index-url='https://user:it%20s@index.example/simple'\n"
    )
    settings = pip.pip_settings(listing)
    assert settings["cert"] == "/env/ca.pem"
    assert pip.uv_environment(settings, {}, system_store=True) == {
        "UV_DEFAULT_INDEX": "https://user:it%20s@index.example/simple",
        "SSL_CERT_FILE": "/env/ca.pem",
    }
    # What the caller says to uv itself is left alone.
    environ = {"UV_INDEX_URL": "https://other.example/simple", "SSL_CERT_FILE": "/own.pem"}
    assert pip.uv_environment(settings, environ, system_store=True) == {}
    assert pip.uv_environment({}, {}, system_store=True) == {"UV_SYSTEM_CERTS": "true"}
    assert pip.uv_environment({}, {}, system_store=False) == {}


@pytest.fixture
def bare_checkout(root: Path, tmp_path: Path) -> Path:
    """A checkout, at a path with a space, that holds just what the set-up reads before it installs."""
    checkout = tmp_path / "a checkout"
    (checkout / "tools").mkdir(parents=True)
    (checkout / "requirements").mkdir()
    (checkout / "requirements/demo.lock").touch()
    shutil.copy(root / "tools/bootstrap", checkout / "tools")
    return checkout


def set_up(checkout: Path, kind: str, python: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "PYTHON": str(python)}
    command = [checkout / "tools/bootstrap", kind]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            '[ "$1" = -V ] && echo Python 3.9.2; exit 1',
            "is not a Python 3.11 or newer (Python 3.9.2); name one",
        ),
        (
            # New enough, but without ensurepip, as Debian's python3 is without python3-venv.
            'case "$*" in -V) echo Python 3.11.2;; *ensurepip*) exit 1;; *print*) echo "$0";; esac',
            "Python 3.11.2 has no venv: install it (Debian: apt-get install python3-venv)",
        ),
    ],
)
def test_the_set_up_refuses_in_one_sentence(
    bare_checkout: Path, tmp_path: Path, body: str, sentence: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{body}\n")
    python.chmod(0o755)
    done = set_up(bare_checkout, "demo", python)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (bare_checkout / ".venv").exists()


def test_the_set_up_knows_what_can_be_asked_for(bare_checkout: Path) -> None:
    done = set_up(bare_checkout, "everything", Path("/bin/false"))
    assert done.returncode == 2
    assert "no lock file requirements/everything.lock" in done.stderr


def test_help_names_the_targets(root: Path) -> None:
    shown = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True).stdout
    named = {line.split()[0] for line in shown.splitlines() if line.startswith("  ")}
    assert {
        "demo",
        "test",
        "test-fast",
        "lint",
        "bench",
        "clean",
        "lock",
        "generate",
        "check-generated",
    } <= named
    assert {"collection", "sanity", "help", "demo-down", "distclean"} <= named
