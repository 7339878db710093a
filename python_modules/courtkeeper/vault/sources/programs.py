"""Running a program whose output is a backup: bounded, without secrets in its arguments, and never half."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.pipe import CHUNK, Write
from courtkeeper.vault.sources.base import SourceError

_MOST_SAID = 16 << 10
# A pipe that holds a chunk is not full after it at less than 1 GB/s.
_NAP_S = 0.001
_F_SETPIPE_SZ = 1031  # fcntl names it from Python 3.10 on, but only where the C library does


def found(program: str, bin_directory: str) -> Path:
    """Return where a program is. Raises ConfigurationError."""
    where = shutil.which(program, path=bin_directory or None)
    if where is None:
        place = bin_directory or "PATH"
        raise ConfigurationError(
            f"{program} is not in {place}: install the client programs, or mend bin_directory"
        )
    return Path(where)


def said_by(program: Path, *arguments: str) -> str:
    """Return what a program that ends at once prints. Raises SourceError."""
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, errors="replace", timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SourceError(f"{program} cannot be run: {str(error)[:200]}") from error
    return done.stdout.strip()


def version_of(program: Path) -> str:
    """Return 17.5 where it says `pg_dump (PostgreSQL) 17.5 (Debian …)`. Raises SourceError."""
    said = said_by(program, "--version")
    match = re.search(r"\)\s+(\d\S*)", said)
    if match is None:
        raise SourceError(f"{program.name} says it is {said[:100]!r}, which cannot be read")
    return match[1]


def stream(command: Sequence[str | Path], environment: Mapping[str, str], write: Write) -> None:
    """Write all that a program prints. Raises SourceError with its last words where it does not end well."""
    with _Said() as said:
        try:
            process = subprocess.Popen(
                [*command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said.end,
                env=dict(environment),
                process_group=0,
                bufsize=0,
            )
        except OSError as error:
            raise SourceError(f"{command[0]} cannot be run: {error.strerror}") from error
        said.started()
        try:
            if process.stdout is not None:
                _pumped(process.stdout.fileno(), write)
            code = process.wait()
        finally:
            if process.stdout is not None:
                process.stdout.close()
            _ended(process)
    if code != 0:
        how = f"was killed by signal {-code}" if code < 0 else f"failed ({code})"
        raise SourceError(f"{Path(command[0]).name} {how}: {said.words() or 'it says nothing'}", again=True)


def _pumped(descriptor: int, write: Write) -> None:
    naps = _enlarged(descriptor)
    room = bytearray(CHUNK)
    view = memoryview(room)
    filled = 0
    while count := os.readv(descriptor, [view[filled:]]):
        filled += count
        if filled >= CHUNK // 2:
            write(view[:filled])
            filled = 0
        elif naps:
            # pg_dump writes 4 KiB at a time: to read each as it comes is half a million wake-ups for 2 GiB.
            time.sleep(_NAP_S)
    if filled:
        write(view[:filled])


def _enlarged(descriptor: int) -> bool:
    """Let the pipe hold a chunk; tell whether it does, as an unprivileged user may have only so many."""
    try:
        return fcntl.fcntl(descriptor, _F_SETPIPE_SZ, CHUNK) >= CHUNK
    except OSError:
        return False


def _ended(process: subprocess.Popen[bytes]) -> None:
    """End what still runs: its output is of no use to anybody."""
    for how, grace in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)


class _Said:
    """The last words of a program, read by a thread so that it never waits for us to listen."""

    def __enter__(self) -> Self:
        self._read, self.end = os.pipe()
        self._tail = bytearray()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        return self

    def started(self) -> None:
        os.close(self.end)
        self.end = -1
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self.end >= 0:
            os.close(self.end)
            os.close(self._read)
            return
        self._thread.join(5.0)

    def _listen(self) -> None:
        with os.fdopen(self._read, "rb", buffering=0) as stream:
            while chunk := stream.read(4096):
                self._tail += chunk
                del self._tail[:-_MOST_SAID]

    def words(self) -> str:
        """Return the last lines, in one."""
        lines = [line.strip() for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return "; ".join(lines[-3:])[:400]
