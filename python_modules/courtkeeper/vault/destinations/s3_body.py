"""One part of an upload, as boto3 reads it: chunks that other destinations hold too, and no copy of them."""

from __future__ import annotations

import base64
import hashlib
import io
from bisect import bisect_right
from itertools import accumulate


class Body(io.RawIOBase):
    """Chunks as one file that can be read again from the start."""

    def __init__(self, chunks: list[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._starts = [0, *accumulate(len(chunk) for chunk in chunks)]
        self._at = 0
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in chunks:
            digest.update(chunk)
        self.md5 = digest.hexdigest()
        self.content_md5 = base64.b64encode(digest.digest()).decode()

    def __len__(self) -> int:
        return self._starts[-1]

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read again."""
        return True

    def tell(self) -> int:
        """Return where the next byte is."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self)}[whence]
        self._at = min(max(base + offset, 0), len(self))
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return at most `size` bytes, of one chunk at a time; all of them where no size is given."""
        if size is None or size < 0:
            rest, self._at = b"".join(self._chunks)[self._at :], len(self)
            return rest
        if self._at >= len(self):
            return b""
        number = bisect_right(self._starts, self._at) - 1
        begin = self._at - self._starts[number]
        piece = self._chunks[number][begin : begin + size]
        self._at += len(piece)
        return piece
