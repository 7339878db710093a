"""What every destination promises, asked of a directory and of S3 over TLS alike."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.vault.destinations import Destination, DestinationError, MissingError, destination
from courtkeeper.vault.settings import vault_from
from support.refusing import refusing
from support.s3 import S3


def made(entry: dict[str, object]) -> Destination:
    settings = vault_from({"name": "nba", "destinations": [entry]}, sealing=False)
    return destination(settings.destinations[0])


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    """An empty destination."""
    if request.param == "s3":
        return made(request.getfixturevalue("s3").destination(prefix="some/prefix", part_mb=5))
    return made({"name": "local", "kind": "directory", "path": str(tmp_path / "local")})


def test_an_object_is_seen_when_it_is_committed_and_not_before(place: Destination) -> None:
    place.prepare()
    body = os.urandom(12_000_001)
    upload = place.begin("nba/database/x/data", len(body))
    for start in range(0, len(body), 1 << 20):
        upload.write(body[start : start + (1 << 20)])
    assert list(place.listing("nba/")) == []
    assert place.stat("nba/database/x/data") is None
    upload.commit()

    (stored,) = place.listing("nba/")
    assert (stored.key, stored.size) == ("nba/database/x/data", len(body))
    assert hashlib.sha256(b"".join(place.read(stored.key))).digest() == hashlib.sha256(body).digest()
    assert b"".join(place.read(stored.key, 100, 50)) == body[100:150]
    assert b"".join(place.read(stored.key, 12_000_000)) == body[12_000_000:]
    place.delete(stored.key)
    place.delete(stored.key)
    assert place.stat(stored.key) is None


@pytest.mark.parametrize("size", [0, 1000, 6_000_000])
def test_an_aborted_object_leaves_nothing(
    place: Destination, size: int, request: pytest.FixtureRequest
) -> None:
    place.prepare()
    upload = place.begin("nba/database/x/data", 0)
    upload.write(bytes(size))
    upload.abort()
    assert list(place.listing("")) == []
    assert place.sweep("nba/", 0.0) == []


def test_small_objects_are_put_whole(place: Destination) -> None:
    place.prepare()
    place.put("nba/a", b"one")
    place.put("nba/a", b"two")
    place.put("nba/empty", b"")
    assert b"".join(place.read("nba/a")) == b"two"
    assert [(stored.key, stored.size) for stored in place.listing("nba/")] == [("nba/a", 3), ("nba/empty", 0)]


def test_what_is_not_there_is_missing(place: Destination) -> None:
    place.prepare()
    with pytest.raises(MissingError):
        list(place.read("nba/nothing"))


def test_uploads_that_were_killed_are_swept(place: Destination) -> None:
    place.prepare()
    upload = place.begin("nba/database/x/data", 0)
    upload.write(bytes(6_000_000))
    assert len(place.sweep("nba/", -10.0)) == 1
    assert place.sweep("nba/", -10.0) == []


def test_an_upload_that_another_writer_ends_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made({"name": "local", "kind": "directory", "path": str(tmp_path)})
    upload = place.begin("nba/database/x/data", 0)
    walk = os.walk

    def meanwhile(*arguments: Any, **more: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        for found in walk(*arguments, **more):
            upload.abort()
            yield found

    monkeypatch.setattr(os, "walk", meanwhile)
    assert place.sweep("nba/", -10.0) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"bucket": "no-such-bucket"}, "missing_place"),
        ({"endpoint_url": "https://127.0.0.1:9"}, "unreachable"),
    ],
)
def test_s3_says_what_is_wrong(s3: S3, wrong: dict[str, str], why: str) -> None:
    place = made({**s3.destination(), "attempts": 1, **wrong})
    with pytest.raises(DestinationError, match="destination remote") as raised:
        place.prepare()
    assert raised.value.why == why


@pytest.mark.parametrize(
    ("status", "code", "why", "mend"),
    [
        (403, "AccessDenied", "denied", "mend its keys"),
        (403, "RequestTimeTooSkewed", "denied", "set this machine's clock"),
        (403, "InvalidObjectState", "denied", "out of its archive class"),
        (403, "QuotaExceeded", "full", "raise its quota"),
        (507, "XMinioStorageFull", "full", "make room"),
    ],
)
def test_s3_says_what_mends_a_refusal(s3: S3, status: int, code: str, why: str, mend: str) -> None:
    with refusing(s3, status, code) as url:
        place = made({**s3.destination(), "attempts": 1, "endpoint_url": url})
        with pytest.raises(DestinationError, match=mend) as raised:
            list(place.read("nba/a"))
    assert raised.value.why == why


def test_s3_without_keys_says_so(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    place = made({**s3.destination(), "attempts": 1, "access_key": "", "secret_key": ""})
    with pytest.raises(DestinationError, match="mend its keys") as raised:
        place.prepare()
    assert raised.value.why == "denied"


def test_s3_with_another_ca_is_not_trusted(s3: S3) -> None:
    place = made({**s3.destination(), "attempts": 1, "ca_file": ""})
    with pytest.raises(DestinationError, match="SSL") as raised:
        place.prepare()
    assert raised.value.why == "unreachable"
