"""Trees come back beside those in use, and change places with them in one moment."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result
from courtkeeper.vault.backup import backup
from courtkeeper.vault.restore import asides
from courtkeeper.vault.restore.former import former
from courtkeeper.vault.restore.request import request_from
from courtkeeper.vault.restore.run import restore
from courtkeeper.vault.restore.trees import Unpacking
from support.vault import Vault, files_source, vault


@pytest.fixture
def one(tmp_path: Path) -> Vault:
    """A vault with a backup of a tree and a file."""
    tree = tmp_path / "etc" / "app"
    (tree / "conf.d").mkdir(parents=True)
    (tree / "conf.d" / "a.conf").write_text("a = 1\n")
    (tree / "secret").write_text("s")
    (tree / "secret").chmod(0o600)
    (tree / "link").symlink_to("/usr/share/elsewhere")
    os.link(tree / "secret", tree / "twin")
    (tmp_path / "etc" / "alone").write_text("alone")
    made = vault(tmp_path, [files_source(tree, tmp_path / "etc" / "alone")])
    backup(made.settings)
    return made


def asked(one: Vault, *, check_mode: bool = False, **more: Any) -> Result:
    return restore(one.settings, request_from({"source": "config", **more}), check_mode=check_mode)


def test_a_tree_in_use_changes_places_with_the_backup(one: Vault) -> None:
    etc = one.home / "etc"
    tree, alone = etc / "app", etc / "alone"
    (tree / "conf.d" / "a.conf").write_text("a = 2\n")
    (tree / "new").touch()
    with pytest.raises(ConfigurationError, match="is in use: say replace"):
        asked(one)
    planned = asked(one, check_mode=True, replace=[str(tree), str(alone)])
    assert len(planned.actions) == 4
    assert sorted(path.name for path in etc.iterdir()) == ["alone", "app"]

    result = asked(one, replace=[str(tree), str(alone)])

    assert (tree / "conf.d" / "a.conf").read_text() == "a = 1\n"
    assert not (tree / "new").exists()
    assert (tree / "secret").stat().st_mode & 0o777 == 0o600
    assert (tree / "twin").samefile(tree / "secret")
    assert (tree / "link").readlink() == Path("/usr/share/elsewhere")
    before = Path(result.details["former"][str(tree)])
    assert (before / "conf.d" / "a.conf").read_text() == "a = 2\n"
    kept = former(one.settings, "config")
    assert {each["state"] for each in kept.details["beside"]} == {"former"}
    with pytest.raises(ConfigurationError, match="not put aside by a restore"):
        former(one.settings, "config", remove=[str(tree)])
    former(one.settings, "config", remove=[str(before)])
    assert not before.exists()
    assert len(asides.noted(one.settings)) == 1


def test_one_tree_below_comes_back_where_nothing_is(one: Vault) -> None:
    below = one.home / "etc" / "app" / "conf.d"
    (below / "a.conf").unlink()
    below.rmdir()

    asked(one, path=str(below))

    assert (below / "a.conf").read_text() == "a = 1\n"
    assert asides.noted(one.settings) == []
    with pytest.raises(ConfigurationError, match="is not in"):
        asked(one, path="/somewhere/else")


@pytest.mark.parametrize("step", ["noted", "unpacked"])
def test_what_fails_leaves_nothing(one: Vault, step: str) -> None:
    def trace(now: str) -> None:
        if now == step:
            raise CourtkeeperError("no more")

    tree = str(one.home / "etc" / "app")
    with pytest.raises(CourtkeeperError, match="no more"):
        restore(
            one.settings, request_from({"source": "config", "path": tree, "replace": [tree]}), trace=trace
        )
    assert sorted(path.name for path in (one.home / "etc").iterdir()) == ["alone", "app"]
    assert asides.noted(one.settings) == []


@pytest.mark.parametrize(
    ("name", "link"), [("etc/app/../../out", ""), ("etc/app/way/out", "/srv"), ("etc/app/way/out", "../..")]
)
def test_nothing_is_written_outside_of_its_tree(tmp_path: Path, name: str, link: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(_member("etc/app", tarfile.DIRTYPE))
        if link:
            archive.addfile(_member("etc/app/way", tarfile.SYMTYPE, link))
        archive.addfile(_member(name, tarfile.REGTYPE))
    unpacking = Unpacking({"/etc/app": str(tmp_path / "app.beside")})
    unpacking.write(packed.getvalue())
    with pytest.raises(CourtkeeperError, match="outside of its tree"):
        unpacking.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["app.beside"]


def _member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, 0o755
    return member
