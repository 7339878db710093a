"""The OpenAPI document says what the API does."""

from __future__ import annotations

import json
import re

from courtkeeper.web.api import OPERATIONS, PREFIX
from courtkeeper.web.openapi import document


def test_every_operation_is_described_and_every_reference_resolves() -> None:
    found = document()
    assert len(found["paths"]) == len({operation.path for operation in OPERATIONS})
    for path, methods in found["paths"].items():
        assert path.startswith(PREFIX)
        for operation in methods.values():
            assert operation["summary"]
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
    text = json.dumps(found)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in found["components"]["schemas"], name
    names = [o["operationId"] for methods in found["paths"].values() for o in methods.values()]
    assert len(names) == len(set(names))


def test_what_changes_something_is_a_post() -> None:
    for operation in OPERATIONS:
        assert (operation.method == "POST") == (
            operation.path in {"/approve", "/hold", "/release", "/run", "/cancel", "/undo"}
        )
