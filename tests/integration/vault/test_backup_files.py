"""Directories go into the vault as one tar, and what changed meanwhile is named."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from courtkeeper.findings import CourtkeeperError, Status
from courtkeeper.vault.backup import backup
from support.vault import Vault, files_source, vault


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "etc"
    (root / "nginx" / "cache").mkdir(parents=True)
    (root / "nginx" / "nginx.conf").write_text("worker_processes 2;\n")
    (root / "nginx" / "cache" / "left-out").write_text("x")
    (root / "länge-\udcff").write_bytes(b"z" * 70_001)
    (root / "empty").touch()
    (root / "link").symlink_to("nginx/nginx.conf")
    os.link(root / "empty", root / "second-name")
    (root / ("d" * 120)).mkdir()
    (root / ("d" * 120) / ("f" * 130)).write_text("long")
    (root / "secret").write_text("s")
    (root / "secret").chmod(0o600)
    return root


def tar_of(one: Vault) -> bytes:
    (taken,) = one.catalog().backups
    return one.plain(taken, "data.tar.zst.age")


def test_a_tree_comes_out_as_it_was(tmp_path: Path, tree: Path) -> None:
    one = vault(tmp_path, [files_source(tree, exclude=["*/cache/*"])])
    before = {path: path.lstat().st_atime_ns for path in sorted(tree.rglob("*")) if path.is_file()}
    result = backup(one.settings)

    assert {finding.status for finding in result.findings} == {Status.OK}
    assert before == {path: path.lstat().st_atime_ns for path in before}, "reading touched the source"
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-x", "-C", out], input=tar_of(one), check=True)
    inside = out / str(tree).lstrip("/")
    found = {str(path.relative_to(inside)) for path in inside.rglob("*")}
    assert found == {str(path.relative_to(tree)) for path in tree.rglob("*")} - {"nginx/cache/left-out"}
    for path in tree.rglob("*"):
        copy = inside / path.relative_to(tree)
        if copy.exists() and not path.is_symlink():
            assert copy.stat().st_mode == path.stat().st_mode
            assert int(copy.stat().st_mtime) == int(path.stat().st_mtime)
            if path.is_file():
                assert copy.read_bytes() == path.read_bytes()
    assert (inside / "link").readlink() == Path("nginx/nginx.conf")
    assert (inside / "empty").stat().st_ino == (inside / "second-name").stat().st_ino


def test_the_same_tree_is_the_same_tar(tmp_path: Path, tree: Path) -> None:
    one = vault(tmp_path, [files_source(tree)])
    backup(one.settings)
    backup(one.settings)
    first, second = one.catalog().backups
    assert first.manifest.parts[0].plain_sha256 == second.manifest.parts[0].plain_sha256
    assert first.manifest.parts[0].sealed_sha256 != second.manifest.parts[0].sealed_sha256


def test_what_changes_while_it_is_read_is_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "a-shrinks").write_bytes(os.urandom(8 << 20))
    (root / "b-grows").write_bytes(os.urandom(3 << 20))
    (root / "c-vanishes").write_bytes(b"c")
    one = vault(tmp_path, [files_source(root)])
    one.told["pace"] = {"rate_mb_s": 6}

    def disturb() -> None:
        os.truncate(root / "a-shrinks", 1000)

    done = threading.Event()

    def progress(_done: int, _total: int, text: str) -> None:
        if "data.tar" in text and not done.is_set():
            done.set()
            disturb()
            (root / "c-vanishes").unlink()
            with (root / "b-grows").open("ab") as stream:
                stream.write(b"more")

    result = backup(one.settings, progress=progress)
    assert done.is_set()
    (taken,) = one.catalog().backups
    changed = taken.manifest.parts[0].changed
    assert any("a-shrinks: lost its last" in sentence for sentence in changed), changed
    assert any("c-vanishes: vanished" in sentence for sentence in changed)
    assert [finding.status for finding in result.findings if finding.id == "vault.source.changed"] == [
        Status.WARN
    ]
    with tarfile.open(fileobj=io.BytesIO(tar_of(one))) as archive:
        assert len(archive.getmembers()) == 3


def test_a_source_that_fails_ends_its_own_backup_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "fine").write_text("x")
    one = vault(tmp_path, [files_source(tmp_path / "nothing"), files_source(tmp_path / "fine", name="other")])
    result = backup(one.settings)

    assert [(finding.subject, finding.status) for finding in result.findings] == [
        ("config", Status.CRIT),
        ("other", Status.OK),
    ]
    assert [taken.source for taken in one.catalog().backups] == ["other"]
    one.told["sources"].pop()
    with pytest.raises(CourtkeeperError, match="no source could be backed up"):
        backup(one.settings)


def test_what_cannot_be_read_ends_the_backup_of_its_source(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.read

    def failing(descriptor: int, size: int) -> bytes:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith("nginx.conf"):
            raise OSError(5, "Input/output error")
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", failing)
    one = vault(tmp_path, [files_source(tree)])
    with pytest.raises(CourtkeeperError, match=r"nginx\.conf cannot be read"):
        backup(one.settings)
    assert one.files("local") == []
