"""Keys: made once, kept private, and changed without losing a backup."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from courtkeeper.findings import ConfigurationError, Status
from courtkeeper.vault import keys, recipients
from courtkeeper.vault.backup import backup
from courtkeeper.vault.check import check
from courtkeeper.vault.policy import policy_from
from courtkeeper.vault.resealing import reseal
from courtkeeper.vault.unseal import WrongKeyError
from support.vault import Vault, files_source, vault

PART = "data.tar.zst.age"


@pytest.fixture
def one(tmp_path: Path) -> Vault:
    (tmp_path / "file").write_bytes(b"content " * 1000 + os.urandom(3 << 20))
    return vault(tmp_path, [files_source(tmp_path / "file")], ["local", "second"], signed=True)


def rotated(one: Vault) -> Path:
    """Give the vault another key and return the file of its identity; it keeps the old one to open."""
    path = one.home / "new.txt"
    one.told["recipients"] = [keys.new_identity(path)]
    return path


def test_rotation_seals_every_backup_anew_and_keeps_the_old(one: Vault) -> None:
    backup(one.settings)
    backup(one.settings)
    old = one.catalog().backups
    plain = one.plain(old[0], PART)
    new_identity = rotated(one)
    planned = reseal(one.settings, check_mode=True)
    assert len(planned.actions) == 2
    assert one.catalog().backups == old

    result = reseal(one.settings)
    assert result.changed
    assert result.findings == []
    taken = one.catalog().backups
    assert len(taken) == 4
    anew = [each for each in taken if each.manifest.resealed_from]
    assert {each.manifest.resealed_from for each in anew} == {each.id for each in old}
    assert {each.where for each in anew} == {("local", "second")}
    with pytest.raises(WrongKeyError):
        one.plain(anew[0], PART)
    old_identity, one.identity_file = one.identity_file, new_identity
    for each in anew:
        assert one.plain(each, PART, "second") == plain
        before = next(other for other in old if other.id == each.manifest.resealed_from)
        assert each.taken_at == before.taken_at
        assert each.manifest.parts[0].plain_sha256 == before.manifest.parts[0].plain_sha256
    assert not reseal(one.settings).changed, "the second run changes nothing"

    removed = reseal(one.settings, remove_old=True)
    assert len(removed.actions) == 2
    assert {each.id for each in one.catalog().backups} == {each.id for each in anew}
    assert not one.catalog().problems
    assert old_identity.exists()


def test_recipients_that_change_are_named_until_the_older_backups_are_sealed_anew(one: Vault) -> None:
    def named() -> list[str]:
        found = check(one.settings, policy_from({}), now=datetime.now(UTC) + timedelta(seconds=1)).findings
        return [each.summary for each in found if each.id == "vault.recipients"]

    backup(one.settings)
    assert named() == []
    public = one.public
    rotated(one)
    backup(one.settings, now=lambda: datetime.now(UTC) + timedelta(seconds=1))
    (sentence,) = named()
    assert public in sentence
    assert "does not open it" in sentence
    reseal(one.settings)
    assert named() == []


def test_what_cannot_be_opened_is_named_and_stays(one: Vault) -> None:
    backup(one.settings)
    (old,) = one.catalog().backups
    new_identity = rotated(one)
    one.told["identity_file"] = str(new_identity)
    result = reseal(one.settings, remove_old=True)
    (finding,) = result.findings
    assert (finding.id, finding.status) == ("vault.reseal.failed", Status.CRIT)
    assert old.id in finding.summary
    assert one.catalog().backups == (old,)


def test_a_backup_that_is_not_everywhere_anew_is_not_removed(one: Vault, tmp_path: Path) -> None:
    backup(one.settings)
    rotated(one)
    reseal(one.settings)
    anew = next(each for each in one.catalog().backups if each.manifest.resealed_from)
    (tmp_path / "second" / anew.prefix / "manifest.json").unlink()
    result = reseal(one.settings, remove_old=True)
    assert [finding.id for finding in result.findings] == ["vault.reseal.kept"]
    assert len(one.catalog().backups) == 2


def test_a_key_that_others_may_read_is_refused(one: Vault) -> None:
    one.identity_file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keys.identities(str(one.identity_file))
    with pytest.raises(ConfigurationError, match="never overwritten"):
        keys.new_identity(one.identity_file)


@pytest.mark.parametrize("text", ["", "# nothing\n", "AGE-SECRET-KEY-1XYZ\n", "\xff\xfe"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "identity"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="identity_file"):
        keys.identities(str(path))


def test_a_private_key_is_no_recipient(one: Vault) -> None:
    private = one.identity_file.read_text().splitlines()[1]
    with pytest.raises(ConfigurationError, match="private key") as raised:
        recipients.require("recipients[0]", private)
    assert private not in str(raised.value)


def test_the_verb_makes_keys_that_age_takes(tmp_path: Path) -> None:
    private, public = tmp_path / "keys" / "identity.txt", tmp_path / "recipients.txt"
    command = [sys.executable, "-c", "from courtkeeper.cli import main; main()", "vault", "keys", "new"]
    arguments = ["--identity", str(private), "--recipients", str(public)]
    first = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    again = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    assert "Without it no backup can be opened" in first.stdout
    assert "is there already" in again.stdout
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert recipients.in_file(str(public)) == keys.public_of(str(private))
    told = subprocess.run([*command, *arguments, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == {
        "identity_file": str(private), "made": False, "recipients_file": str(public),
        "recipients": keys.public_of(str(private)), "signing_file": "", "signer": "",
    }  # fmt: skip
    other = ["--identity", str(tmp_path / "other.txt"), "--recipients", str(public), "--json"]
    fresh = subprocess.run([*command, *other], capture_output=True, text=True, check=True)
    assert json.loads(fresh.stdout)["made"]
    for file, said in (
        (private, first.stdout + again.stdout + told.stdout),
        (tmp_path / "other.txt", fresh.stdout),
    ):
        assert file.read_text().splitlines()[1] not in said


def test_settings_do_not_print_keys(one: Vault) -> None:
    secret = "s3cret-" * 4
    told = dict(one.told)
    told["destinations"] = [
        {
            "name": "x",
            "kind": "s3",
            "bucket": "abc",
            "access_key": "a",
            "secret_key": secret,
            "session_token": secret,
        }
    ]
    told["sources"] = [
        {"name": "a", "kind": "postgres", "password": secret},
        {"name": "b", "kind": "redis", "password": secret},
    ]
    one.told = told
    assert secret not in repr(one.settings)
    assert secret in msgspec.json.encode(one.settings).decode()
