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

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._latest: dict[str, str] | None = None

    def put(self, key: str, payload: bytes, *, now: datetime) -> str:
        """Keep `payload` as the answer to the request `key`; return its SHA-256.

        Raises CourtkeeperError where it cannot be written (a full disk, no permission).
        """
        digest = hashlib.sha256(payload).hexdigest()
        try:
            self._write(digest, payload)
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

    def latest(self, key: str) -> str | None:
        """SHA-256 of the newest answer to the request `key`, or None."""
        if self._latest is None:
            self._latest = self._read_index()
        return self._latest.get(key)

    def _path(self, digest: str) -> Path:
        return self._directory / digest[:2] / f"{digest}.zst"

    def _write(self, digest: str, payload: bytes) -> None:
        path = self._path(digest)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
            try:
                part.write(zstandard.ZstdCompressor(level=9).compress(payload))
                part.flush()
                os.fsync(part.fileno())
                Path(part.name).replace(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise

    def _append(self, entry: _Entry) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        with (self._directory / "index.jsonl").open("ab") as index:
            index.write(line)
        if self._latest is not None:
            self._latest[entry.key] = entry.sha256

    def _read_index(self) -> dict[str, str]:
        """Read the index; a line that a crash cut short is passed over."""
        latest: dict[str, str] = {}
        try:
            with (self._directory / "index.jsonl").open("rb") as index:
                for line in index:
                    try:
                        entry = msgspec.json.decode(line, type=_Entry)
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        continue
                    latest[entry.key] = entry.sha256
        except FileNotFoundError:
            pass
        return latest


def _write_problem(directory: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: cannot write a payload under {directory}; free space there and run again"
    return f"cannot write a payload under {directory}: {error.strerror or error}"
