"""The collection: one version, roles that resolve, contracts that are written down, files that are fresh."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from courtkeeper import __version__

ROOT = Path(__file__).resolve().parents[3]
COLLECTION = ROOT / "collections/ansible_collections/courtkeeper/ops"
ROLES = sorted(path.parent for path in ROOT.glob("roles/*/meta"))
MODULES = sorted((COLLECTION / "plugins/modules").glob("[!_]*.py"))
FRAGMENTS = COLLECTION / "plugins/doc_fragments"


def ansible(command: str, *arguments: str | Path, **environment: str) -> str:
    """Run a command of the venv's Ansible in the checkout and return what it says."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environ |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8", **environment}
    program = Path(sys.executable).with_name(command)
    done = subprocess.run(
        [program, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assigned(path: Path, name: str) -> dict:
    """The YAML that a plugin assigns to `name`, such as DOCUMENTATION."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == [name]:
            return yaml.safe_load(ast.literal_eval(node.value)) or {}
    return {}


def test_there_is_one_version() -> None:
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())
    assert galaxy["version"] == __version__
    assert f"courtkeeper=={__version__}\n" in (COLLECTION / "requirements.txt").read_text()
    changelog = yaml.safe_load((COLLECTION / "changelogs/changelog.yaml").read_text())
    assert __version__ in changelog["releases"]


def test_the_collection_says_what_is_in_it() -> None:
    tags = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())["tags"]
    assert [each for each in tags if not re.fullmatch("[a-z][a-z0-9]*", each)] == []  # Galaxy's own rule
    assert {"backup", "postgresql", "redis"} <= set(tags)
    changelog = yaml.safe_load((COLLECTION / "changelogs/changelog.yaml").read_text())
    summary = changelog["releases"][__version__]["changes"]["release_summary"]
    for duty in ("refresh", "Postgres", "Redis", "patching", "certificates", "logs", "backups", "restores"):
        assert duty in summary


def test_the_collection_asks_for_the_ansible_that_is_locked() -> None:
    runtime = yaml.safe_load((COLLECTION / "meta/runtime.yml").read_text())
    assert runtime["requires_ansible"] == ">=2.19.0"
    assert '"ansible-core>=2.19"' in (ROOT / "pyproject.toml").read_text()


def test_the_roles_are_linked_by_a_relative_path() -> None:
    link = COLLECTION / "roles"
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == ROOT / "roles"


def test_generated_files_are_fresh(tool: Callable[[str], ModuleType]) -> None:
    difference = tool("generate").differences()
    assert not difference, f"{difference}\nrun `make generate`"


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_every_entry_point_of_a_role_has_an_argument_spec(role: Path) -> None:
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    # A task file that another one of the role includes is a part of it, not an entry point.
    texts = {path.stem: path.read_text() for path in (role / "tasks").glob("*.y*ml")}
    parts = {name for name in texts if any(f"{name}.yml" in text for text in texts.values())}
    assert set(specs) == {name for name in texts if not name.startswith("_")} - parts
    for name, spec in specs.items():
        assert spec.get("short_description"), f"{role.name}: entry point {name} says not what it does"
        undescribed = [
            key for key, option in spec.get("options", {}).items() if not option.get("description")
        ]
        assert undescribed == []


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_defaults_and_argument_specs_agree(role: Path) -> None:
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    path = role / "defaults/main.yml"
    defaults = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
    options: dict[str, dict] = {}
    for spec in specs.values():
        options |= spec.get("options", {})
    assert [name for name in defaults if name not in options] == []
    for name, option in options.items():
        assert name.startswith(f"{role.name}_"), f"{name}: a role's variables begin with its name"
        if "default" in option and name in defaults:
            assert defaults[name] == option["default"], f"{name}: defaults and argument spec differ"
        if option.get("required"):
            assert name not in defaults, f"{name} is required and yet has a default"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_says_what_it_supports_and_returns(module: Path) -> None:
    documentation = assigned(module, "DOCUMENTATION")
    attributes = dict(documentation.get("attributes", {}))
    for fragment in documentation.get("extends_documentation_fragment", []):
        name = fragment.rpartition(".")[2]
        attributes = assigned(FRAGMENTS / f"{name}.py", "DOCUMENTATION").get("attributes", {}) | attributes
    for attribute in ("check_mode", "diff_mode", "idempotent"):
        assert attributes.get(attribute, {}).get("support") in {"full", "partial", "none", "N/A"}, attribute
    assert {"findings", "actions", "metrics"} <= assigned(module, "RETURN").keys()
    assert assigned(module, "EXAMPLES"), "a module shows how it is used"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_has_the_licence_in_its_header(module: Path) -> None:
    assert "MIT License" in "\n".join(module.read_text().splitlines()[:5])


def test_playbooks_call_roles_by_their_full_name() -> None:
    for playbook in ROOT.glob("playbooks/*.yml"):
        for role in re.findall(
            r"(?:role|name|import_role|include_role): *([a-z_.]+)$", playbook.read_text(), re.MULTILINE
        ):
            if role in {path.name for path in ROLES}:
                pytest.fail(f"{playbook.name}: write courtkeeper.ops.{role}")


def test_playbooks_name_whom_they_are_for() -> None:
    """A job tried on the embedded platform must not patch the machine it runs on."""
    for playbook in ROOT.glob("playbooks/*.yml"):
        hosts = re.findall(r"^  hosts: (.+)$", playbook.read_text(), re.MULTILINE)
        assert hosts, playbook.name
        if playbook.name != "agent.yml":  # which only puts the library there
            assert "all" not in hosts, playbook.name


@pytest.mark.parametrize(
    "role", ["agent", "certificate_renewal", "log_rotation", "os_patching", "redis_host"]
)
def test_a_playbook_for_root_becomes_root_and_its_role_knows_the_variable(role: str) -> None:
    spec = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
    assert spec["main"]["options"][f"{role}_become"]["default"] is True
    plays = yaml.safe_load((ROOT / f"playbooks/{role}.yml").read_text())
    assert plays[-1]["become"] == f"{{{{ {role}_become | default(true) }}}}"


# Whom a domain's playbooks are for; the last group of a pattern such as caches:&servers counts.
GROUPS = {"hosts": "servers", "postgres": "databases", "redis": "caches", "nba": "platform"}


@pytest.mark.parametrize("playbook", sorted(ROOT.glob("playbooks/*.yml")), ids=lambda path: path.stem)
def test_a_playbook_is_for_the_group_of_its_domain(playbook: Path) -> None:
    text = playbook.read_text()
    tasks = "".join(
        path.read_text()
        for role in ROLES
        if re.search(rf"courtkeeper\.ops\.{role.name}$", text, re.MULTILINE)
        for path in (role / "tasks").glob("*.yml")
    )
    domains = {
        domain
        for module in MODULES
        if f"courtkeeper.ops.{module.stem}:" in tasks
        for domain in re.findall(r"^ +(?:from|import) courtkeeper\.(\w+)", module.read_text(), re.MULTILINE)
    } & GROUPS.keys()
    patterns = re.findall(r"^  hosts: (.+)$", text, re.MULTILINE)
    ordered = "{{ hostvars.localhost.os_patching_order.hosts"  # the hosts of the play before
    for pattern in (pattern for pattern in patterns if ordered not in pattern):
        assert {pattern.rpartition(":&")[2]} == {GROUPS[domain] for domain in domains} or not domains


def test_the_machine_of_the_embedded_platform_is_no_server() -> None:
    assert "servers" not in (ROOT / "inventory/embedded/hosts.yml").read_text()


@pytest.mark.skipif(not ROLES, reason="there is no role yet")
def test_a_role_resolves_by_its_full_name_in_the_checkout(tmp_path: Path) -> None:
    roles = [{"role": f"courtkeeper.ops.{role.name}"} for role in ROLES]
    playbook = tmp_path / "playbook.yml"
    play = {"name": "Resolve", "hosts": "localhost", "gather_facts": False, "roles": roles}
    playbook.write_text(yaml.safe_dump([play]))
    ansible(
        "ansible-playbook",
        "-i",
        "localhost,",
        "--syntax-check",
        playbook,
        ANSIBLE_HOME=str(tmp_path / "home"),
    )


def test_the_tarball_holds_the_roles_as_files_and_installs(
    tool: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_HOME", str(tmp_path / "home"))
    collection = tool("collection")
    tarball = collection.build(collection.stage(tmp_path / "stage"), tmp_path)
    assert tarball.name == f"courtkeeper-ops-{__version__}.tar.gz"
    with tarfile.open(tarball) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    names = {member.name for member in members}
    assert {"LICENSE", "meta/runtime.yml", "meta/execution-environment.yml"} <= names
    assert {f"roles/{role.name}/meta/argument_specs.yml" for role in ROLES} <= names
    assert {f"playbooks/{path.name}" for path in ROOT.glob("playbooks/*.yml")} <= names
    assert not [name for name in names if "__pycache__" in name]

    target = tmp_path / "collections"
    ansible(
        "ansible-galaxy", "collection", "install", "--offline", "-p", target, tarball,
        ANSIBLE_HOME=str(tmp_path / "home"), ANSIBLE_COLLECTIONS_PATH=str(target),
    )  # fmt: skip
    assert (target / "ansible_collections/courtkeeper/ops/MANIFEST.json").is_file()
