"""Look into an archive while it streams past: its table of contents, without writing it anywhere.

pg_dump's by `pg_restore --list` through a pipe, a tar by its headers, an RDB and the globals by how they
begin and end. None of them keeps what it sees.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tarfile
import threading
from typing import IO, Protocol

import msgspec

from courtkeeper.vault.manifest import Part

_LIST_S = 300.0
# Valkey 9 writes its own name.
_RDB = (b"REDIS", b"VALKEY")
_RDB_EOF = 0xFF
_RDB_CHECKSUM = 8
_GLOBALS_BEGIN = b"--\n-- PostgreSQL database cluster dump\n"
_GLOBALS_END = b"PostgreSQL database cluster dump complete"


class Listing(msgspec.Struct, frozen=True):
    """`entries` in the archive, and what is wrong with it; `unknown` says why it could not be listed."""

    entries: int = 0
    wrong: str = ""
    unknown: str = ""


class Lister(Protocol):
    """Takes the plain bytes of one part."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; never raises."""

    def finish(self) -> Listing:
        """Say what was in it, and end what was started. To be called however the stream ended."""


def lister(part: Part, bin_directory: str = "") -> Lister:
    """Return what lists a part of this kind. `bin_directory` has pg_restore; empty: PATH."""
    if part.kind == "pg_dump":
        return _Dump(part, bin_directory)
    if part.kind == "tar":
        return _Tar(part)
    return _Ends(part)


class _Dump:
    """`pg_restore --list` reads the table of contents at the beginning, and then no more."""

    def __init__(self, part: Part, bin_directory: str) -> None:
        self._part = part
        self._said = b""
        self._thread = threading.Thread(target=self._listen, name="vault listing", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._unknown = ""
        program = os.path.join(bin_directory, "pg_restore") if bin_directory else "pg_restore"  # noqa: PTH118
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        try:
            self._process = subprocess.Popen(
                [program, "--list"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        except OSError as error:
            self._unknown = f"{program} cannot be started ({error.strerror})"
        else:
            self._thread.start()

    def _listen(self) -> None:
        """Take what it says, into memory: a disk that is full would look like a bad archive."""
        if self._process and self._process.stdout:
            with self._process.stdout as stream:
                self._said = stream.read()

    def write(self, chunk: bytes) -> None:
        if self._process and self._process.stdin:
            try:
                self._process.stdin.write(chunk)
            except OSError:  # it has read enough
                self._close()

    def _close(self) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.stdin = None

    def finish(self) -> Listing:
        if not self._process:
            return Listing(unknown=self._unknown)
        self._close()
        try:
            code = self._process.wait(_LIST_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return Listing(unknown="pg_restore --list took too long")
        finally:
            self._thread.join()
        text = self._said.decode(errors="replace")
        if code < 0:
            return Listing(unknown=f"pg_restore --list was killed by signal {-code}")
        if code and not text.strip():
            return Listing(unknown=f"pg_restore --list ended with {code} and said nothing")
        if code:
            last = " ".join(text.split())[-200:]
            if "unsupported version" in text:
                return Listing(unknown=f"pg_restore is older than the dump ({last})")
            return Listing(wrong=f"pg_restore cannot list it ({last})")
        lines = [line for line in text.splitlines() if line and not line.startswith(";")]
        missing = [
            table.qualified
            for table in self._part.tables
            if f" TABLE DATA {table.schema} {table.name} " not in text
        ]
        wrong = f"it holds no rows of {', '.join(missing[:5])}, which the manifest names" if missing else ""
        return Listing(entries=len(lines), wrong=wrong)


class _Tar:
    """Counts the members of a tar, in a thread that reads what is written."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._entries = 0
        self._wrong = ""
        reading, writing = os.pipe()
        self._write: IO[bytes] | None = os.fdopen(writing, "wb")
        self._thread = threading.Thread(target=self._run, args=(reading,), name="vault listing", daemon=True)
        self._thread.start()

    def _run(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    for _ in archive:
                        self._entries += 1
                        archive.members = []  # type: ignore[attr-defined] # or its memory would grow
            except (tarfile.TarError, OSError, EOFError, ValueError) as error:
                self._wrong = f"tar cannot list it ({error})"
            while stream.read(1 << 20):  # what follows the end, or the error
                pass

    def write(self, chunk: bytes) -> None:
        if self._write:
            try:
                self._write.write(chunk)
            except OSError:
                self._write = None

    def finish(self) -> Listing:
        if self._write:
            with contextlib.suppress(OSError):
                self._write.close()
        self._thread.join()
        if not self._wrong and self._entries < self._part.files:
            self._wrong = f"it holds {self._entries} entries, and the manifest names {self._part.files} files"
        return Listing(entries=self._entries, wrong=self._wrong)


class _Ends:
    """The beginning and the end of an RDB or of the globals."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._begin = b""
        self._end = b""
        self._lines = 0

    def write(self, chunk: bytes) -> None:
        if len(self._begin) < len(_GLOBALS_END):
            self._begin += bytes(chunk[: len(_GLOBALS_END)])
        self._end = (self._end + bytes(chunk[-256:]))[-256:]
        if self._part.kind == "pg_globals":
            self._lines += bytes(chunk).count(b";\n")

    def finish(self) -> Listing:
        if self._part.kind == "pg_globals":
            whole = self._begin.startswith(_GLOBALS_BEGIN) and _GLOBALS_END in self._end
            return Listing(
                self._lines, "" if whole else "the globals do not begin and end as pg_dumpall writes them"
            )
        if not self._begin.startswith(_RDB):
            return Listing(wrong="it does not begin as an RDB does")
        ended = len(self._end) > _RDB_CHECKSUM and self._end[-_RDB_CHECKSUM - 1] == _RDB_EOF
        return Listing(sum(self._part.keys.values()), "" if ended else "it does not end as an RDB does")
