"""Dependencies point inward: cli → runner, report, platform → domains → findings."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

# From the inside out. A part may import what is further in, and within its own layer only where SOCIABLE.
LAYERS = [
    {"findings", "progress", "structs"},
    {"database", "settings"},
    {"nba", "postgres", "redis", "vault", "hosts"},
    {
        "calendar",
        "doctor",
        "export",
        "kpi",
        "notify",
        "platform",
        "report",
        "runner",
        "scheduler",
        "store",
        "undo",
        "wheelhouse",
    },
    {"web"},
    {"cli"},
]
SOCIABLE = {3}
# Stricter than its layer: what a part may import of ours.
ONLY = {"findings": set(), "progress": set(), "structs": set()}


def layer(part: str) -> int:
    for number, parts in enumerate(LAYERS):
        if part in parts:
            return number
    pytest.fail(f"courtkeeper.{part} is new: give it a place in LAYERS of {Path(__file__).name}")


def imported(text: str, package: str) -> set[str]:
    """The parts of courtkeeper that a module of `package` imports, anywhere in its text."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                home = package.split(".")
                base = ".".join([*home[: len(home) - node.level + 1], *filter(None, [base])])
            names |= {f"{base}.{alias.name}" for alias in node.names} if base == "courtkeeper" else {base}
    parts = {name.split(".")[1] for name in names if name.startswith("courtkeeper.")}
    return {part for part in parts if not part.startswith("__")}


def breaches(part: str, imports: set[str]) -> list[str]:
    """Why `part` may not import some of `imports`; one sentence each."""
    own = layer(part)
    found = []
    for other in sorted(imports - {part}):
        theirs = layer(other)
        outward = theirs > own or (theirs == own and own not in SOCIABLE)
        if outward or other not in ONLY.get(part, {other}):
            found.append(f"{part} must not import {other}")
    return found


def test_dependencies_point_inward(root: Path) -> None:
    library = root / "python_modules/courtkeeper"
    found = []
    for path in sorted(library.rglob("*.py")):
        relative = path.relative_to(library)
        part = relative.parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        package = ".".join(["courtkeeper", *relative.parent.parts])
        found += [f"{relative}: {breach}" for breach in breaches(part, imported(path.read_text(), package))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("part", "text", "allowed"),
    [
        ("nba", "from courtkeeper.findings import Finding", True),
        ("nba", "import courtkeeper.platform.state", False),
        ("nba", "def f():\n    from courtkeeper import platform", False),
        ("nba", "from ..postgres import checks", False),
        ("nba", "from courtkeeper import __version__", True),
        ("report", "from courtkeeper.runner.record import RunRecord", True),
        ("findings", "from courtkeeper import progress", False),
        ("runner", "from courtkeeper.cli import common", False),
    ],
)
def test_a_breach_is_seen(part: str, text: str, allowed: bool) -> None:
    assert (not breaches(part, imported(text, f"courtkeeper.{part}"))) is allowed


@pytest.mark.parametrize("domain", sorted(set().union(*LAYERS[:3])))
def test_a_domain_knows_nothing_of_ansible_or_the_command_line(root: Path, domain: str) -> None:
    library = root / "python_modules/courtkeeper"
    paths = [library / f"{domain}.py", *(library / domain).rglob("*.py")]
    for path in filter(Path.is_file, paths):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in modules:
                assert name.split(".")[0] not in {"ansible", "ansible_runner", "typer", "rich"}, (
                    f"{path}: {name}"
                )
