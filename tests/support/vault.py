"""A vault over directories, its keys, and what comes out of it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from courtkeeper.vault import catalog, keys
from courtkeeper.vault.catalog import Backup, Catalog
from courtkeeper.vault.destinations import Destination, destination
from courtkeeper.vault.settings import VaultSettings, vault_from
from courtkeeper.vault.unseal import unseal


@dataclass
class Vault:
    """A vault's settings as a mapping (`told`, to be changed by a test), and its files under `home`."""

    home: Path
    told: dict[str, Any]
    identity_file: Path
    public: str
    signer: str = field(default="")

    @property
    def settings(self) -> VaultSettings:
        """The settings as they are told now."""
        return vault_from(self.told)

    @property
    def destinations(self) -> list[Destination]:
        """The destinations of these settings."""
        return [destination(entry) for entry in self.settings.destinations]

    def catalog(self) -> Catalog:
        """Everything that is there, over all destinations."""
        return catalog.load(self.settings.name, self.destinations, signers=self.settings.signers)

    def plain(self, backup: Backup, part: str, place: str = "") -> bytes:
        """Return the plain bytes of a part, from `place` or the first destination that has it."""
        where = place or backup.where[0]
        entry = next(entry for entry in self.destinations if entry.name == where)
        found = bytearray()
        identities = keys.identities(str(self.identity_file))
        unseal(entry, backup.prefix, backup.manifest.part(part), identities, found.extend)
        return bytes(found)

    def files(self, place: str) -> list[str]:
        """Return every file of a directory destination, hidden ones too."""
        root = self.home / place
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def vault(
    home: Path, sources: Sequence[dict[str, Any]], places: Sequence[str] = ("local",), *, signed: bool = False
) -> Vault:
    """Make a vault of directories under `home`, with fresh keys."""
    identity_file = home / "identity.txt"
    public = keys.new_identity(identity_file)
    told: dict[str, Any] = {
        "name": "nba",
        "recipients": [public],
        "destinations": [{"name": name, "kind": "directory", "path": str(home / name)} for name in places],
        "sources": list(sources),
        "identity_file": str(identity_file),
        "state_directory": str(home / "state"),
    }
    signer = ""
    if signed:
        signer = keys.new_signing_key(home / "signing.key")
        told |= {"signing_key_file": str(home / "signing.key"), "signers": [signer]}
    return Vault(home, told, identity_file, public, signer)


def postgres_source(dsn: str, bin_directory: Path, **more: Any) -> dict[str, Any]:
    """Return a source `database` for the one database that `dsn` names."""
    words = conninfo_to_dict(dsn)
    return {
        "name": "database",
        "kind": "postgres",
        "host": str(words["host"]),
        "port": int(str(words["port"])),
        "user": str(words["user"]),
        "password": str(words["password"]),
        "databases": [str(words["dbname"])],
        "bin_directory": str(bin_directory),
        **more,
    }


def files_source(*paths: Path, name: str = "config", **more: Any) -> dict[str, Any]:
    """Return a source of files."""
    return {"name": name, "kind": "files", "paths": [str(path) for path in paths], **more}
