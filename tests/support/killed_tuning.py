"""A tuning that kills itself (SIGKILL) when it reaches a step: run as a process of its own.

python -m support.killed_tuning SETTINGS_JSON TOLD_JSON STEP
"""

from __future__ import annotations

import json
import os
import signal
import sys

from courtkeeper.redis.server import server_from
from courtkeeper.redis.tuning.change import Tools
from courtkeeper.redis.tuning.run import tune
from courtkeeper.redis.tuning.settings import tuning_settings_from


def main() -> None:
    """Run, and die at the chosen step."""
    server, told, chosen = sys.argv[1:]

    def trace(step: str) -> None:
        if step == chosen:
            os.kill(os.getpid(), signal.SIGKILL)

    tune(server_from(json.loads(server)), tuning_settings_from(json.loads(told)), tools=Tools(trace=trace))


if __name__ == "__main__":
    main()
