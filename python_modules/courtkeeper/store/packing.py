"""What is kept compressed: a run's whole record and its output."""

from __future__ import annotations

import msgspec
import zstandard

from courtkeeper.runner.record import RunRecord

_LEVEL = 6  # a run's output shrinks by ten or more; higher levels cost much and gain little
_MOST_BYTES = 1 << 30


def pack_text(text: str) -> bytes:
    """Return `text` by zstd."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(text.encode("utf-8", "replace"))


def unpack_text(data: bytes) -> str:
    """Return what `pack_text` packed."""
    return _unpack(data).decode("utf-8", "replace")


def pack_record(record: RunRecord) -> bytes:
    """Return the record as JSON by zstd."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.json.encode(record))


def unpack_record(data: bytes) -> RunRecord:
    """Return what `pack_record` packed."""
    return msgspec.json.decode(_unpack(data), type=RunRecord)


def _unpack(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=_MOST_BYTES)
