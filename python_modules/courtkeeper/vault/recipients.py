"""Public keys of age, as settings and manifests name them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pyrage import RecipientError, x25519

from courtkeeper.findings import ConfigurationError


def require(key: str, recipient: str) -> None:
    """Raise ConfigurationError, naming `key`, where a recipient is no public key of age."""
    parsed([recipient], key)


def parsed(given: Iterable[str], key: str = "recipients") -> list[x25519.Recipient]:
    """Return public keys (`age1…`) as pyrage wants them. Raises ConfigurationError."""
    found = []
    for recipient in given:
        if recipient.upper().startswith("AGE-SECRET-KEY-"):
            raise ConfigurationError(
                f"{key} is a private key: give the public one (age1…), and treat this one as known to others"
            )
        try:
            found.append(x25519.Recipient.from_str(recipient))
        except RecipientError:
            raise ConfigurationError(f"{key} {recipient[:70]!r} is no public key of age (age1…)") from None
    return found


def in_file(path: str) -> list[str]:
    """Return the public keys in a file, one a line, `#` before a comment. Raises ConfigurationError."""
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(
            f"recipients_file {path} cannot be read ({reason}): make keys with `courtkeeper vault keys new`, "
            "or mend its path"
        ) from error
    found = [line for line in lines if line and not line.startswith("#")]
    for line in found:
        require(f"recipients_file {path}:", line)
    return found
