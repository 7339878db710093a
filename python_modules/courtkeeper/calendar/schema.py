"""The JSON schema of a calendar's file for editors, and the reference for people: made from the structs."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from courtkeeper.calendar.model import Calendar


def schema() -> dict[str, Any]:
    """Return the schema (JSON Schema 2020-12) of `group_vars/all/calendar.yml`."""
    (top,), components = msgspec.json.schema_components([Calendar], ref_template="#/$defs/{name}")
    for each in components.values():
        # A docstring's first paragraph is for whoever writes a calendar, the rest for whoever writes code.
        each["description"] = " ".join(each.get("description", "").split("\n\n")[0].split())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The calendar of a system that Courtkeeper keeps",
        "type": "object",
        "required": ["courtkeeper_calendar"],
        "properties": {"courtkeeper_calendar": top},
        "$defs": components,
    }


def text() -> str:
    """Return the schema as a file's text."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


_REFERENCE = """\
<!-- Made by `make generate` from courtkeeper.calendar.model; do not edit. -->
# The calendar's fields

What they mean together is in [calendar.md](calendar.md).
"""
_SECTIONS = {
    "Calendar": "`courtkeeper_calendar`",
    "Job": "an entry of `jobs`",
    "Retries": "`retries`",
    "After": "an entry of `after`",
}


def reference() -> str:
    """Return all fields as Markdown tables."""
    parts = [_REFERENCE]
    for name, title in _SECTIONS.items():
        struct = schema()["$defs"][name]
        rows = ["| field | value | default | what it is |", "|---|---|---|---|"]
        for field, about in struct["properties"].items():
            default = "required" if field in struct["required"] else _default(about)
            rows.append(f"| `{field}` | {_kind(about)} | {default} | {about.get('description', '')} |")
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _default(about: dict[str, Any]) -> str:
    value = about.get("default")
    if value in (None, "", [], {}) or isinstance(value, dict):
        return ""
    return f"`{json.dumps(value)}`"


def _kind(about: dict[str, Any]) -> str:
    """Return the type of a field in words."""
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return "skip, latest or all" if name == "Misfire" else "see below"
    if "anyOf" in about:
        kinds = [_kind(each) for each in about["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if about["type"] == "array":
        return f"list, each {_kind(about['items'])}"
    if about["type"] == "object":
        return "names and values"
    if about.get("format") == "date":
        return "day, as 2026-01-05"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    bounds = [about.get("minimum"), about.get("maximum")]
    return words[about["type"]] + (f", {bounds[0]} to {bounds[1]}" if None not in bounds else "")
