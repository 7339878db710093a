"""`courtkeeper vault` and `courtkeeper check backups`, as a person and as a program call them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from courtkeeper.vault import hold
from courtkeeper.vault.backup import backup
from support.backups import DAY, flip, sealed
from support.vault import Vault, files_source, vault

pytestmark = pytest.mark.slow


@pytest.fixture
def told(tmp_path: Path) -> Vault:
    """A vault of two directories with five daily backups, and the file of its settings."""
    made = vault(tmp_path, [files_source(tmp_path)], ("local", "offsite"))
    made.told["policy"] = {"retention": {"daily": 3, "weekly": 0, "monthly": 0}}
    for each in made.destinations:
        each.prepare()
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for n in range(5):
        sealed(
            made.destinations, begun - n * DAY, made.public, source="config", number=n, kind="redis_rdb",
            name="files.tar.zst.age", content=b"REDIS0012" + b"\xff" + b"\0" * 8,
        )  # fmt: skip
    write(made)
    return made


def write(made: Vault, mode: int = 0o600) -> None:
    path = made.home / "vault.json"
    path.write_text(json.dumps(made.told))
    path.chmod(mode)


def command(made: Vault, *words: str, columns: int = 160) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("courtkeeper"), *words, "--vault", str(made.home / "vault.json")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": str(columns), "LC_ALL": "C.UTF-8"},
    )


def test_list_shows_age_size_place_proof_and_hold(told: Vault) -> None:
    newest, *_, oldest = told.catalog().backups
    hold.hold("nba", told.destinations, oldest.id, "", now=datetime.now(UTC))
    told.destinations[0].put(f"{newest.prefix}proof-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json", b"{}")
    done = command(told, "vault", "list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "config"
    assert lines[1].split() == ["Backup", "Age", "Size", "Sealed", "Proven", "Where"]
    assert lines[2].split()[0] == newest.id
    assert "60 minutes" in lines[2]
    assert "everywhere" in lines[2]
    assert "0 minutes ago" in lines[2]
    assert "no, held" in lines[6]
    assert "5 backups of nba" in lines[-1]
    assert "1 proven" in lines[-1]
    narrow = command(told, "vault", "list", columns=80).stdout
    assert "…" not in narrow
    assert narrow.count("everywhere") == 5
    assert len([line for line in narrow.splitlines() if line.strip()]) == 8
    assert all(each.id in narrow for each in told.catalog().backups)


def test_a_restore_and_a_drill_say_what_to_type_and_what_came_out(told: Vault, tmp_path: Path) -> None:
    tree = tmp_path / "app"
    tree.mkdir()
    (tree / "file").write_text("as it was")
    told.told["sources"] = [files_source(tree, name="app")]
    write(told)
    backup(told.settings)
    refused = command(told, "vault", "restore", "app")
    assert refused.returncode == 2
    assert f"say --replace {tree}" in refused.stderr
    done = command(told, "vault", "restore", "app", "--replace", str(tree), columns=60)
    assert done.returncode == 0, done.stderr
    kept = command(told, "vault", "former", "app", columns=60).stdout
    assert "1 former state is kept" in kept
    (name,) = [line for line in kept.splitlines() if "app.beside-" in line]
    assert (Path(name) / "file").is_file(), "a name to be copied"

    drilled = command(told, "vault", "drill", "--source", "app")
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    assert "1 of 1 backups proven" in drilled.stdout
    (line,) = [line for line in drilled.stdout.splitlines() if line.startswith("app 2")]
    assert line.split()[2] == "yes"


def test_list_as_json(told: Vault) -> None:
    done = command(told, "vault", "list", "--json")
    shown = json.loads(done.stdout)
    assert shown["reached"] == ["local", "offsite"]
    assert len(shown["backups"]) == 5
    assert shown["backups"][0]["where"] == ["local", "offsite"]
    assert shown["backups"][0]["proven_at"] is None
    assert shown["problems"] == []


def test_list_names_a_source_without_a_backup(told: Vault, tmp_path: Path) -> None:
    told.told["sources"].append(files_source(tmp_path / "app", name="app"))
    write(told)
    done = command(told, "vault", "list")
    assert done.returncode == 3
    assert "CRIT  app has no backup" in done.stdout
    assert json.loads(command(told, "vault", "list", "--json").stdout)["missing"] == ["app"]
    done = command(told, "vault", "list", "--source", "config")
    assert (done.returncode, "app" in done.stdout) == (0, False)
    done = command(told, "vault", "list", "--source", "confg")
    assert (done.returncode, "did you mean config?" in done.stderr) == (2, True)


def test_list_shows_what_is_wrong_and_says_so_by_its_exit_code(told: Vault) -> None:
    newest = told.catalog().backups[0]
    Path(told.destinations[0].where, newest.prefix, "files.tar.zst.age").unlink()
    done = command(told, "vault", "list")
    assert done.returncode == 3
    assert "files.tar.zst.age is missing" in done.stdout
    Path(told.destinations[0].where).rename(told.home / "away")
    assert "5 backups" in command(told, "vault", "list").stdout
    Path(told.destinations[1].where).rename(told.home / "away too")
    assert command(told, "vault", "list").returncode == 1


def test_prune_plans_by_check_and_then_does_the_same(told: Vault) -> None:
    planned = json.loads(command(told, "vault", "prune", "--check", "--json").stdout)
    assert len(told.catalog().backups) == 5
    done = json.loads(command(told, "vault", "prune", "--json").stdout)
    assert done["actions"] == planned["actions"]
    assert len(done["actions"]) == 4
    assert len(told.catalog().backups) == 3
    again = command(told, "vault", "prune")
    assert again.returncode == 0
    assert "0 backups removed" in again.stdout


def test_hold_and_release(told: Vault) -> None:
    oldest = told.catalog().backups[-1].id
    assert command(told, "vault", "hold", oldest, "--reason", "audit").returncode == 0
    assert told.catalog().backups[-1].held
    assert command(told, "vault", "release", oldest).returncode == 0
    assert not told.catalog().backups[-1].held
    wrong = command(told, "vault", "hold", "nonsense")
    assert wrong.returncode == 2
    assert "vault list" in wrong.stderr


def test_verify_finds_a_flipped_bit(told: Vault) -> None:
    good = command(told, "vault", "verify")
    assert good.returncode == 0, good.stdout + good.stderr
    newest = told.catalog().backups[0]
    flip(told.destinations[1], newest.prefix + "files.tar.zst.age")
    bad = command(told, "vault", "verify", "--json")
    assert bad.returncode == 3
    assert "vault.read" in bad.stdout


def test_check_backups_without_ansible(told: Vault) -> None:
    done = command(told, "check", "backups", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {finding["id"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["vault.fresh"]["status"] == "ok"
    assert found["vault.copies"]["status"] == "warn"
    assert found["vault.directory.disk"]["observed"] == "config"
    assert found["vault.directory.permissions"]["status"] == "ok"
    told.told["sources"].append(files_source(Path("/etc"), name="etc"))
    write(told)
    missing = command(told, "check", "backups")
    assert missing.returncode == 3
    assert "There is no backup of it." in missing.stdout


def test_settings_that_hold_a_secret_are_not_for_others_to_read(told: Vault) -> None:
    told.told["sources"].append({"name": "cache", "kind": "redis", "password": "secret-word"})
    write(told, 0o644)
    done = command(told, "vault", "list")
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
    assert "secret-word" not in done.stdout + done.stderr


@pytest.mark.parametrize("content", ["", "[]", "{", '{"name": 3}', '{"name": "nba", "destinations": []}'])
def test_settings_that_cannot_be_are_refused_in_one_sentence(told: Vault, content: str) -> None:
    (told.home / "vault.json").write_text(content)
    done = command(told, "vault", "list")
    assert done.returncode == 2
    assert done.stderr.startswith("courtkeeper: ")
    assert len(done.stderr.splitlines()) == 1
