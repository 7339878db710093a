"""The playbooks `backup` and `backup_verify` on the embedded platform: verified, pruned, found damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from courtkeeper.vault import keys
from support.checkout import Checkout, checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A platform that is up and empty, with a vault's keys."""
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        public = keys.new_identity(tmp_path_factory.mktemp("keys") / "identity.txt")
        recipients = made.root / "var/vault/recipients.txt"
        recipients.parent.mkdir(parents=True)
        recipients.write_text(f"{public}\n")
        yield made


def run(here: Checkout, job: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli("run", job, "-i", "inventory/embedded", "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def critical(record: dict[str, Any]) -> dict[str, str]:
    found = [entry["finding"] for entry in record["findings"]]
    return {f"{one['id']} {one['subject']}": one["summary"] for one in found if one["status"] == "crit"}


def overruled(here: Checkout, text: str) -> None:
    """Say otherwise in the inventory, in a file that is read after the others."""
    (here.root / "inventory/embedded/group_vars/all/zz.yml").write_text(text)


def keep_one(here: Checkout) -> None:
    policy = "{'policy': {'retention': {'daily': 1, 'weekly': 0, 'monthly': 0}}}"
    overruled(here, f'backup_verify_vault: "{{{{ courtkeeper_vault | combine({policy}) }}}}"\n')


def test_backups_are_missed_taken_verified_pruned_and_found_damaged(here: Checkout) -> None:
    code, record = run(here, "backup_verify")
    assert code == 3
    assert "vault.destination local" in critical(record)

    code, record = run(here, "backup")
    assert code == 0, record["message"]
    code, record = run(here, "backup_verify")
    assert (code, critical(record)) == (0, {}), record["message"]
    code, record = run(here, "backup_verify")
    assert (code, record["changed"]) == (0, False)

    settings = here.root / "var/vault/vault.json"
    assert settings.stat().st_mode & 0o077 == 0
    listed = json.loads(here.cli("vault", "list", "--json").stdout)
    assert {backup["source"] for backup in listed["backups"]} == {"database", "cache", "config"}
    assert here.cli("check", "backups").returncode == 0

    # An older one, and a policy that keeps one.
    first = [backup["id"] for backup in listed["backups"]]
    assert run(here, "backup")[0] == 0
    keep_one(here)
    code, planned = run(here, "backup_verify", "--check")
    assert code == 0, planned["message"]
    code, record = run(here, "backup_verify")
    assert (code, record["changed"]) == (0, True), record["message"]
    kept = [backup["id"] for backup in json.loads(here.cli("vault", "list", "--json").stdout)["backups"]]
    assert len(kept) == 3
    assert not set(kept) & set(first)

    database = next((here.root / "var/vault/backups/nba/database").iterdir())
    part = next(database.glob("*.dump.zst.age"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(bytes(content))
    code, record = run(here, "backup_verify")
    assert code == 3
    assert f"vault.read nba/database/{database.name} on local" in critical(record)
    code, record = run(here, "backup_verify")
    assert {"vault.fresh nba/database"} <= critical(record).keys()
    assert database.is_dir()


def test_no_secret_is_shown(here: Checkout) -> None:
    run(here, "backup_verify")
    password = json.loads((here.root / "var/platform/secrets.json").read_text())["database_admin_password"]
    runs = sorted((here.root / "var/runs").glob("*/*"))
    assert runs
    assert not [path for path in runs if path.is_file() and password in path.read_text(errors="replace")]


def test_a_vault_that_cannot_be_is_refused(here: Checkout) -> None:
    overruled(
        here, "backup_verify_vault: {name: NBA, destinations: [{name: a, kind: directory, path: /a}]}\n"
    )
    code, record = run(here, "backup_verify")
    assert code == 2, record["message"]
    assert "NBA" in record["message"]
