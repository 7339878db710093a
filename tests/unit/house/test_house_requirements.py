"""What the library imports is declared in pyproject.toml, in the extra that the importing part belongs to."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

# What a part may use beyond the base dependencies. A part not named here runs on a bare host.
EXTRAS = {
    "calendar": ["driver"],
    "doctor": ["driver"],
    "export": ["driver"],
    "kpi": ["driver"],
    "notify": ["driver", "notify"],
    "platform": ["api", "embedded"],
    "report": ["driver"],
    "runner": ["driver"],
    "scheduler": ["driver"],
    "store": ["driver"],
    "vault": ["s3"],
    "web": ["driver", "web"],
    "wheelhouse": ["driver"],
}


def normal(requirement: str) -> str:
    """The name of a distribution in the form that compares: `psycopg[binary]>=3` becomes `psycopg`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]).lower()


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"courtkeeper"}


def parts() -> list[Path]:
    library = Path(__file__).resolve().parents[3] / "python_modules/courtkeeper"
    return sorted(
        path for path in library.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    )


@pytest.mark.parametrize("part", parts(), ids=lambda path: path.stem)
def test_every_import_is_declared(root: Path, part: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = {normal(requirement) for requirement in project["dependencies"]}
    for extra in EXTRAS.get(part.stem, []):
        declared |= {normal(requirement) for requirement in project["optional-dependencies"][extra]}
    distributions = packages_distributions()
    for path in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
        for name in sorted(imports(path)):
            offered = {normal(distribution) for distribution in distributions.get(name, [name])}
            assert offered & declared, (
                f"{path.relative_to(root)} imports {name}: declare {' or '.join(offered)} in pyproject.toml "
                f"({' or '.join(EXTRAS.get(part.stem, ['dependencies']))}), then run `make lock`"
            )


def test_nobody_is_told_to_install_what_a_stranger_may_have_registered(root: Path, files: list[Path]) -> None:
    """No package index has courtkeeper: what installs it is the checkout."""
    advice = re.compile(r"install '?courtkeeper\b")
    told = [
        path.relative_to(root)
        for path in files
        if path.suffix in {".py", ".md", ".yml", ".j2"} and "tests" not in path.relative_to(root).parts
        for line in path.read_text("utf-8").splitlines()
        if advice.search(line)
    ]
    assert told == []
