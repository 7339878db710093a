"""The manifest: what a backup is, written last. A backup exists only when its manifest does.

How tampering is seen. A manifest is canonical JSON (sorted keys, no space, UTF-8) in an envelope

    {"manifest": {…}, "seal": {"sha256": "…", "signature": "…", "signer": "…"}}

`sha256` is that of the canonical bytes of `manifest`: it shows damage and a careless edit. `signature` is
Ed25519 over the same bytes by the platform's signing key: it shows a forger who can write to the bucket. A
reader that is told `signers` refuses what none of them signed; one that is not told (an empty host that is
rebuilt, with nothing but an identity) gets the digest's protection and the signer's name to compare with the
paper copy. The parts themselves are named with size and SHA-256, sealed and plain, so what the manifest
vouches for cannot be swapped. What is not canonical, too large or of an unknown version is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from courtkeeper.findings import CourtkeeperError

VERSION = 1
NAME = "manifest.json"
# A server with 100 000 tables has about 20 MB of checksums.
MAX_BYTES = 64 << 20

Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Size = Annotated[int, msgspec.Meta(ge=0)]
# A plain file name: what a manifest says must not lead out of its own directory.
PartName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.%-]{0,250}\Z")]
Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9_.-]{0,62}\Z")]
BackupId = Annotated[str, msgspec.Meta(pattern=r"\A\d{8}T\d{6}Z-[0-9a-f]{8}\Z")]
PartKind = Literal["pg_dump", "pg_globals", "redis_rdb", "tar"]

_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


class ManifestError(CourtkeeperError):
    """A manifest that is not to be trusted; the message names it and says why."""


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One table as it was in the dump's snapshot.

    `checksum` is the decimal sum over all rows of a 64-bit hash, by `method` (courtkeeper.vault.tables);
    the order of rows is no part of it. `rows` and `checksum` are null where `unknown` says why.
    """

    schema: str
    name: str
    rows: Size | None = None
    checksum: str | None = None
    method: str = ""
    unknown: str = ""

    @property
    def qualified(self) -> str:
        """`public.games`."""
        return f"{self.schema}.{self.name}"


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sealed file of a backup: `<plain> | zstd | age`. Sizes in bytes.

    `database` and `tables` are of a pg_dump, `keys` (about, by database number) of a redis_rdb, `files` and
    `roots` of a tar; `changed` names what changed while it was read.
    """

    name: PartName
    kind: PartKind
    plain_size: Size
    plain_sha256: Sha256
    sealed_size: Size
    sealed_sha256: Sha256
    database: str = ""
    tables: list[Table] = []
    keys: dict[str, int] = {}
    files: Size = 0
    roots: list[str] = []
    changed: list[str] = []


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One backup of one source. `taken_at` (UTC) is when its first snapshot was taken.

    `software` are versions (`courtkeeper`, `pg_dump`, …), `server` what the source said of itself,
    `recovery_settings` those of its settings that a restore needs, `notes` sentences for who restores.
    `duration_s` is by the monotonic clock. `resealed_from`: the backup that this copies, for other keys.
    """

    format: Literal["courtkeeper-backup"] = "courtkeeper-backup"
    version: int = VERSION
    vault: Name
    source: Name
    kind: Literal["postgres", "redis", "files"]
    id: BackupId
    taken_at: datetime
    finished_at: datetime
    duration_s: float
    parts: list[Part]
    recipients: list[str]
    software: dict[str, str] = {}
    server: dict[str, str] = {}
    recovery_settings: dict[str, str] = {}
    notes: list[str] = []
    resealed_from: str = ""

    @property
    def prefix(self) -> str:
        """The keys of its objects begin with this: `nba/database/20260212T060000Z-1a2b3c4d/`."""
        return prefix_of(self.vault, self.source, self.id)

    @property
    def plain_size(self) -> int:
        """Bytes before compression."""
        return sum(part.plain_size for part in self.parts)

    @property
    def sealed_size(self) -> int:
        """Bytes as they are stored."""
        return sum(part.sealed_size for part in self.parts)

    def part(self, name: str) -> Part:
        """Return a part by its name. Raises ManifestError where there is none."""
        for part in self.parts:
            if part.name == name:
                return part
        raise ManifestError(f"the backup {self.prefix} has no part {name!r}")


class Seal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What shows that a manifest is as it was written."""

    sha256: Sha256
    signature: str = ""
    signer: str = ""


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    manifest: msgspec.Raw
    seal: Seal


def new_id(now: datetime) -> str:
    """Return the id of a backup that is taken at `now`: it sorts by time, and is never given twice."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def is_id(text: str) -> bool:
    """Tell whether `text` has the form of a backup's id."""
    return bool(_ID.fullmatch(text))


def time_of(backup_id: str) -> datetime:
    """Return the moment that an id says it was given at. Raises ValueError for what is no id, or no time."""
    return datetime.strptime(backup_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def prefix_of(vault: str, source: str, backup_id: str = "") -> str:
    """Return what the keys of a source, or of one of its backups, begin with."""
    return f"{vault}/{source}/{backup_id}/" if backup_id else f"{vault}/{source}/"


def write(manifest: Manifest, key: Ed25519PrivateKey | None = None) -> bytes:
    """Return the file: the manifest and its seal, signed where there is a key."""
    content = canonical(msgspec.to_builtins(manifest))
    seal: dict[str, str] = {"sha256": hashlib.sha256(content).hexdigest()}
    if key is not None:
        seal["signature"] = base64.b64encode(key.sign(content)).decode()
        seal["signer"] = signer_of(key)
    return b'{"manifest":' + content + b',"seal":' + canonical(seal) + b"}\n"


def read(file: bytes, where: str, signers: Collection[str] = ()) -> Manifest:
    """Return the manifest in a file that lies at `where`. Raises ManifestError, naming it, for what is wrong.

    `signers`: public keys, of which one has to have signed it; empty: its digest has to do.
    """
    envelope = _decoded(file, where)
    content = bytes(envelope.manifest)
    if hashlib.sha256(content).hexdigest() != envelope.seal.sha256:
        raise ManifestError(f"the manifest {where} was changed after it was written: its digest is another")
    if signers:
        _require_signature(content, envelope.seal, where, signers)
    try:
        found: Manifest = msgspec.json.decode(content, type=Manifest)
        plain = json.loads(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ManifestError(_unreadable(content, where, error)) from None
    if found.version != VERSION:
        raise ManifestError(_newer(found.version, where))
    if canonical(plain) != content:
        raise ManifestError(
            f"the manifest {where} is not written as ours are (canonical JSON): do not trust it"
        )
    _require_sense(found, where)
    return found


def canonical(value: Any) -> bytes:  # noqa: ANN401 - plain JSON
    """Return `value` as canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def signer_of(key: Ed25519PrivateKey) -> str:
    """Return the public half of a signing key, as settings name it."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return "ed25519:" + base64.b64encode(raw).decode()


def public_key(signer: str) -> Ed25519PublicKey:
    """Return the key that `ed25519:…` names. Raises ValueError."""
    kind, _, text = signer.partition(":")
    if kind != "ed25519":
        raise ValueError(signer)
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def _decoded(file: bytes, where: str) -> _Envelope:
    if len(file) > MAX_BYTES:
        raise ManifestError(f"the manifest {where} is larger than any of ours: do not trust it")
    try:
        return msgspec.json.decode(file, type=_Envelope)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ManifestError(_unreadable(file, where, error)) from None


def _unreadable(_content: bytes, where: str, error: Exception) -> str:
    return f"the manifest {where} cannot be read ({str(error)[:160]}): it is damaged, or no manifest of ours"


def _newer(version: int, where: str) -> str:
    return f"the manifest {where} is of version {version}, and we know {VERSION}: upgrade Courtkeeper"


def _require_signature(content: bytes, seal: Seal, where: str, signers: Collection[str]) -> None:
    if not seal.signature or not seal.signer:
        raise ManifestError(
            f"the manifest {where} is not signed, and only signed ones count here: do not trust it"
        )
    if seal.signer not in signers:
        raise ManifestError(
            f"the manifest {where} is signed by a key that is not among signers: do not trust it"
        )
    try:
        public_key(seal.signer).verify(base64.b64decode(seal.signature, validate=True), content)
    except (InvalidSignature, ValueError, binascii.Error):
        raise ManifestError(f"the signature of the manifest {where} is false: it was tampered with") from None


def _require_sense(manifest: Manifest, where: str) -> None:
    names = [part.name for part in manifest.parts]
    if not names or len(set(names)) != len(names) or NAME in names:
        raise ManifestError(f"the manifest {where} names no parts, or one twice: do not trust it")
    if manifest.taken_at.tzinfo is None or manifest.finished_at.tzinfo is None:
        raise ManifestError(f"the manifest {where} has a time without a zone: do not trust it")
