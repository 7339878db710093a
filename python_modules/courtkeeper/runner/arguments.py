"""A request as the words of a command line, so that whoever reads a record can ask for the same again."""

from __future__ import annotations

import json
from pathlib import Path

from courtkeeper.runner.options import RunOptions, shown
from courtkeeper.runner.secrets import MASK, Redactor, looks_secret


def of_request(request: RunOptions, inventory: Path, day: str | None, redact: Redactor) -> list[str]:
    """Return what follows the job in `courtkeeper run JOB …`, without secrets.

    What only decides how the run is shown (--json, --quiet, --no-report) is left out.
    """
    root = request.root.resolve()
    words = ["-i", shown(inventory, root)]
    words += ["--date", day] if day is not None else []
    words += ["--limit", request.limit] if request.limit is not None else []
    words += ["--check"] if request.check else []
    words += ["--diff"] if request.diff else []
    for name, value in request.extra_vars.items():
        plain = MASK if looks_secret(name, value) else value
        words += ["-e", f"{name}={plain}" if isinstance(plain, str) else _as_json({name: plain})]
    words += ["--timeout", f"{request.timeout_s:g}"] if request.timeout_s is not None else []
    if request.secrets_file is not None:
        words += ["--secrets-file", shown(request.secrets_file.expanduser().resolve(), root)]
    return [redact.text(word) for word in words]


def _as_json(value: dict[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)
