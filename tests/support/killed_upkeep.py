"""An upkeep of a cache that kills itself (SIGKILL) before its n-th round trip: run as a process of its own.

    python -m support.killed_upkeep PORT PASSWORD_FILE SETTINGS_JSON N

With N of -1 it runs to its end and prints how many round trips there were.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from redis.connection import AbstractConnection

from courtkeeper.redis.server import ServerSettings
from courtkeeper.redis.upkeep.run import upkeep
from courtkeeper.redis.upkeep.settings import upkeep_settings_from


def main() -> None:
    """Run, and die at the chosen round trip: half of them before it is sent, half right after."""
    port, secret, told, chosen = sys.argv[1:]
    trips, send = 0, AbstractConnection.send_packed_command

    def counted(self: AbstractConnection, *arguments: Any, **more: Any) -> None:
        nonlocal trips
        if trips == int(chosen):
            if trips % 2:
                send(self, *arguments, **more)
            os.kill(os.getpid(), signal.SIGKILL)
        trips += 1
        send(self, *arguments, **more)

    AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
    server = ServerSettings(port=int(port), password=Path(secret).read_text())
    upkeep(server, upkeep_settings_from(json.loads(told)))
    print(trips)


if __name__ == "__main__":
    main()
