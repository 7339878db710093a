"""One object on its way into a bucket, in parts that are sent two at a time."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from courtkeeper.vault.destinations.base import DestinationError

if TYPE_CHECKING:
    from courtkeeper.vault.destinations.s3 import S3Destination

# S3's own limit (Amazon S3 user guide, "Multipart upload limits"); what is planned stays below it.
_MOST_PARTS = 10_000
_PLANNED_PARTS = 9_000
_LARGEST_PART = 64 << 20
_AT_ONCE = 2
_MD5 = re.compile(r"[0-9a-f]{32}")


class ObjectUpload:
    """Bytes are gathered to parts; what fits into one part is a single put."""

    def __init__(self, destination: S3Destination, key: str, expected: int) -> None:
        self._destination, self._key = destination, key
        settings = destination.settings
        self._part_bytes = min(max(settings.part_mb << 20, expected // _PLANNED_PARTS), _LARGEST_PART)
        self._place = {"Bucket": settings.bucket, "Key": destination.path(key)}
        self._kind = _kind_of_storage(settings.storage_class, settings.server_side_encryption)
        self._checked = "kms" not in settings.server_side_encryption  # whose ETags are no MD5
        self._gathered = bytearray()
        self._sent: list[Future[str]] = []
        self._upload_id = ""
        self._size = 0
        self._pool: ThreadPoolExecutor | None = None

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; send a part when there is one, and wait while two are on their way."""
        view = memoryview(chunk)
        while view:
            taken = view[: self._part_bytes - len(self._gathered)]
            self._gathered += taken
            view = view[len(taken) :]
            if len(self._gathered) >= self._part_bytes:
                self._send()

    def commit(self) -> None:
        """Put the object together, and see that it is as large as what was sent."""
        destination = self._destination
        if not self._upload_id:
            body = bytes(self._gathered)
            self._size = len(body)
            with destination.explained():
                answer = destination.client.put_object(
                    **self._place, **self._kind, Body=body, ContentMD5=_content_md5(body)
                )
            self._require_same(str(answer["ETag"]), body)
        else:
            if self._gathered:
                self._send()
            etags = [future.result() for future in self._sent]
            parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
            with destination.explained():
                destination.client.complete_multipart_upload(
                    **self._place, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
                )
        self._close()
        stored = destination.stat(self._key)
        if stored is None or stored.size != self._size:
            self._undone()
            there = "is not there" if stored is None else f"has {stored.size} bytes instead of {self._size}"
            raise self._damaged(f"{self._key} was taken, and {there}")

    def abort(self) -> None:
        """Give the parts up."""
        self._gathered.clear()
        for future in self._sent:
            future.cancel()
        self._close()
        if self._upload_id:
            with contextlib.suppress(DestinationError), self._destination.explained():
                self._destination.client.abort_multipart_upload(**self._place, UploadId=self._upload_id)
            self._upload_id = ""

    def _send(self) -> None:
        if not self._upload_id:
            self._begun()
        if len(self._sent) >= _MOST_PARTS:
            raise DestinationError(
                f"destination {self._destination.name}: {self._key} needs more than {_MOST_PARTS} parts: "
                "raise part_mb, or back up fewer things in one source"
            )
        body = bytes(self._gathered)
        self._gathered.clear()
        self._size += len(body)
        if len(self._sent) >= _AT_ONCE:
            self._sent[-_AT_ONCE].result()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="vault part")
        self._sent.append(self._pool.submit(self._sent_part, len(self._sent) + 1, body))

    def _begun(self) -> None:
        with self._destination.explained():
            answer = self._destination.client.create_multipart_upload(**self._place, **self._kind)
        self._upload_id = str(answer["UploadId"])

    def _sent_part(self, number: int, body: bytes) -> str:
        with self._destination.explained():
            answer: dict[str, Any] = self._destination.client.upload_part(
                **self._place,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=body,
                ContentMD5=_content_md5(body),
            )
        etag = str(answer["ETag"])
        self._require_same(etag, body)
        return etag

    def _require_same(self, etag: str, body: bytes) -> None:
        plain = etag.strip('"')
        expected = hashlib.md5(body, usedforsecurity=False).hexdigest()
        if self._checked and _MD5.fullmatch(plain) and plain != expected:
            raise self._damaged(f"a part of {self._key} arrived as something else")

    def _undone(self) -> None:
        """Take away an object that is not what was sent; nothing else has this key."""
        self._upload_id = ""
        with contextlib.suppress(DestinationError):
            self._destination.delete(self._key)

    def _damaged(self, text: str) -> DestinationError:
        return DestinationError(f"destination {self._destination.name}: {text}", "damaged")

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _content_md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _kind_of_storage(storage_class: str, encryption: str) -> dict[str, str]:
    told = {"StorageClass": storage_class, "ServerSideEncryption": encryption}
    return {key: word for key, word in told.items() if word}
