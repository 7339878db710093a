"""The token file: who may come in, in which role, by the SHA-256 of a token that only he has.

One line each: `<name> <viewer|operator> <sha256 in hex>`; `#` begins a comment. The file holds no token, so
that whoever reads it cannot use it; it is still kept from others (0600), as it says who may do what. It is
read again when it changes: taking a line out ends what that token opened.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from courtkeeper.findings import ConfigurationError, CourtkeeperError

ROLES = ("viewer", "operator")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_LINE = re.compile(r"(?P<name>\S+)\s+(?P<role>\S+)\s+(?P<digest>\S+)")
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Token:
    """One line of the file."""

    name: str
    role: str
    digest: str


def digest_of(token: str) -> str:
    """Return what the file keeps of a token. It is random and long, so that a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class TokenFile:
    """The tokens of a file, as it is now; none where there is no file."""

    def __init__(self, path: Path | None) -> None:
        """Read it. Raises ConfigurationError naming file, line and mend."""
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._tokens: tuple[Token, ...] = ()
        if path is not None:
            self._tokens, self._seen = read(path), _print(path)
            if not self._tokens:
                raise ConfigurationError(
                    f"{path} names nobody: `courtkeeper token NAME --token-file {path}` adds somebody."
                )

    def find(self, token: str) -> Token | None:
        """Return whose token it is, or None; in a time that says nothing of the file."""
        return self.find_digest(digest_of(token)) if token else None

    def find_digest(self, digest: str) -> Token | None:
        """Return whose token has that digest, or None."""
        found = None
        for each in self._current():
            if hmac.compare_digest(each.digest, digest):
                found = each
        return found

    def _current(self) -> tuple[Token, ...]:
        if self._path is None:
            return ()
        with self._lock:
            now = _print(self._path)
            if now != self._seen:
                try:
                    self._tokens = read(self._path)
                except ConfigurationError:
                    self._tokens = ()  # what cannot be read lets nobody in
                self._seen = now
            return self._tokens


def read(path: Path) -> tuple[Token, ...]:
    """Return the lines of a token file. Raises ConfigurationError naming file, line and mend."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()[:_MOST_BYTES].decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(
            f"The token file {path} cannot be read ({reason}): `courtkeeper token` makes one."
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigurationError(f"The token file {path} is open to others: chmod 600 {path}.")
    found: list[Token] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        # A line may hold a token that somebody pasted: it is not repeated.
        if not match or not re.fullmatch(r"[0-9a-f]{64}", match["digest"]):
            raise ConfigurationError(
                f"{path}:{number}: a line is NAME, viewer or operator, and the token's SHA-256: "
                "let `courtkeeper token` write it."
            )
        _check(match["name"], match["role"], f"{path}:{number}: ")
        found.append(Token(match["name"], match["role"], match["digest"]))
    return tuple(found)


def add(path: Path, name: str, role: str) -> str:
    """Add a person to the file, made where there is none, and return his new token, kept nowhere else.

    Raises ConfigurationError for a name that is there already, for a file that cannot be read and for a
    directory that is not there.
    """
    _check(name, role, "")
    before = read(path) if path.exists() else ()
    if name in {each.name for each in before}:
        raise ConfigurationError(f"{path} has {name} already: take that line out first, or use another name.")
    token = secrets.token_urlsafe(32)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as stream:
            stream.write(f"{name} {role} {digest_of(token)}\n")
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigurationError(f"{path.parent} is no directory: make it, or name another file.") from None
    except OSError as error:
        raise CourtkeeperError(f"{path} cannot be written ({error.strerror}): mend its rights.") from error
    return token


def _check(name: str, role: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{where}{name[:64]!r} is no name: use up to 64 letters, digits and . _ @ + -, without spaces."
        )
    if role not in ROLES:
        raise ConfigurationError(f"{where}{role[:20]!r} is no role: say viewer or operator.")


def _print(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode
