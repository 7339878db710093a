"""A vault's settings from a file, for the command line and for who restores on an empty host."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.settings import VaultSettings, vault_from

VARIABLE = "COURTKEEPER_VAULT"
SYSTEM = "/etc/courtkeeper/vault.json"
CHECKOUT = "var/vault/vault.json"
_MOST_BYTES = 1 << 20
_SECRETS = ("password", "secret_key", "session_token")


def path_of(explicit: str, checkout: Path | None = None) -> Path:
    """Return the file to read, as `path_if_any`. Raises ConfigurationError where there is none."""
    found = path_if_any(explicit, checkout)
    if found is None:
        places = " or ".join(map(str, _places(checkout)))
        raise ConfigurationError(
            f"no settings of a vault: name a file by --vault or {VARIABLE}; the playbook backup_verify "
            f"writes {places}"
        )
    return found


def path_if_any(explicit: str, checkout: Path | None = None) -> Path | None:
    """Return the file to read: `explicit`, $COURTKEEPER_VAULT, the checkout's own, or the system's."""
    named = explicit or os.environ.get(VARIABLE, "")
    if named:
        return Path(named)
    return next((place for place in _places(checkout) if place.is_file()), None)


def _places(checkout: Path | None) -> list[Path]:
    return [*([checkout / CHECKOUT] if checkout else []), Path(SYSTEM)]


def vault_file(path: Path) -> VaultSettings:
    """Read the settings of one vault (JSON, or TOML by its name). Raises ConfigurationError.

    A file with a secret in it has to be its reader's alone.
    """
    given = _content(path)
    if not isinstance(given, dict):
        raise ConfigurationError(f"{path} holds no settings of a vault: it is to be one object")
    if _secret(given) and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigurationError(f"{path} holds secrets and may be read by others: chmod 600 it")
    try:
        return vault_from(given, sealing=False)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _content(path: Path) -> Any:  # noqa: ANN401 - whatever is in the file
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}): mend its path") from error
    try:
        return tomllib.loads(content.decode()) if path.suffix == ".toml" else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read: {str(error)[:160]}") from None


def _secret(given: dict[str, Any]) -> bool:
    entries = [*_listed(given, "destinations"), *_listed(given, "sources")]
    return any(entry.get(name) for entry in entries if isinstance(entry, dict) for name in _SECRETS)


def _listed(given: dict[str, Any], key: str) -> list[Any]:
    found = given.get(key)
    return found if isinstance(found, list) else []
