"""pg_repack: a table made small online, by a program beside the server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from psycopg import pq

from courtkeeper.database import DatabaseSettings
from courtkeeper.postgres.server import Server

# How long pg_repack may take to remove its trigger and log table after it was told to stop.
_STOP_S = 15.0


class Refused(Exception):  # noqa: N818 # an answer of the program, not an error of ours
    """Why the program did not do it; `is_late` where its time was over."""

    def __init__(self, why: str, *, is_late: bool = False) -> None:
        super().__init__(why)
        self.is_late = is_late


def program(server: Server) -> str | None:
    """Return where pg_repack of this server's version is, beside us; None where it is not."""
    packaged = Path(f"/usr/lib/postgresql/{server.version}/bin/pg_repack")
    return str(packaged) if packaged.is_file() else shutil.which("pg_repack")


def command(path: str, settings: DatabaseSettings, table: str, lock_timeout_s: float) -> tuple[str, ...]:
    """Return the command line for one table: it ends nobody else's session, and holds no secret."""
    return (
        path,
        "--no-kill-backend",
        f"--wait-timeout={max(1, round(lock_timeout_s))}",
        "--no-password",
        f"--table={table}",
        *(f"--{word}={value}" for word, value in _address(settings).items() if value),
    )


def _address(settings: DatabaseSettings) -> dict[str, str]:
    return {
        "host": settings.host,
        "port": str(settings.port or ""),
        "username": settings.user,
        "dbname": settings.name,
    }


def run(arguments: Sequence[str], settings: DatabaseSettings, timeout_s: float) -> list[str]:
    """Run the program and return what it said. Raises Refused where it fails or takes too long."""
    process = subprocess.Popen(
        [*_bound_to_us(), *arguments],
        env=_environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # a terminal's Ctrl-C is ours to pass on
    )
    try:
        said = process.communicate(timeout=timeout_s)[1]
    except subprocess.TimeoutExpired:
        raise Refused("it took longer than its time", is_late=True) from None
    finally:
        _stop(process)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if process.returncode:
        raise Refused((lines or [f"it ended with {process.returncode}"])[-1].rstrip("."))
    return [line for line in lines if line.startswith("WARNING")]


def _bound_to_us() -> list[str]:
    """Return what has the kernel end the program where we are killed; nothing where that is not installed."""
    setpriv = shutil.which("setpriv")  # util-linux
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []


def _stop(process: subprocess.Popen[str]) -> None:
    """End it, if it still runs: by SIGINT, on which it cleans up behind itself, then by force."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _environment(settings: DatabaseSettings) -> dict[str, str]:
    """Return the environment with the password, and what else libpq takes from there."""
    told = {**settings.options, "password": settings.password}
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    for option in pq.Conninfo.get_defaults():
        value = told.get(option.keyword.decode())
        if value and option.envvar:
            environment[option.envvar.decode()] = value
    return environment
