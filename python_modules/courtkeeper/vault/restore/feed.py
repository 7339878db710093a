"""Running a program that reads what is restored: bounded, without secrets in its arguments."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from courtkeeper.findings import CourtkeeperError

_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1 << 20
_MOST_SAID = 16 << 10

Write = Callable[[bytes], object]


class RestoreError(CourtkeeperError):
    """What was restored is not good, or could not be put where it belongs; the message says what and why."""


class _EndedError(Exception):
    """The program reads no more; how it ended says why."""


def feed(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    produce: Callable[[Write], None],
    output: IO[bytes] | None = None,
    *,
    excused: Callable[[str], bool] = lambda _: False,
) -> None:
    """Let a program read all that `produce` writes.

    What it prints goes to `output`. Raises RestoreError with its last words where it does not end well (and
    that is not `excused` by all that it said), and what `produce` raises; the program is ended then.
    """
    with tempfile.TemporaryFile() as said:
        process = _started(command, environment, said, output)
        descriptor = process.stdin.fileno() if process.stdin else -1
        with contextlib.suppress(OSError):  # more than an unprivileged user may have
            fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _PIPE_BYTES)

        def write(chunk: bytes) -> None:
            view = memoryview(chunk)
            try:
                while view:
                    view = view[os.write(descriptor, view) :]
            except BrokenPipeError:
                raise _EndedError from None

        try:
            with contextlib.suppress(_EndedError):
                produce(write)
            if process.stdin:
                process.stdin.close()
            code = process.wait()
        finally:
            ended(process)
        if code and not (code > 0 and excused(_words(said))):
            how = f"was killed by signal {-code}" if code < 0 else f"failed ({code})"
            words = last_words(said)
            raise RestoreError(f"{Path(command[0]).name} {how}: {words or 'it says nothing'}")


def _started(
    command: Sequence[str | Path], environment: Mapping[str, str], said: IO[bytes], output: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [*command],
            stdin=subprocess.PIPE,
            stdout=output or subprocess.DEVNULL,
            stderr=said,
            env=dict(environment),
            process_group=0,
            bufsize=0,
        )
    except OSError as error:
        raise RestoreError(f"{command[0]} cannot be run: {error.strerror}") from error


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, and close our end of its input."""
    if process.stdin:
        with contextlib.suppress(OSError):
            process.stdin.close()
    for how, grace in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)


def _words(said: IO[bytes]) -> str:
    """Return all that a program wrote into a file; empty where it is more than a program says in passing."""
    said.seek(0)
    text = said.read(_MOST_SAID + 1)
    return text.decode(errors="replace") if len(text) <= _MOST_SAID else ""


def last_words(said: IO[bytes]) -> str:
    """Return the last lines that a program wrote into a file, in one."""
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - _MOST_SAID))
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return "; ".join(lines[-3:])[:400]
