"""Restoring by hand: the script and the printed page, with plain tools and nothing of Courtkeeper."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from courtkeeper.vault.backup import backup
from support.drills import ROWS, fill
from support.postgres import Server
from support.vault import Vault, files_source, postgres_source, vault

TOOLS = ("age", "zstd", "jq")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}: run tools/system-packages as root"
)


@pytest.fixture
def one(tmp_path: Path, postgres: Server, database_dsn: str) -> Vault:
    """A vault with a backup of a database and of a file."""
    dsn = postgres.admin_dsn_for(database_dsn)
    fill(dsn)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "file").write_text("as it was")
    sources = [postgres_source(dsn, postgres.postgres.bin_dir), files_source(tmp_path / "app")]
    made = vault(tmp_path, sources)
    backup(made.settings)
    return made


class Hand:
    """A machine with the plain tools: an empty environment, another directory."""

    def __init__(self, one: Vault, postgres: Server, root: Path) -> None:
        self.script = one.home / "restore_by_hand.sh"
        shutil.copy(root / "tools/restore_by_hand.sh", self.script)
        self.one, self.server = one, postgres
        words = psycopg.conninfo.conninfo_to_dict(postgres.admin_dsn)
        self.environment = {
            "PATH": f"{postgres.postgres.bin_dir}:/usr/bin:/bin",
            "PGHOST": str(words["host"]),
            "PGPORT": str(words["port"]),
            "PGUSER": str(words["user"]),
            "PGPASSWORD": str(words["password"]),
        }

    def backup_of(self, source: str) -> Path:
        return next((self.one.home / "local" / "nba" / source).iterdir())

    def run(self, what: str, source: str, *more: str) -> subprocess.CompletedProcess[str]:
        words = [self.script, what, self.one.identity_file, self.backup_of(source), *more]
        return self.shell(["bash", *words])

    def shell(self, words: list[str | Path], **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env={**self.environment, **more}, cwd="/", capture_output=True, text=True, check=False
        )

    def drop(self, name: str) -> None:
        with psycopg.connect(self.server.admin_dsn, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def rows(self, name: str) -> int:
        dsn = psycopg.conninfo.make_conninfo(self.server.admin_dsn, dbname=name)
        with psycopg.connect(dsn) as connection:
            found = connection.execute("SELECT count(*) FROM sample").fetchone()
            assert found
            return int(found[0])


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[3]


@pytest.fixture
def hand(one: Vault, postgres: Server, root: Path) -> Hand:
    return Hand(one, postgres, root)


def test_the_script_checks_and_restores(hand: Hand, tmp_path: Path) -> None:
    checked = hand.run("check", "database")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("good: ") == 2
    name = hand.one.settings.sources[0].databases[0]  # type: ignore[union-attr]
    try:
        assert hand.run("roles", "database").returncode == 0
        restored = hand.run("database", "database", name, "by_hand")
        assert restored.returncode == 0, restored.stderr
        assert hand.rows("by_hand") == ROWS
    finally:
        hand.drop("by_hand")
    unpacked = hand.run("files", "config", str(tmp_path / "new"))
    assert unpacked.returncode == 0, unpacked.stderr
    assert (tmp_path / "new" / str(tmp_path / "app" / "file").lstrip("/")).read_text() == "as it was"


def test_the_script_refuses_what_is_not_as_it_was(hand: Hand, tmp_path: Path) -> None:
    manifest = hand.backup_of("config") / "manifest.json"
    good = manifest.read_bytes()
    manifest.write_bytes(good.replace(b'"files":2', b'"files":3'))
    refused = hand.run("check", "config")
    assert (refused.returncode, "changed after it was written" in refused.stderr) == (1, True)
    manifest.write_bytes(good)
    sealed = next(hand.backup_of("config").glob("*.age"))
    content = bytearray(sealed.read_bytes())
    content[-5] ^= 1
    sealed.write_bytes(bytes(content))
    refused = hand.run("files", "config", str(tmp_path / "new"))
    assert (refused.returncode, "is damaged" in refused.stderr) == (1, True)
    assert not (tmp_path / "new").exists()


def test_the_printed_page_works_word_for_word(hand: Hand, root: Path) -> None:
    text = (root / "docs/restore_by_hand.md").read_text()
    (block,) = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    name = hand.one.settings.sources[0].databases[0]  # type: ignore[union-attr]
    try:
        done = hand.shell(
            ["bash", "-euo", "pipefail", "-c", block],
            KEY=str(hand.one.identity_file),
            BACKUP=str(hand.backup_of("database")),
            DB=name,
            NEW="by_hand",
        )
        assert done.returncode == 0, done.stderr
        assert hand.rows(name) == ROWS
    finally:
        hand.drop("by_hand")
        hand.drop(f"{name}_former")
