"""Every raw payload, compressed and named by its content, so that parsing can be redone
without the network.

Layout under the store's directory: `ab/abcdef….zst` for the bytes (SHA-256 of the plain
bytes), and `index.jsonl` with one line for every answer: when, which request, which content.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
import zstandard

from courtkeeper.findings import CourtkeeperError


class _Entry(msgspec.Struct):
    fetched_at: datetime
    key: str
    sha256: str


class PayloadStore:
    """A directory of payloads. Safe against a crash at any point: files appear whole or not at all."""

    def __init__(self, directory: Path, trace: Callable[[str], None] = lambda _step: None) -> None:
        self._directory = directory
        self._trace = trace
        self._index: dict[str, list[str]] | None = None

    def put(self, key: str, payload: bytes, *, now: datetime) -> str:
        """Keep `payload` as the answer to the request `key`; return its SHA-256.

        An empty object is kept, but never as the answer to return to: it says nothing.
        Raises CourtkeeperError where it cannot be written (a full disk, no permission).
        """
        digest = hashlib.sha256(payload).hexdigest()
        try:
            self._write(digest, payload)
            self._trace(f"payload of {key} written")
            if payload.strip() != b"{}":
                self._append(_Entry(now, key, digest))
        except OSError as error:
            raise CourtkeeperError(_write_problem(self._directory, error)) from error
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes with this SHA-256. Raises CourtkeeperError where they are lost or damaged."""
        path = self._path(digest)
        try:
            payload = zstandard.ZstdDecompressor().decompress(path.read_bytes())
        except (OSError, zstandard.ZstdError) as error:
            raise CourtkeeperError(
                f"payload {path} cannot be read ({error}); fetch the game again"
            ) from error
        if hashlib.sha256(payload).hexdigest() != digest:
            raise CourtkeeperError(f"payload {path} is damaged: its content is not what its name says")
        return payload

    def versions(self, key: str) -> list[str]:
        """SHA-256 of every different answer to the request `key`, the newest first."""
        if self._index is None:
            self._index = self._read_index()
        newest_first = reversed(self._index.get(key, []))
        return list(dict.fromkeys(newest_first))

    def _path(self, digest: str) -> Path:
        return self._directory / digest[:2] / f"{digest}.zst"

    def _write(self, digest: str, payload: bytes) -> None:
        path = self._path(digest)
        if self._holds(path, payload):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
            try:
                part.write(zstandard.ZstdCompressor(level=9).compress(payload))
                part.flush()
                os.fsync(part.fileno())
                self._trace(f"payload {digest[:8]} about to be named")
                Path(part.name).replace(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise

    @staticmethod
    def _holds(path: Path, payload: bytes) -> bool:
        """Tell whether the file is there and undamaged; a damaged one is written anew."""
        try:
            return zstandard.ZstdDecompressor().decompress(path.read_bytes()) == payload
        except (FileNotFoundError, zstandard.ZstdError):
            return False

    def _append(self, entry: _Entry) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        with (self._directory / "index.jsonl").open("a+b") as index:
            if index.seek(0, os.SEEK_END):
                index.seek(-1, os.SEEK_END)
                if index.read(1) != b"\n":  # a crash cut the last line short
                    line = b"\n" + line
            index.write(line)
        if self._index is not None:
            self._index.setdefault(entry.key, []).append(entry.sha256)

    def _read_index(self) -> dict[str, list[str]]:
        """Read the index; a line that a crash cut short is passed over."""
        found: dict[str, list[str]] = {}
        try:
            with (self._directory / "index.jsonl").open("rb") as index:
                for line in index:
                    try:
                        entry = msgspec.json.decode(line, type=_Entry)
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        continue
                    found.setdefault(entry.key, []).append(entry.sha256)
        except FileNotFoundError:
            pass
        return found


def _write_problem(directory: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: cannot write a payload under {directory}; free space there and run again"
    return f"cannot write a payload under {directory}: {error.strerror or error}"
