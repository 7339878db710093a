"""A refresh that kills itself (SIGKILL) when it reaches its n-th step: run as a process of its own.

    python -m support.killed_refresh DSN FEED_URL DIRECTORY CACHE_JSON N

With N of -1 it runs to its end and prints how many steps there were.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from courtkeeper.nba.cache import CacheSettings
from support import nba


def main() -> None:
    """Run, and die at the chosen step."""
    dsn, feed_url, directory, cache, chosen = sys.argv[1:]
    steps = 0

    def trace(_step: str) -> None:
        nonlocal steps
        if steps == int(chosen):
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1

    settings = nba.settings(dsn, feed_url, Path(directory), cache=CacheSettings(**json.loads(cache)))
    nba.run(settings, trace=trace)
    print(steps)


if __name__ == "__main__":
    main()
