"""The playbooks `backup` and `backup_verify` on the embedded platform: without keys a sentence, with them a
backup that others can read, that is verified, pruned, and found damaged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.checkout import Checkout, checkout

pytestmark = pytest.mark.slow

SOURCES = {"database", "cache", "config"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A platform that is up and empty, and has no keys yet."""
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        yield made


def run(here: Checkout, job: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli("run", job, "-i", "inventory/embedded", "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def stored(here: Checkout) -> list[Path]:
    return sorted((here.root / "var/vault/backups").rglob("manifest.json"))


def listed(here: Checkout) -> dict[str, set[str]]:
    """The ids of the backups, by source."""
    found: dict[str, set[str]] = {}
    for backup in json.loads(here.cli("vault", "list", "--json").stdout)["backups"]:
        found.setdefault(backup["source"], set()).add(backup["id"])
    return found


def critical(record: dict[str, Any]) -> dict[str, str]:
    found = [entry["finding"] for entry in record["findings"]]
    return {f"{one['id']} {one['subject']}": one["summary"] for one in found if one["status"] == "crit"}


def overruled(here: Checkout, text: str) -> None:
    """Say otherwise in the inventory, in a file that is read after the others."""
    (here.root / "inventory/embedded/group_vars/all/zz.yml").write_text(text)


def keep_one(here: Checkout) -> None:
    policy = "{'policy': {'retention': {'daily': 1, 'weekly': 0, 'monthly': 0}}}"
    overruled(here, f'backup_verify_vault: "{{{{ courtkeeper_vault | combine({policy}) }}}}"\n')


def test_from_keys_to_manifests(here: Checkout, tmp_path_factory: pytest.TempPathFactory) -> None:
    code, record = run(here, "backup")
    assert code == 2
    assert "courtkeeper vault keys new" in json.dumps(record)
    assert stored(here) == []

    identity = tmp_path_factory.mktemp("keys") / "identity.txt"
    made = here.cli("vault", "keys", "new", "--identity", str(identity))
    assert made.returncode == 0, made.stderr
    code, record = run(here, "backup", "--check")
    assert (code, stored(here)) == (0, [])
    assert any("dump the database nba" in json.dumps(entry) for entry in record["actions"])
    code, record = run(here, "backup_verify")
    assert code == 3, "a backup that never ran is missed"
    assert "vault.destination local" in critical(record)

    code, record = run(here, "backup")
    assert (code, record["changed"]) == (0, True), record["message"]
    assert len(stored(here)) == 3
    code, record = run(here, "backup", "-e", "vault_backup_sources=nothing")
    assert code == 2
    assert "has no source 'nothing'" in json.dumps(record)


def test_verified_pruned_and_found_damaged(here: Checkout) -> None:
    code, record = run(here, "backup_verify")
    assert (code, critical(record)) == (0, {}), record["message"]
    code, record = run(here, "backup_verify")
    assert (code, record["changed"]) == (0, False)
    assert (here.root / "var/vault/vault.json").stat().st_mode & 0o077 == 0
    first = listed(here)
    assert first.keys() == SOURCES
    assert here.cli("check", "backups").returncode == 0

    # An older one, and a policy that keeps one.
    assert run(here, "backup", "-e", "vault_backup_sources=config")[0] == 0
    assert len(stored(here)) == 4
    keep_one(here)
    code, planned = run(here, "backup_verify", "--check")
    assert (code, len(stored(here))) == (0, 4), planned["message"]
    code, record = run(here, "backup_verify")
    assert (code, record["changed"]) == (0, True), record["message"]
    kept = listed(here)
    assert {source: len(ids) for source, ids in kept.items()} == dict.fromkeys(SOURCES, 1)
    assert not kept["config"] & first["config"]
    assert kept["database"] == first["database"]

    database = next((here.root / "var/vault/backups/nba/database").iterdir())
    part = next(database.glob("*.dump.zst.age"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(bytes(content))
    code, record = run(here, "backup_verify")
    assert code == 3
    assert f"vault.read nba/database/{database.name} on local" in critical(record)
    seen = here.cli("check", "backups", "--json")
    assert seen.returncode == 3
    found = json.loads(seen.stdout)["findings"]
    assert ("vault.fresh", "nba/database") in [(one["id"], one["subject"]) for one in found]
    assert database.is_dir()


def test_no_secret_is_shown(here: Checkout) -> None:
    """Nowhere in what was run, stored or noted; the vault's settings, which hold passwords, are 0600."""
    secrets = json.loads((here.root / "var/platform/secrets.json").read_text())
    assert sorted((here.root / "var/runs").glob("*/*"))
    for path in [path for place in ("runs", "vault") for path in (here.root / "var" / place).rglob("*")]:
        if path.is_file() and path.name != "vault.json":
            content = path.read_bytes()
            assert not [name for name, secret in secrets.items() if secret.encode() in content], path
            assert b"AGE-SECRET-KEY-" not in content, path


def test_a_vault_that_cannot_be_is_refused(here: Checkout) -> None:
    overruled(
        here, "backup_verify_vault: {name: NBA, destinations: [{name: a, kind: directory, path: /a}]}\n"
    )
    code, record = run(here, "backup_verify")
    assert code == 2, record["message"]
    assert "NBA" in record["message"]
