"""Ports of our own on 127.0.0.1."""

from __future__ import annotations

import random
import socket
from collections.abc import Container

HOST = "127.0.0.1"
# Below Linux's range for outgoing connections (32768 and up), which would take a port while we are down.
_RANGE = range(20000, 32000)


def is_free(port: int) -> bool:
    """Tell whether nobody listens on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # our own last connections do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(avoid: Container[int] = ()) -> int:
    """Return a port that is free now, none of `avoid`. By chance, so that two checkouts rarely meet."""
    candidates = random.sample(_RANGE, k=len(_RANGE))
    return next(port for port in candidates if port not in avoid and is_free(port))
