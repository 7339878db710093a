"""The JSON schema of a calendar's file, for editors: made from the structs, so that it says what they say."""

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
