"""What lies in a vault by accident or on purpose hides no backup beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.vault import catalog
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.catalog import Catalog
from courtkeeper.vault.destinations import Destination, DestinationError
from support.backups import DAY, NOW, hollow
from support.vault import Vault, vault


@pytest.fixture
def three(tmp_path: Path) -> Vault:
    """A vault of one directory with three backups."""
    made = vault(tmp_path, [])
    for n in range(3):
        hollow(made.destinations, NOW - n * DAY, number=n)
    return made


class Unreadable:
    """A destination whose disk, or store, does not give out some manifests."""

    def __init__(self, inner: Destination, prefixes: set[str], why: Any) -> None:
        self._inner, self._prefixes, self._why = inner, prefixes, why

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if key.rpartition("/")[0] + "/" in self._prefixes:
            raise DestinationError(f"destination {self._inner.name}: Input/output error", self._why)
        return self._inner.read(key, offset, length)


def seen(made: Vault, prefixes: set[str], why: Any) -> Catalog:
    return catalog.load("nba", [Unreadable(made.destinations[0], prefixes, why)])


def test_one_manifest_that_cannot_be_read_hides_no_other(three: Vault) -> None:
    newest, *others = three.catalog().backups
    for why in ("unreachable", "denied", "damaged"):
        found = seen(three, {newest.prefix}, why)
        assert list(found.backups) == others
        (problem,) = found.problems
        assert (problem.kind, problem.prefix, problem.held) == ("manifest", newest.prefix, True)
        assert "Input/output error" in problem.sentence
        assert found.reached == ("local",)


def test_a_destination_that_gives_out_nothing_is_away(three: Vault) -> None:
    found = seen(three, {each.prefix for each in three.catalog().backups}, "unreachable")
    assert found.reached == ()
    assert found.backups == ()
    assert "unreachable" in [problem.kind for problem in found.problems]


def test_a_manifest_larger_than_any_hides_no_other(three: Vault) -> None:
    newest, *others = three.catalog().backups
    os.truncate(three.home / "local" / newest.prefix / manifests.NAME, manifests.MAX_BYTES + 1)
    found = three.catalog()
    assert list(found.backups) == others
    assert [problem.kind for problem in found.problems] == ["manifest"]
    assert found.reached == ("local",)


def test_what_is_no_file_is_not_read(three: Vault) -> None:
    newest = three.catalog().backups[0]
    for name in (manifests.NAME, "nba.dump.zst.age", "hold.json"):
        path = three.home / "local" / newest.prefix / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    found = three.catalog()
    assert newest.id not in [each.id for each in found.backups]
    assert len(found.backups) == 2
