"""pgBackRest's configuration: what it must hold, what cannot be, who may read it, and the second run."""

from __future__ import annotations

import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.pgbackrest import config, setup
from courtkeeper.vault.pgbackrest.settings import stanzas_file

SECRET = "s3cret/of-the+store"
PASS = "correct horse battery staple"
DISK = {"kind": "directory", "path": "/srv/pgbackrest", "cipher_pass": PASS}
S3 = {
    "kind": "s3",
    "path": "/main",
    "cipher_pass": PASS + "2",
    "bucket": "nba-backups",
    "endpoint": "s3.example.net",
    "port": 9000,
    "ca_file": "/etc/ssl/s3.pem",
    "access_key": "AKIA",
    "secret_key": SECRET,
}


def told(*repositories: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"stanza": "main", "data_directory": "/data", "repositories": list(repositories), **more}


def sections(text: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    name = ""
    for line in text.split("\n"):
        if line.startswith("["):
            name = line.strip("[]")
            found[name] = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            assert key not in found[name]
            found[name][key] = value
    return found


def test_two_repositories_are_configured_and_keep_everything() -> None:
    settings = config.configuration_from(told(DISK, S3, standby={"path": "/replica", "port": 5433}))
    found = sections(config.text_of(settings, cpus=64))
    common, main = found["global"], found["main"]
    assert common["process-max"] == "4"
    assert [common[f"repo{n}-retention-full"] for n in (1, 2)] == ["9999999", "9999999"]
    assert not any("retention-archive" in key for key in common)  # else a backup would let log go by itself
    assert common["repo1-cipher-type"] == common["repo2-cipher-type"] == "aes-256-cbc"
    assert (common["repo2-s3-key-secret"], common["repo2-storage-port"]) == (SECRET, "9000")
    assert common["backup-standby"] == "y"
    assert (main["pg1-path"], main["pg2-path"], main["pg2-port"]) == ("/data", "/replica", "5433")
    # A restore into a directory that is not empty has to be refused.
    assert "delta" not in common


@pytest.mark.parametrize(
    ("repositories", "word"),
    [
        ([], "repositories"),
        ([{**DISK, "path": "srv"}], "path"),
        ([{**DISK, "cipher_pass": "short"}], "cipher_pass"),
        ([{**DISK, "cipher_pass": PASS + "\nrepo1-cipher-type=none"}], "cipher_pass"),
        ([DISK, DISK], "same place"),
        ([{**S3, "endpoint": "https://s3.example.net"}], "endpoint"),
        ([{**S3, "bucket": "No_Bucket"}], "bucket"),
        ([{**S3, "secret_key": ""}], "secret_key"),
        ([{**S3, "ca_file": "/x\ny=1"}], "ca_file"),
    ],
)
def test_what_cannot_be_is_refused_and_says_no_secret(repositories: list[dict[str, Any]], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as raised:
        config.configuration_from(told(*repositories))
    assert SECRET not in str(raised.value)
    assert PASS not in str(raised.value)


@given(st.text(), st.text(), st.text())
def test_no_value_brings_a_line_of_its_own(path: str, secret: str, region: str) -> None:
    given_ = {**S3, "path": "/" + path, "secret_key": secret, "region": region}
    try:
        settings = config.configuration_from(told(given_))
    except ConfigurationError:
        return
    found = sections(config.text_of(settings, cpus=2))
    assert set(found) == {"global", "main"}
    assert found["global"]["repo1-s3-key-secret"] == secret


def debian(tmp_path: Path) -> dict[str, Any]:
    """A host with one cluster, as Debian makes them, with our places below `tmp_path`."""
    cluster = tmp_path / "etc/17/main"
    (cluster / "conf.d").mkdir(parents=True)
    (cluster / "postgresql.conf").write_text("data_directory = '/var/lib/postgresql/17/ma''in'\t# mine\n")
    return {
        "stanza": "main",
        "clusters": str(tmp_path / "etc"),
        "repositories": [{**DISK, "path": str(tmp_path / "repo")}, S3],
        "config": str(tmp_path / "pgbackrest/pgbackrest.conf"),
        "settings_file": str(tmp_path / "courtkeeper/pgbackrest.json"),
        "state_directory": str(tmp_path / "state"),
        "policy": {"full_on": ["sat"]},
        "owner": pwd.getpwuid(os.geteuid()).pw_name,
    }


def test_a_host_is_set_up_once_and_nobody_else_reads_the_secrets(tmp_path: Path) -> None:
    request = debian(tmp_path)
    planned = setup.configure(request, check_mode=True)
    assert planned.changed
    assert not (tmp_path / "repo").exists()
    done = setup.configure(request)
    assert done.actions == planned.actions
    written = Path(request["config"])
    assert stat.S_IMODE(written.stat().st_mode) == 0o640
    assert SECRET in written.read_text()
    assert sections(written.read_text())["main"]["pg1-path"] == "/var/lib/postgresql/17/ma'in"
    assert done.details["version"] == "17"
    for text in (json.dumps(done.to_builtins()), Path(request["settings_file"]).read_text()):
        assert SECRET not in text
        assert PASS not in text
    (stanza,) = stanzas_file(Path(request["settings_file"]))
    assert stanza.policy.full_on == ("sat",)
    snippet = (tmp_path / "etc/17/main/conf.d/courtkeeper-backup.conf").read_text()
    assert "archive_mode = 'on'" in snippet
    assert not setup.configure(request).changed
    written.chmod(0o644)
    assert setup.configure(request).actions == [f"write {written}"]
    assert stat.S_IMODE(written.stat().st_mode) == 0o640


def test_a_second_stanza_joins_the_first_and_a_broken_file_is_written_anew(tmp_path: Path) -> None:
    request = debian(tmp_path)
    setup.configure(request)
    file = Path(request["settings_file"])
    setup.configure({**request, "stanza": "other"})
    assert [stanza.name for stanza in stanzas_file(file)] == ["main", "other"]
    file.write_text("{")
    setup.configure(request)
    assert [stanza.name for stanza in stanzas_file(file)] == ["main"]


def test_a_cluster_that_is_not_there_or_not_the_only_one_is_refused(tmp_path: Path) -> None:
    request = debian(tmp_path)
    with pytest.raises(ConfigurationError, match="no cluster"):
        setup.configure({**request, "cluster": "second"})
    (tmp_path / "etc/15/main").mkdir(parents=True)
    (tmp_path / "etc/15/main/postgresql.conf").touch()
    with pytest.raises(ConfigurationError, match="postgres_backup_version"):
        setup.configure(request)
    assert (
        setup.configure({**request, "version": "15"}).details["data_directory"]
        == "/var/lib/postgresql/15/main"
    )
    with pytest.raises(ConfigurationError, match="full_on"):
        setup.configure({**request, "version": "17", "policy": {"full_on": []}})
