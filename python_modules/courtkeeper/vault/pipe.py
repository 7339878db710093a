"""One streaming pipe: source → count and SHA-256 → zstd → age → count and SHA-256 → all destinations at once.

Three kinds of threads: the caller's reads the source, hashes and compresses (zstd has threads of its own),
one seals (pyrage), and one for each destination writes. All queues are bounded, so memory is the same for
any size. What a destination holds before the whole stream was good is not visible there.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import pyrage
import zstandard
from pyrage import x25519

from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault.destinations.base import Destination, DestinationError
from courtkeeper.vault.lanes import Lanes
from courtkeeper.vault.queues import ByteQueue, StoppedError
from courtkeeper.vault.settings import Pace

Chunk = bytes | bytearray | memoryview
# Takes the source's next bytes; they may be reused as soon as it returns.
Write = Callable[[Chunk], None]
# Writes a whole source; raises where it was not good to its last byte.
Produce = Callable[[Write], None]
# Told now and then how many plain bytes have passed.
Progress = Callable[[int], None]

CHUNK = 1 << 20
_MOST_THREADS = 4
_PROGRESS_EVERY_S = 0.5


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What went through, where it lies now, and which destinations do not have it and why."""

    plain_size: int
    plain_sha256: str
    sealed_size: int
    sealed_sha256: str
    good: list[str]
    failed: dict[str, DestinationError]


class _Fan:
    """What pyrage writes to: gathers chunks of a good size, hashes them and sends them to the lanes."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._gathered: list[bytes] = []
        self._bytes = 0
        self.size = 0
        self.digest = hashlib.sha256()
        self.error: Exception | None = None  # pyrage keeps only the text of what a writer raises

    def write(self, data: bytes) -> int:
        self._gathered.append(data)
        self._bytes += len(data)
        if self._bytes >= CHUNK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._bytes:
            chunk = b"".join(self._gathered)
            self._gathered, self._bytes = [], 0
            self.digest.update(chunk)
            self.size += len(chunk)
            try:
                self._lanes.send(chunk)
            except Exception as error:
                self.error = error
                raise


class _Sealing:
    """The thread that seals."""

    def __init__(self, recipients: Sequence[x25519.Recipient], lanes: Lanes) -> None:
        self.queue = ByteQueue()
        self.fan = _Fan(lanes)
        self.error: BaseException | None = None
        self._recipients = list(recipients)
        self._thread = threading.Thread(target=self._run, name="vault sealing", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            pyrage.encrypt_io(self.queue, self.fan, self._recipients)
            self.fan.flush()
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            self.error = self.fan.error or error
            self.queue.stop()

    def wait(self) -> None:
        self._thread.join()
        if isinstance(self.error, CourtkeeperError):
            raise self.error
        if self.error is not None:
            raise CourtkeeperError(f"sealing failed: {' '.join(str(self.error).split())[:200]}")


class _Reading:
    """What the source writes to: counts, hashes, keeps the pace, compresses (unless `packed` already)."""

    def __init__(self, queue: ByteQueue, pace: Pace, progress: Progress, *, packed: bool) -> None:
        # One CPU is the source's: a thread more costs zstd 15 % of its work, and makes nothing faster then.
        threads = pace.threads or max(1, min((os.cpu_count() or 1) - 1, _MOST_THREADS))
        compressor = zstandard.ZstdCompressor(level=pace.level, threads=threads, write_checksum=True)
        self._chunker = None if packed else compressor.chunker(chunk_size=CHUNK)
        self._queue, self._progress = queue, progress
        self._rate = pace.rate_mb_s * 1e6
        self._begun = self._told = time.monotonic()
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: Chunk) -> None:
        self.size += len(data)
        self.digest.update(data)
        if self._chunker is None:
            self._queue.put(bytes(data))
        else:
            for chunk in self._chunker.compress(data):
                self._queue.put(chunk)
        now = time.monotonic()
        if now - self._told > _PROGRESS_EVERY_S:
            self._told = now
            self._progress(self.size)
        if self._rate and (ahead := self.size / self._rate - (now - self._begun)) > 0:
            time.sleep(ahead)

    def finish(self) -> None:
        if self._chunker is not None:
            for chunk in self._chunker.finish():  # type: ignore[no-untyped-call]
                self._queue.put(chunk)
        self._queue.end()
        self._progress(self.size)


def seal(
    produce: Produce,
    key: str,
    destinations: Sequence[Destination],
    recipients: Sequence[x25519.Recipient],
    pace: Pace,
    *,
    expected: int = 0,
    packed: bool = False,
    progress: Progress = lambda _: None,
) -> Sealed:
    """Send what `produce` writes, sealed, to the object `key` of every destination.

    Where `produce` raises, its error is raised and no destination keeps anything. A destination that fails is
    in `failed`; when all do, DestinationError is raised and the source is not read any further. `expected`:
    about how many plain bytes there are (0: unknown). `packed`: what is written is compressed already.
    """
    lanes = Lanes(destinations, key, expected, pace.patience_s)
    sealing = _Sealing(recipients, lanes)
    reading = _Reading(sealing.queue, pace, progress, packed=packed)
    try:
        try:
            produce(reading.write)
            reading.finish()
        except StoppedError:
            sealing.wait()  # raises why
            raise
        sealing.wait()
        good = lanes.commit()
    except BaseException:
        sealing.queue.stop()
        lanes.abort("the backup was given up")
        raise
    return Sealed(
        plain_size=reading.size,
        plain_sha256=reading.digest.hexdigest(),
        sealed_size=sealing.fan.size,
        sealed_sha256=sealing.fan.digest.hexdigest(),
        good=good,
        failed=lanes.failures,
    )
