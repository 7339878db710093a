"""The manifest: what is written is read, and nothing else is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.manifest import Manifest, ManifestError, Part, Table
from support.examples import examples

NOW = datetime(2026, 2, 12, 6, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def sample(**more: Any) -> Manifest:
    told: dict[str, Any] = {
        "vault": "nba",
        "source": "database",
        "kind": "postgres",
        "id": manifests.new_id(NOW),
        "taken_at": NOW,
        "finished_at": NOW,
        "duration_s": 1.25,
        "recipients": ["age1x"],
        "parts": [
            Part(
                name="nba.dump.zst.age",
                kind="pg_dump",
                plain_size=3,
                plain_sha256="0" * 64,
                sealed_size=4,
                sealed_sha256="1" * 64,
                database="nba",
                tables=[
                    Table(schema="public", name="Spiele \u2713", rows=3, checksum="-17", method="record")
                ],
            )
        ],
    }
    return Manifest(**{**told, **more})


@pytest.mark.parametrize("key", [None, KEY])
def test_what_is_written_is_read(key: Ed25519PrivateKey | None) -> None:
    made = sample()
    file = manifests.write(made, key)
    assert manifests.read(file, "here", [manifests.signer_of(KEY)] if key else []) == made
    assert made.prefix == f"nba/database/{made.id}/"
    assert json.loads(file)["manifest"]["parts"][0]["tables"][0]["rows"] == 3


@examples(300)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_every_changed_byte_is_seen(at: int, byte: int) -> None:
    made = sample()
    file = bytearray(manifests.write(made, KEY))
    at %= len(file) - 1  # the line end at the end is nobody's
    if file[at] == byte:
        return
    file[at] = byte
    try:
        found = manifests.read(bytes(file), "here", [manifests.signer_of(KEY)])
    except ManifestError:
        return
    assert found == made, "a change that nobody sees changes nothing"


@examples(300)
@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_what_is_no_manifest_is_refused(file: bytes) -> None:
    with pytest.raises(ManifestError, match="here"):
        manifests.read(file, "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@examples(300)
@given(field=st.sampled_from(sorted(msgspec.to_builtins(sample()))), value=JSON)
def test_a_sealed_manifest_with_nonsense_in_it_is_refused_or_sensible(field: str, value: Any) -> None:
    import hashlib

    plain = {**msgspec.to_builtins(sample()), field: value}
    content = manifests.canonical(plain)
    seal = {"sha256": hashlib.sha256(content).hexdigest()}
    file = b'{"manifest":' + content + b',"seal":' + manifests.canonical(seal) + b"}\n"
    try:
        found = manifests.read(file, "here")
    except ManifestError:
        return
    assert found.prefix.count("/") == 3
    assert ".." not in found.prefix


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"parts": []},
        {"vault": "../other"},
        {"id": "20260212T060000Z-zz"},
        {"taken_at": "2026-02-12T06:00:00"},
        {"unknown": 1},
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    import hashlib

    content = manifests.canonical({**msgspec.to_builtins(sample()), **changes})
    seal = manifests.canonical({"sha256": hashlib.sha256(content).hexdigest()})
    with pytest.raises(ManifestError, match="here"):
        manifests.read(b'{"manifest":' + content + b',"seal":' + seal + b"}\n", "here")


def test_a_part_cannot_lead_out_of_its_directory() -> None:
    part = sample().parts[0]
    for name in ("../x", "/etc/passwd", "a/b", "", ".hidden", "manifest.json", "a\nb"):
        made = sample(parts=[msgspec.structs.replace(part, name=name)])
        with pytest.raises(ManifestError):
            manifests.read(manifests.write(made), "here")


def test_a_signature_of_somebody_else_does_not_count() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
    file = manifests.write(sample(), other)
    assert manifests.read(file, "here")
    with pytest.raises(ManifestError, match="not among signers"):
        manifests.read(file, "here", [manifests.signer_of(KEY)])
    with pytest.raises(ManifestError, match="not signed"):
        manifests.read(manifests.write(sample()), "here", [manifests.signer_of(KEY)])
    swapped = file.replace(manifests.signer_of(other).encode(), manifests.signer_of(KEY).encode())
    with pytest.raises(ManifestError, match="false"):
        manifests.read(swapped, "here", [manifests.signer_of(KEY)])
