"""The pipe the other way: destination → count and SHA-256 → age → zstd → count and SHA-256 → a writer.

What is written out is known to be good only when `unseal` returns: until then it belongs to the side.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, cast

import pyrage
import zstandard
from pyrage import x25519

from courtkeeper.vault.destinations.base import Destination, DestinationError
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.queues import ByteQueue, StoppedError

_GATHER = 256 << 10
_PIECE = 1 << 20

Write = Callable[[bytes], object]
Progress = Callable[[int], None]


class DamagedError(DestinationError):
    """A part is not what its manifest says: damaged, cut short, or swapped."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "damaged")


class WrongKeyError(DestinationError):
    """None of the identities opens it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "denied")


def unseal(
    destination: Destination,
    prefix: str,
    part: Part,
    identities: Sequence[x25519.Identity],
    write: Write,
    *,
    progress: Progress = lambda _: None,
) -> None:
    """Write the plain bytes of one part of the backup under `prefix`.

    Raises DamagedError where they are not those of the manifest, WrongKeyError where no identity opens them,
    DestinationError where the destination fails, and what `write` raises. `progress` is told the plain bytes.
    """
    where = f"{prefix}{part.name} on {destination.name}"
    _opened(
        destination,
        prefix,
        part,
        identities,
        lambda queue: _expand(queue, part, write, where, progress),
    )


def unseal_packed(
    destination: Destination,
    prefix: str,
    part: Part,
    identities: Sequence[x25519.Identity],
    write: Write,
) -> None:
    """Write what is sealed in one part as it is: still compressed. Raises as `unseal`."""

    def passed(queue: ByteQueue) -> None:
        while chunk := queue.take():
            write(chunk)

    _opened(destination, prefix, part, identities, passed)


def _opened(
    destination: Destination,
    prefix: str,
    part: Part,
    identities: Sequence[x25519.Identity],
    consume: Callable[[ByteQueue], None],
) -> None:
    """Hand what is sealed in a part to `consume`, which reads it to its end, and judge it then."""
    fetching = _Fetching(destination, prefix, part)
    opening = _Opening(fetching, identities)
    where = f"{prefix}{part.name} on {destination.name}"
    try:
        consume(opening.queue)
    except StoppedError:
        raise opening.reason(where) from None
    finally:
        fetching.stop()
        opening.queue.stop()
        opening.join()
    if fetching.error:
        raise fetching.error
    fetching.require_good(where)


def fetch(destination: Destination, prefix: str, part: Part) -> Iterator[bytes]:
    """Yield the sealed bytes of one part; raise DamagedError at their end unless they are the manifest's."""
    digest, size = hashlib.sha256(), 0
    for chunk in destination.read(prefix + part.name):
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    if (size, digest.hexdigest()) != (part.sealed_size, part.sealed_sha256):
        raise _damaged(f"{prefix}{part.name} on {destination.name}", size, part.sealed_size)


class _Fetching:
    """The thread that reads the destination and hashes what it reads."""

    def __init__(self, destination: Destination, prefix: str, part: Part) -> None:
        self.queue = ByteQueue()
        self.error: DestinationError | None = None
        self._part = part
        self._size, self._digest = 0, hashlib.sha256()
        self._thread = threading.Thread(
            target=self._run, args=(destination, prefix + part.name), name="vault fetching", daemon=True
        )
        self._thread.start()

    def _run(self, destination: Destination, key: str) -> None:
        try:
            for chunk in destination.read(key):
                self._digest.update(chunk)
                self._size += len(chunk)
                self.queue.put(chunk)
        except StoppedError:
            return
        except DestinationError as error:
            self.error = error
            self.queue.stop()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            self.error = DestinationError(
                f"destination {destination.name}: {' '.join(str(error).split())[:200]}"
            )
            self.queue.stop()
        else:
            self.queue.end()

    def stop(self) -> None:
        self.queue.stop()
        self._thread.join()

    def require_good(self, where: str) -> None:
        if (self._size, self._digest.hexdigest()) != (self._part.sealed_size, self._part.sealed_sha256):
            raise _damaged(where, self._size, self._part.sealed_size)


class _Opening:
    """The thread that decrypts."""

    def __init__(self, fetching: _Fetching, identities: Sequence[x25519.Identity]) -> None:
        self.queue = ByteQueue()
        self._fetching = fetching
        self._error = ""
        self._gathered: list[bytes] = []
        self._bytes = 0
        self._thread = threading.Thread(
            target=self._run, args=(list(identities),), name="vault opening", daemon=True
        )
        self._thread.start()

    def _run(self, identities: list[x25519.Identity]) -> None:
        try:
            pyrage.decrypt_io(self._fetching.queue, self, identities)
            self.flush()
        except BaseException as error:  # noqa: BLE001 - told to the caller's thread by `reason`
            self._error = " ".join(str(error).split())[:200]
            self.queue.stop()
        else:
            self.queue.end()

    def write(self, data: bytes) -> int:
        self._gathered.append(data)
        self._bytes += len(data)
        if self._bytes >= _GATHER:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._bytes:
            chunk = b"".join(self._gathered)
            self._gathered, self._bytes = [], 0
            self.queue.put(chunk)

    def join(self) -> None:
        self._thread.join()

    def reason(self, where: str) -> DestinationError:
        self.join()
        if self._fetching.error:
            return self._fetching.error
        if "No matching keys" in self._error:
            return WrongKeyError(f"none of the identities opens {where}: it was sealed for other recipients")
        return DamagedError(f"{where} cannot be opened ({self._error}): it is damaged or cut short")


def _expand(queue: ByteQueue, part: Part, write: Write, where: str, progress: Progress) -> None:
    """Decompress what is opened, and write it; compare size and SHA-256 at the end."""
    digest, size = hashlib.sha256(), 0
    try:
        # Read in pieces: a small chunk of zeros may be gigabytes.
        with zstandard.ZstdDecompressor().stream_reader(
            cast("IO[bytes]", queue), read_size=_GATHER, closefd=False
        ) as expanding:
            while plain := expanding.read(_PIECE):
                digest.update(plain)
                size += len(plain)
                if size > part.plain_size:
                    raise _damaged(where, size, part.plain_size)
                write(plain)
                progress(size)
        while queue.take():  # what age has behind the frame: its own end has to be seen
            pass
    except zstandard.ZstdError as error:
        raise DamagedError(f"{where} cannot be decompressed ({error}): it is damaged") from None
    if (size, digest.hexdigest()) != (part.plain_size, part.plain_sha256):
        raise _damaged(where, size, part.plain_size)


def _damaged(where: str, size: int, expected: int) -> DamagedError:
    what = "its SHA-256 is another" if size == expected else f"it has {size} bytes instead of {expected}"
    return DamagedError(f"{where} is not what its manifest says: {what}")
