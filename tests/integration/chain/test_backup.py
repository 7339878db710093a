"""Playbook `backup` on the embedded platform: without keys a sentence, with them a backup others can read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.checkout import Checkout, checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A platform that is up and empty, and has no keys yet."""
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        yield made


def run(here: Checkout, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli("run", "backup", "-i", "inventory/embedded", "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def stored(here: Checkout) -> list[Path]:
    return sorted((here.root / "var/vault/backups").rglob("manifest.json"))


def test_a_backup_from_keys_to_manifests(here: Checkout, tmp_path: Path) -> None:
    code, record = run(here)
    assert code == 2
    assert "courtkeeper vault keys new" in json.dumps(record)
    assert stored(here) == []

    made = here.cli("vault", "keys", "new", "--identity", str(tmp_path / "identity.txt"))
    assert made.returncode == 0, made.stderr
    code, record = run(here, "--check")
    assert (code, stored(here)) == (0, [])
    assert any("dump the database nba" in json.dumps(entry) for entry in record["actions"])

    code, record = run(here)
    assert (code, record["changed"]) == (0, True), record["message"]
    assert len(stored(here)) == 3
    secrets = json.loads((here.root / "var/platform/secrets.json").read_text())
    written = [path for place in ("runs", "vault") for path in (here.root / "var" / place).rglob("*")]
    for path in written:
        if path.is_file():
            content = path.read_bytes()
            assert not [name for name, secret in secrets.items() if secret.encode() in content], path

    code, record = run(here, "-e", "vault_backup_sources=config")
    assert code == 0, record["message"]
    assert len(stored(here)) == 4
    code, record = run(here, "-e", "vault_backup_sources=nothing")
    assert code == 2
    assert "has no source 'nothing'" in json.dumps(record)
