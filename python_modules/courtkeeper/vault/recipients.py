"""Public keys of age, as settings and manifests name them."""

from __future__ import annotations

from collections.abc import Iterable

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
