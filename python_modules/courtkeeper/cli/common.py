"""What all verbs share: how errors reach a person, and the exit codes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import NoReturn

from courtkeeper.findings import ConfigurationError, CourtkeeperError

FAILED = 1
MISUSED = 2
CRITICAL = 3
INTERRUPTED = 130

# What came from outside (a feed, a host) must not steer the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Return `text` without control characters."""
    return _CONTROLS.sub("", text)


def fail(error: CourtkeeperError, *, as_json: bool) -> NoReturn:
    """End the program with one sentence: on stderr, or with --json as {"error": …} on stdout."""
    if as_json:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
    else:
        sys.stderr.write(f"courtkeeper: {printable(str(error))}\n")
    sys.exit(MISUSED if isinstance(error, ConfigurationError) else FAILED)


def print_json(value: object) -> None:
    """Print a value and nothing else."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def person() -> str:
    """Return the name of whoever sits here, for the audit log."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def checkout(explicit: str | None) -> Path:
    """Return the checkout's root: `explicit`, $COURTKEEPER_ROOT, or the nearest above this directory."""
    import os

    from courtkeeper.runner.options import find_root

    return find_root(Path.cwd(), explicit=explicit or os.environ.get("COURTKEEPER_ROOT"))
