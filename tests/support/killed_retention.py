"""A retention that kills itself (SIGKILL) when it reaches its n-th step: run as a process of its own.

    python -m support.killed_retention DSN RULES_JSON N

With N of -1 it runs to its end and prints how many steps there were.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from support.retention import run


def main() -> None:
    """Run, and die at the chosen step."""
    dsn, rules, chosen = sys.argv[1:]
    steps = 0

    def trace(_step: str) -> None:
        nonlocal steps
        if steps == int(chosen):
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1

    run(dsn, *json.loads(rules), trace=trace)
    print(steps)


if __name__ == "__main__":
    main()
