"""`python -m courtkeeper.hosts.logs STANZA`: what logrotate calls after it has rotated a declared stanza."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.logs.rotation import keep_one


def main(arguments: list[str]) -> int:
    """Compress, archive and remove what is due; 1 with one sentence where that fails."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m courtkeeper.hosts.logs STANZA\n")
        return 2
    try:
        for action in keep_one(arguments[0], datetime.now(UTC)):
            sys.stdout.write(f"{action}\n")
    except CourtkeeperError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
