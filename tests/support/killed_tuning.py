"""A tuning that sends itself a signal when it reaches a step: run as a process of its own.

python -m support.killed_tuning SETTINGS_JSON TOLD_JSON STEP [SIGNAL [ERRORS]]

ERRORS commands that fail, sent when the values are set, let the gate find the server worse.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from courtkeeper.redis.server import connect, replies, server_from
from courtkeeper.redis.tuning.change import Tools
from courtkeeper.redis.tuning.run import tune
from courtkeeper.redis.tuning.settings import tuning_settings_from


def main() -> None:
    """Run, and be told to end at the chosen step: by SIGKILL unless another signal is named."""
    server, told, chosen, *more = sys.argv[1:]
    ending = signal.Signals[more[0] if more else "SIGKILL"]
    settings = server_from(json.loads(server))

    def trace(step: str) -> None:
        if step == "set":
            with connect(settings, purpose="errors") as client:
                replies(client, [("NOSUCH",)] * int(more[1] if more[1:] else 0))
        if step == chosen:
            os.kill(os.getpid(), ending)

    tune(settings, tuning_settings_from(json.loads(told)), tools=Tools(trace=trace))


if __name__ == "__main__":
    main()
