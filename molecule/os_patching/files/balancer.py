#!/usr/bin/python3
"""Talk to haproxy: balancer drain|ready|sessions HOST. Every call is logged with its time."""

from __future__ import annotations

import csv
import socket
import sys
import time
from pathlib import Path


def ask(command: str) -> str:
    """Send one command to haproxy's runtime socket and return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("/run/haproxy/admin.sock")
        connection.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


verb, host = sys.argv[1:]
if verb == "sessions":
    rows = csv.DictReader(ask("show stat").removeprefix("# ").splitlines())
    sys.stdout.write(next(row["scur"] for row in rows if row["svname"] == host) + "\n")
else:
    state = {"drain": "maint", "ready": "ready"}[verb]
    sys.stdout.write(ask(f"set server {host}/{host} state {state}"))
    with Path("/var/log/balancer.log").open("a") as log:
        log.write(f"{time.time():.2f} {verb} {host}\n")
