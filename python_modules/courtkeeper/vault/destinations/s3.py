"""An S3 bucket, of Amazon's or of anything that speaks the same: multipart uploads in constant memory.

What was acknowledged is compared: each part's ETag with the MD5 that we sent, and at the end the object's
size. So a part that the store lost, or cut short, does not become an object that looks good.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.destinations.base import DestinationError, MissingError, Stored, Why
from courtkeeper.vault.destinations.s3_upload import ObjectUpload
from courtkeeper.vault.settings import S3Settings

try:
    import boto3
    from botocore import exceptions as errors
    from botocore.config import Config
except ImportError as error:
    if not TYPE_CHECKING:
        raise ConfigurationError(
            "an S3 destination needs boto3: install it with `pip install -e '.[s3]'` in the checkout"
        ) from error

_CHUNK = 1 << 20
_READS = 4
_DENIED = {
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "403",
}
_NO_PLACE = {"NoSuchBucket", "PermanentRedirect", "IllegalLocationConstraintException", "301"}
_MISSING = {"NoSuchKey", "404", "NotFound", "NoSuchVersion"}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500", "502", "504"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "507"}
# Codes that come with 403, and that other keys do not mend.
_MEND_ONE = {
    "RequestTimeTooSkewed": "set this machine's clock, or the store's",
    "InvalidObjectState": "take the object out of its archive class, and let no lifecycle put backups there",
}
_NO_KEYS = (errors.NoCredentialsError, errors.PartialCredentialsError, errors.CredentialRetrievalError)
_MEND: dict[Why, str] = {
    "full": "make room, raise its quota, or let old backups go",
    "denied": "mend its keys, or let them list, read and write the bucket",
    "missing_place": "mend the name of the bucket or its region",
    "busy": "it was tried several times; it may pass by itself",
    "unreachable": "mend the address, the network or ca_file",
}
_TOKEN = re.compile(r"[A-Za-z0-9+/=]{33,}")
_MAKING = threading.Lock()


class S3Destination:
    """Objects are keys behind `prefix` in `bucket`."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._prefix = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        self.client = _client(settings)

    @property
    def name(self) -> str:
        """The name that the settings give it."""
        return self.settings.name

    @property
    def where(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.settings.bucket}/{self._prefix}"

    def prepare(self) -> None:
        """See that the bucket is there and may be looked into. A probe would stay in a locked bucket."""
        with self.explained():
            self.client.list_objects_v2(Bucket=self.settings.bucket, Prefix=self._prefix, MaxKeys=1)

    def begin(self, key: str, expected: int) -> ObjectUpload:
        """Begin an object; nothing is sent before the first part is full."""
        return ObjectUpload(self, key, expected)

    def put(self, key: str, content: bytes) -> None:
        """Store a small object."""
        upload = self.begin(key, len(content))
        try:
            upload.write(content)
            upload.commit()
        except DestinationError:
            upload.abort()
            raise

    def read(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes; a connection that breaks off is taken up again where it broke."""
        end = None if length is None else offset + length
        etag, at = "", offset
        for left in reversed(range(_READS)):
            try:
                with self.explained(key):
                    body, etag, end = self._opened(key, at, end, etag)
                    with contextlib.closing(body):
                        while chunk := body.read(_CHUNK):
                            at += len(chunk)
                            yield chunk
            except DestinationError as error:
                if error.why not in ("unreachable", "busy") or not left:
                    raise
            if end is not None and etag and at >= end:
                return
        raise DestinationError(
            f"destination {self.name}: {key} breaks off after {at} of {end} bytes", "unreachable"
        )

    def _opened(self, key: str, at: int, end: int | None, etag: str) -> tuple[Any, str, int]:
        """Return the body from `at` on, the object's ETag and where its range ends."""
        more: dict[str, str] = {"IfMatch": etag} if etag else {}
        if at or end is not None:
            more["Range"] = f"bytes={at}-{'' if end is None else end - 1}"
        answer = self.client.get_object(Bucket=self.settings.bucket, Key=self.path(key), **more)
        reaches = at + int(answer["ContentLength"])
        return answer["Body"], str(answer["ETag"]), max(reaches, end or 0) if etag else reaches

    def listing(self, prefix: str) -> Iterator[Stored]:
        """Yield the objects whose keys begin with `prefix`."""
        with self.explained():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.settings.bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    key = entry["Key"].removeprefix(self._prefix)
                    yield Stored(key, int(entry["Size"]), entry["LastModified"].astimezone(UTC))

    def stat(self, key: str) -> Stored | None:
        """Return one object's facts; None if there is no such object."""
        try:
            with self.explained(key):
                facts = self.client.head_object(Bucket=self.settings.bucket, Key=self.path(key))
        except MissingError:
            return None
        return Stored(key, int(facts["ContentLength"]), facts["LastModified"].astimezone(UTC))

    def delete(self, key: str) -> None:
        """Remove an object. In a bucket with versions it is hidden, and its versions stay."""
        with self.explained():
            self.client.delete_object(Bucket=self.settings.bucket, Key=self.path(key))

    def sweep(self, prefix: str, older_than_s: float) -> list[str]:
        """Abort the multipart uploads that a killed backup left; their parts cost money and show nowhere."""
        limit = datetime.now(UTC) - timedelta(seconds=older_than_s)
        gone = []
        with self.explained():
            pages = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.settings.bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Uploads", ()):
                    if entry["Initiated"].astimezone(UTC) < limit:
                        self.client.abort_multipart_upload(
                            Bucket=self.settings.bucket, Key=entry["Key"], UploadId=entry["UploadId"]
                        )
                        gone.append(entry["Key"].removeprefix(self._prefix))
        return sorted(gone)

    def path(self, key: str) -> str:
        """Return the whole key in the bucket."""
        return self._prefix + key

    @contextlib.contextmanager
    def explained(self, key: str = "") -> Iterator[None]:
        """Turn what boto3 raises into one sentence that names the destination and no secret."""
        try:
            yield
        except errors.ClientError as error:
            raise self._refused(error, key) from error
        except _NO_KEYS as error:
            raise self._problem("denied", _short(error)) from error
        except (errors.BotoCoreError, OSError) as error:
            raise self._problem("unreachable", _short(error)) from error

    def _refused(self, error: errors.ClientError, key: str) -> DestinationError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        if code in _NO_PLACE:
            return self._problem("missing_place", code)
        if key and (code in _MISSING or status == "404"):
            return MissingError(f"{key} is not on {self.name} ({self.where})")
        if code in _FULL or status == "507":
            return self._problem("full", code)
        if code in _MEND_ONE:
            return self._problem("denied", _short(error), _MEND_ONE[code])
        if code in _DENIED or status == "403":
            return self._problem("denied", _short(error))
        if code in _BUSY or status.startswith("5"):
            return self._problem("busy", code)
        return self._problem("missing_place" if status == "404" else "other", _short(error))

    def _problem(self, why: Why, text: str, mend: str = "") -> DestinationError:
        mend = mend or _MEND.get(why, "")
        return DestinationError(f"destination {self.name} ({self.where}): {text}{mend and f': {mend}'}", why)


def _client(settings: S3Settings) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    try:
        with _MAKING:  # a session is not for two threads at once
            return _session(settings).client(
                "s3",
                region_name=settings.region or None,
                endpoint_url=settings.endpoint_url or None,
                aws_access_key_id=settings.access_key or None,
                aws_secret_access_key=settings.secret_key or None,
                aws_session_token=settings.session_token or None,
                verify=settings.ca_file or True,
                config=Config(
                    signature_version="s3v4",
                    connect_timeout=min(settings.timeout_s, 10.0),
                    read_timeout=settings.timeout_s,
                    retries={"total_max_attempts": settings.attempts, "mode": "standard"},
                    s3={"addressing_style": "path" if settings.path_style else "auto"},
                    # Other stores than Amazon's refuse what they do not know; we send Content-MD5.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
    except (errors.BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"destination {settings.name} cannot be set up: {_short(error)}") from error


def _session(settings: S3Settings) -> Any:  # noqa: ANN401
    """Return what makes the client: one for all that are given keys, as its start takes most of the time.

    A session remembers the keys that it found by itself, so whoever is to look for them has a new one.
    """
    return _shared_session() if settings.access_key else boto3.session.Session()


@functools.cache
def _shared_session() -> Any:  # noqa: ANN401
    return boto3.session.Session()


def _short(error: BaseException) -> str:
    """Return what an error says, without what might be a key."""
    return _TOKEN.sub("…", " ".join(str(error).split()))[:200]
