"""Keys: identities that open backups, kept outside the platform, and the key that signs manifests."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyrage import IdentityError, x25519

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault import recipients

_IDENTITY = "AGE-SECRET-KEY-"
_SIGNING = "COURTKEEPER-SIGNING-KEY-"


def identities(path: str) -> list[x25519.Identity]:
    """Return the identities in a file as `age-keygen` writes it.

    Raises ConfigurationError, also where others may read it.
    """
    return _parsed(_private_lines(path, "identity_file"), f"identity_file {path}")


def identities_in(text: str) -> list[x25519.Identity]:
    """Return the identities in the text of such a file, which lies elsewhere. Raises ConfigurationError."""
    return _parsed(_meant(text.splitlines()), "the identity")


def _parsed(lines: list[str], where: str) -> list[x25519.Identity]:
    found = []
    for line in lines:
        try:
            found.append(x25519.Identity.from_str(line))
        except IdentityError:
            raise ConfigurationError(f"{where} holds a line that is no key of age") from None
    if not found:
        raise ConfigurationError(f"{where} holds no key (a line {_IDENTITY}…)")
    return found


def signing_key(path: str) -> Ed25519PrivateKey:
    """Return the key that signs manifests. Raises ConfigurationError."""
    lines = _private_lines(path, "signing_key_file")
    try:
        (line,) = lines
        return Ed25519PrivateKey.from_private_bytes(
            base64.b64decode(line.removeprefix(_SIGNING), validate=True)
        )
    except ValueError:
        raise ConfigurationError(f"signing_key_file {path} does not hold one line {_SIGNING}…") from None


def new_identity(path: Path) -> str:
    """Make an identity in a new file (0600), as `age-keygen -o` does, and return its public key.

    Raises ConfigurationError where the file is there: a key is never overwritten.
    """
    identity = x25519.Identity.generate()
    public = str(identity.to_public())
    _written(path, f"# public key: {public}\n{identity}\n")
    return public


def new_signing_key(path: Path) -> str:
    """Make a signing key in a new file (0600) and return its public half, for `signers`."""
    from courtkeeper.vault.manifest import signer_of

    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = signer_of(key)
    _written(path, f"# public key: {public}\n{_SIGNING}{base64.b64encode(raw).decode()}\n")
    return public


def public_of(path: str) -> list[str]:
    """Return the public keys of the identities in a file. Raises ConfigurationError."""
    return [str(identity.to_public()) for identity in identities(path)]


def add_recipient(path: Path, public: str) -> bool:
    """Add a public key to a file of recipients, made where it is missing; False if it is in there."""
    known = recipients.in_file(str(path)) if path.exists() else []
    if public in known:
        return False
    text = path.read_text(encoding="utf-8") if path.exists() else "# Backups are sealed for each of these.\n"
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(f"{text.rstrip()}\n{public}\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return True


def _private_lines(path: str, what: str) -> list[str]:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & 0o077:
                raise ConfigurationError(
                    f"{what} {path} may be read by others (mode {mode:04o}): chmod 600 it"
                )
            lines = stream.read(1 << 16).splitlines()
    except OSError as error:
        raise ConfigurationError(f"{what} {path} cannot be read ({error.strerror}): mend its path") from error
    return _meant(lines)


def _meant(lines: list[str]) -> list[str]:
    """Return the lines without comments and empty ones."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def _written(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} is there already, and a key is never overwritten: name another file"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as stream:
        os.fchmod(descriptor, 0o600)
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
