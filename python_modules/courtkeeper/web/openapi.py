"""What the API takes and answers, as OpenAPI 3.1, made from the structs themselves."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from courtkeeper import __version__
from courtkeeper.web.api import OPERATIONS, PREFIX, Operation

_ERROR = {
    "description": "One sentence that says what is wrong.",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
        }
    },
}


def document() -> dict[str, Any]:
    """Return the document."""
    kinds = [kind for each in OPERATIONS for kind in (each.takes, each.answers)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(OPERATIONS):
        takes, answers = schemas[2 * number], schemas[2 * number + 1]
        where = PREFIX + re.sub(r":\w+}", "}", each.path)
        paths.setdefault(where, {})[each.method.lower()] = _operation(each, takes, answers, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Courtkeeper",
            "version": __version__,
            "description": "Reading needs a viewer, POST an operator. Times are in UTC.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(
    each: Operation, takes: dict[str, Any], answers: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{each.method.lower()}{each.path}".replace(":int", "")).strip("_")
    found: dict[str, Any] = {
        "operationId": name,
        "summary": each.summary.rstrip("."),
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": answers}}},
            "400": _ERROR,
            "401": _ERROR,
        },
    }
    parameters = [
        {
            "name": match[1],
            "in": "path",
            "required": True,
            "schema": {"type": "integer" if match[2] else "string"},
        }
        for match in re.finditer(r"{(\w+)(:int)?}", each.path)
    ]
    if parameters:
        found["responses"]["404"] = _ERROR
    if each.method == "POST":
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": takes}}}
        found["responses"]["403"] = _ERROR
    else:
        shape = components[takes["$ref"].rpartition("/")[2]]
        parameters += [
            {"name": key, "in": "query", "required": key in shape.get("required", []), "schema": schema}
            for key, schema in shape["properties"].items()
        ]
    if parameters:
        found["parameters"] = parameters
    return found
