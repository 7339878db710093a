"""What a playbook names: the variables its roles know, so that a misspelt `-e` is refused, and its hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from courtkeeper.findings import ConfigurationError

if TYPE_CHECKING:
    from yaml import Node


def check_role_variables(names: Iterable[str], root: Path, playbook: Path) -> None:
    """Raise ConfigurationError for a name that begins as a role's variables do, but that no role knows.

    A variable of a role is named `<role>_x`. Ansible takes any other name without a word, so a misspelt
    one would change nothing; nor would `<playbook>_x` where the playbook's role has another name. Roles
    without an argument spec, names of other shapes, and what the playbook itself reads, pass.
    """
    specs = {role: _specified(root / "roles" / role) for role in _roles(_compose(playbook))}
    known = set().union(*specs.values())
    for name in names:
        if name in known or not (owner := _owner(name, specs, playbook)):
            continue
        near = get_close_matches(name, sorted(known), n=1, cutoff=0.0)[0]
        raise ConfigurationError(f"-e {name}: {owner} has no such variable; did you mean {near}?")


def _owner(name: str, specs: Mapping[str, set[str]], playbook: Path) -> str:
    """Return whose variable one of that name would have to be; empty where that cannot be told."""
    if of := [role for role, spec in specs.items() if spec and name.startswith(f"{role}_")]:
        return f"the role {max(of, key=len)}"
    told = specs and all(specs.values()) and name.startswith(f"{playbook.stem}_")
    if told and not re.search(rf"\b{re.escape(name)}\b", playbook.read_text("utf-8")):
        return f"the playbook {playbook.stem}"
    return ""


def hosts_named(playbook: Path) -> list[str]:
    """Return the patterns of hosts that its plays name, each once; what only Ansible can tell is left out."""
    plays = [dict(_pairs(play)) for play in _items(_compose(playbook))]
    named = [play["hosts"].value for play in plays if "hosts" in play]
    return list(dict.fromkeys(each for each in named if isinstance(each, str) and "{" not in each))


def _roles(node: Node | None) -> Iterator[str]:
    """Yield the roles a playbook names, without their collection."""
    for key, value in _pairs(node):
        if key == "roles":
            for entry in _items(value):
                named = dict(_pairs(entry))
                yield _role(entry if not named else named.get("role") or named.get("name"))
        elif key.rpartition(".")[2] in {"import_role", "include_role"}:
            yield _role(dict(_pairs(value)).get("name"))
        else:
            yield from _roles(value)
    for item in _items(node):
        yield from _roles(item)


def _role(node: Node | None) -> str:
    return str(node.value).rpartition(".")[2] if node is not None else ""


def _specified(role: Path) -> set[str]:
    """Return the options of all entry points of a role's argument specs, empty where it has none."""
    found = dict(_pairs(_compose(role / "meta" / "argument_specs.yml"))).get("argument_specs")
    return {option for _, entry in _pairs(found) for option, _ in _pairs(dict(_pairs(entry)).get("options"))}


def _compose(path: Path) -> Node | None:
    """Return a file's YAML, or None where it cannot be read: what is wrong with it Ansible says best."""
    import yaml

    try:
        # Composed, not constructed: a playbook may hold tags that only Ansible knows. By libyaml where
        # there is one: argument specs are long, and this is before every run.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return yaml.compose(path.read_text("utf-8"), Loader=loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _pairs(node: Node | None) -> list[tuple[str, Node]]:
    import yaml

    return [(str(k.value), v) for k, v in node.value] if isinstance(node, yaml.MappingNode) else []


def _items(node: Node | None) -> list[Node]:
    import yaml

    return node.value if isinstance(node, yaml.SequenceNode) else []
