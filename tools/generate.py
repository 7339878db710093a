"""Write the files that are made from others; `--check` only compares and shows the difference.

- `roles/<role>/README.md`, from `meta/argument_specs.yml` and, for what a default rests on, the comments
  in `defaults/main.yml`;
- the collection's `tests/sanity/ignore-*.txt`: ansible-test wants the GPL in every module's header, this
  project is under the MIT licence, and that is the only thing ignored;
- `inventory/calendar.schema.json` for editors and `docs/calendar_fields.md` for people, from the calendar's
  structs;
- `awx/schedules.yml`, from the embedded system's calendar.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

ROOT = Path(__file__).resolve().parent.parent
# The ansible-core releases that the lock files hold, one for each Python, and what lies between.
CORES = ("2.19", "2.20", "2.21")

README = """\
<!-- Made by `make generate` from meta/argument_specs.yml and defaults/main.yml; do not edit. -->
# {{ role }}

{{ main.short_description }}
{% for name, entry in entries.items() %}

## Entry point `{{ name }}`
{% if entry.description or name != "main" %}

{{ entry.description or entry.short_description }}
{% endif %}
{% if name != "main" %}

Called with `tasks_from: {{ name }}`.
{% endif %}
{% if entry.options %}

| variable | type | required | default | choices | description |
| --- | --- | --- | --- | --- | --- |
{% for option in entry.options %}
| `{{ option.name }}` | {{ option.type }} | {{ option.required }} | {{ option.default }} |\
 {{ option.choices }} | {{ option.description }} |
{% endfor %}
{% else %}

Takes no variables.
{% endif %}
{% if entry.examples %}

```yaml
{{ entry.examples }}
```
{% endif %}
{% endfor %}

## Example

```yaml
- name: {{ main.short_description.rstrip(".") }}
  hosts: platform
  gather_facts: false
  roles:
    - role: courtkeeper.ops.{{ role }}
```
"""


def paragraphs(text: str | list[str] | None) -> str:
    """Return an argument spec's description (a sentence or a list of them) as Markdown."""
    return markdown("\n\n".join([text] if isinstance(text, str) else text or []).strip())


def markdown(text: str) -> str:
    """Return `text` with Ansible's markup, such as C(code) and L(name,url), as Markdown."""
    text = re.sub(r"\bL\(([^,()]+), *([^()]+)\)", r"[\1](\2)", text)
    text = re.sub(r"\b[CVOEPMR]\(([^()]*)\)", r"`\1`", text)
    text = re.sub(r"\bI\(([^()]*)\)", r"*\1*", text)
    text = re.sub(r"\bB\(([^()]*)\)", r"**\1**", text)
    return re.sub(r"\bU\(([^()]*)\)", r"<\1>", text)


def cell(text: str) -> str:
    """Return `text` so that it stays inside one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(value: object) -> str:
    """Return `value` as YAML would show it, in code font."""
    shown = (
        value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, sort_keys=True)
    )
    return f"`{cell(shown)}`"


def comments(defaults: str) -> dict[str, str]:
    """Return, for each variable in the text of a defaults file, the comment above it or behind it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in defaults.splitlines():
        if line.startswith("#"):
            above.append(line.lstrip("# "))
            continue
        if line[:1].isalpha() or line[:1] == "_":
            behind = line.partition(" # ")[2]
            found[line.partition(":")[0]] = " ".join([*above, behind]).strip()
        above = []
    return found


def options(
    spec: dict[str, Any], defaults: dict[str, Any], notes: dict[str, str], prefix: str = ""
) -> Iterator[dict[str, str]]:
    """Yield one table row per option of `spec`, each followed by the options nested in it."""
    for name, option in spec.items():
        default = defaults[name] if name in defaults else option.get("default")
        kind = option.get("type", "str")
        elements = f" of {option['elements']}" if "elements" in option else ""
        description, note = paragraphs(option.get("description")), notes.get(name, "")
        if note and note.rstrip(".") not in description:
            description += f" {note}"
        yield {
            "name": prefix + name,
            "type": kind + elements,
            "required": "yes" if option.get("required") else "no",
            "default": "" if default is None else code(default),
            "choices": ", ".join(code(choice) for choice in option.get("choices", [])),
            "description": cell(description),
        }
        deeper = f"{prefix}{name}[]." if elements else f"{prefix}{name}."
        yield from options(option.get("options", {}), {}, {}, deeper)


def role_readme(role: Path) -> str:
    """Return the README of the role in directory `role`."""
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    path = role / "defaults/main.yml"
    text = path.read_text() if path.exists() else ""
    defaults, notes = yaml.safe_load(text) or {}, comments(text)
    entries = {
        name: {
            "short_description": entry.get("short_description", ""),
            "description": paragraphs(entry.get("description")),
            "options": list(options(entry.get("options", {}), defaults, notes)),
            "examples": str(entry.get("examples", "")).strip(),
        }
        for name, entry in sorted(specs.items(), key=lambda item: (item[0] != "main", item[0]))
    }
    main = entries.get("main", next(iter(entries.values())))
    environment = Environment(  # noqa: S701 - it renders Markdown, and only from our own files
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(README).render(role=role.name, main=main, entries=entries)


def generated(root: Path = ROOT) -> dict[Path, str]:
    """Return every generated file of the checkout `root` with the text it must have."""
    files = {spec.parents[1] / "README.md": role_readme(spec.parents[1]) for spec in specs(root)}
    collection = root / "collections/ansible_collections/courtkeeper/ops"
    modules = sorted(path.name for path in (collection / "plugins/modules").glob("[!_]*.py"))
    licence = "".join(
        f"plugins/modules/{name} validate-modules:missing-gplv3-license # MIT licence\n" for name in modules
    )
    files |= {collection / f"tests/sanity/ignore-{core}.txt": licence for core in CORES if licence}
    return files | calendar_files(root)


def calendar_files(root: Path) -> dict[Path, str]:
    """Return what is made from the calendar: the schema of its file, and AWX's schedules."""
    embedded = root / "inventory/embedded"
    if not (embedded / "group_vars/all/calendar.yml").exists():
        return {}
    from courtkeeper.calendar import load, schema
    from courtkeeper.export import exporting, recurring
    from courtkeeper.export.command import Place

    place = Place(directory="", program="courtkeeper", inventory="inventory/embedded")
    # Not this day's: the same calendar gives the same file.
    now = datetime.combine(recurring.EPOCH, time(), UTC)
    options = exporting.Options(place=place)
    awx = exporting.export(load.load(embedded, root), exporting.Target.AWX, now, options)
    return {
        root / "inventory/calendar.schema.json": schema.text(),
        root / "docs/calendar_fields.md": schema.reference(),
        root / "awx/schedules.yml": awx.files["schedules.yml"],
    }


def specs(root: Path) -> list[Path]:
    """Return the argument specs of all roles below `root`."""
    return sorted(root.glob("roles/*/meta/argument_specs.yml"))


def differences(root: Path = ROOT) -> str:
    """Return what `make generate` would change, as a unified diff; empty when nothing."""
    diff: list[str] = []
    for path, wanted in generated(root).items():
        name = str(path.relative_to(root))
        is_now = path.read_text() if path.exists() else ""
        diff += difflib.unified_diff(
            is_now.splitlines(True), wanted.splitlines(True), name, f"{name} (generated)"
        )
    return "".join(diff)


def main() -> int:
    """Write what differs; with `--check` print it and fail instead."""
    if sys.argv[1:] == ["--check"]:
        difference = differences()
        if difference:
            sys.stderr.write(f"{difference}\nGenerated files are out of date: run `make generate`.\n")
        return 1 if difference else 0
    for path, wanted in generated().items():
        if not path.exists() or path.read_text() != wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted)
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
