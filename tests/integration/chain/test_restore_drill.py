"""The playbooks `restore_drill` and `restore` on the embedded platform."""

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
    """A platform that is up, with a vault's keys and a backup in it."""
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        identity = tmp_path_factory.mktemp("keys") / "identity.txt"
        public = keys.new_identity(identity)
        recipients = made.root / "var/vault/recipients.txt"
        recipients.parent.mkdir(parents=True)
        recipients.write_text(f"{public}\n")
        told = f"{{'identity_file': '{identity}'}}"
        (made.root / "inventory/embedded/group_vars/all/zz.yml").write_text(
            f'restore_drill_vault: "{{{{ courtkeeper_vault | combine({told}) }}}}"\n'
            f'restore_vault: "{{{{ courtkeeper_vault | combine({told}) }}}}"\n'
            f'backup_verify_vault: "{{{{ courtkeeper_vault | combine({told}) }}}}"\n'
        )
        code, record = run(made, "backup")
        assert code == 0, record["message"]
        yield made


def run(here: Checkout, job: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli("run", job, "-i", "inventory/embedded", "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def test_backups_are_proven(here: Checkout) -> None:
    code, record = run(here, "restore_drill")
    assert code == 0, [entry["finding"] for entry in record["findings"] if entry["finding"]["status"] != "ok"]
    found = {entry["finding"]["id"] for entry in record["findings"]}
    assert {"drill.rto", "drill.rpo", "drill.contents", "drill.amcheck", "drill.query"} <= found

    assert run(here, "backup_verify")[0] == 0  # writes the settings that the command line reads
    listed = json.loads(here.cli("vault", "list", "--json").stdout)
    assert [backup["source"] for backup in listed["backups"] if not backup["proven_at"]] == []


def test_a_database_is_restored(here: Checkout) -> None:
    code, record = run(here, "restore", "-e", "restore_source=database")
    assert code == 2, record["message"]
    assert "say replace nba" in record["message"]

    told = ("-e", "restore_source=database", "-e", "restore_replace=nba", "-e", "restore_end_sessions=true")
    code, record = run(here, "restore", "--check", *told)
    assert code == 0, record["message"]
    code, record = run(here, "restore", *told)
    assert (code, record["changed"]) == (0, True), record["message"]
    kept = json.loads(here.cli("vault", "former", "database", "--json").stdout)
    (former,) = kept["details"]["beside"]
    assert former["of"] == "nba"

    removing = ("-e", "restore_source=database", "-e", f"restore_remove_former={former['name']}")
    code, record = run(here, "restore", *removing)
    assert (code, record["changed"]) == (0, True), record["message"]
    assert json.loads(here.cli("vault", "former", "database", "--json").stdout)["details"]["beside"] == []
