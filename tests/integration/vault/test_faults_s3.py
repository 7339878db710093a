"""What befalls a bucket: no fault leaves a backup that looks good and is not, none hides the good copy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from courtkeeper.findings import CourtkeeperError, Result
from courtkeeper.vault.backup import backup
from courtkeeper.vault.destinations import DestinationError
from support.s3 import S3, SECRET_KEY
from support.s3_proxy import Proxy, gets, manifest, part, puts, s3_proxy
from support.vault import Vault, files_source, vault

pytestmark = pytest.mark.slow

PART = "data.tar.zst.age"
SIZE = 6_000_000


@pytest.fixture
def proxy(s3: S3) -> Iterator[Proxy]:
    """S3 behind a proxy that can fail."""
    with s3_proxy(s3) as running:
        yield running


@pytest.fixture
def one(tmp_path: Path, proxy: Proxy) -> Vault:
    """A vault of 6 MB that nothing compresses, on a directory and in a bucket, in two parts there."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "file").write_bytes(os.urandom(SIZE))
    made = vault(tmp_path, [files_source(root)])
    made.told["destinations"].append(proxy.destination())
    made.told["pace"] = {"attempts": 2}
    return made


def judged(one: Vault, newest: int | None = None) -> dict[str, list[str]]:
    """Return which destinations hold each backup that looks good, having seen that all (or so many) are."""
    content = (one.home / "data" / "file").read_bytes()
    backups = one.catalog().backups
    for taken in backups[:newest]:
        for place in taken.where:
            assert content in one.plain(taken, PART, place), f"{place} looks good and is not"
    return {taken.id: list(taken.where) for taken in backups}


def statuses(result: Result) -> set[tuple[str, str]]:
    assert SECRET_KEY not in str(result.to_builtins())
    return {(finding.id, str(finding.status)) for finding in result.findings}


LATE = ("vault.destination.late", "warn")
FAILED = ("vault.destination.failed", "crit")
DONE = ("vault.backup.done", "ok")


def test_without_a_fault_both_have_it(one: Vault) -> None:
    assert statuses(backup(one.settings)) == {DONE}
    assert list(judged(one).values()) == [["local", "remote"]]


@pytest.mark.parametrize(
    ("what", "matches", "times"),
    [
        ("503", puts, 1),  # tried again by boto3 itself
        ("cut", part(2), 1),
        ("truncate", part(1), 1),
        ("truncate", part(2), 1),
        ("corrupt", part(1), 1),
        ("lose", part(2), 1),
        ("lose", manifest, 1),
        ("truncate", manifest, 1),
        ("503", manifest, 3),
        ("503", part(2), 3),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_passes_is_made_good(one: Vault, proxy: Proxy, what: str, matches, times: int) -> None:
    fault = proxy.fault(what, matches, times)
    result = backup(one.settings)
    assert fault.happened == times
    assert statuses(result) in ({DONE}, {DONE, LATE})
    assert list(judged(one).values()) == [["local", "remote"]]
    assert proxy.s3.uploads() == []


def test_where_etags_are_no_md5_the_size_tells_that_a_part_was_cut_short(one: Vault, proxy: Proxy) -> None:
    one.told["destinations"][1]["server_side_encryption"] = "aws:kms"
    fault = proxy.fault("truncate", part(2), 1)
    assert statuses(backup(one.settings)) == {DONE, LATE}
    assert fault.happened == 1
    assert list(judged(one).values()) == [["local", "remote"]]


def test_what_stays_is_named_and_hides_no_other(one: Vault, proxy: Proxy) -> None:
    assert statuses(backup(one.settings)) == {DONE}
    before = judged(one)
    for what, matches in [
        ("503", puts),
        ("403", puts),
        ("cut", part(2)),
        ("truncate", part(1)),
        ("corrupt", part(2)),
        ("lose", part(2)),
        ("lose", manifest),
        ("truncate", manifest),
        ("corrupt", manifest),
        ("403", manifest),
    ]:
        case = f"{what} {matches.__name__}"
        fault = proxy.fault(what, matches)
        result = backup(one.settings)
        assert fault.happened, case
        assert statuses(result) == {DONE, FAILED}, case
        (failed,) = [finding for finding in result.findings if finding.id == FAILED[0]]
        assert failed.subject == "remote/config", case
        assert "destination remote" in failed.summary, case
        proxy.faults.clear()
        now = judged(one, newest=1)
        assert {key: where for key, where in now.items() if key in before} == before, case
        assert [where for key, where in now.items() if key not in before] == [["local"]], case
        before = now
    assert statuses(backup(one.settings)) == {DONE}
    assert next(iter(judged(one).values())) == ["local", "remote"]


def test_a_bucket_that_answers_again_gets_its_copy(one: Vault, proxy: Proxy) -> None:
    proxy.fault("403", lambda method, path: method == "GET" and "list-type=2" in path, 1)
    assert statuses(backup(one.settings)) == {DONE, LATE}
    assert list(judged(one).values()) == [["local", "remote"]]


@pytest.mark.parametrize("wrong", [{"bucket": "another-bucket"}, {"endpoint_url": "https://127.0.0.1:9"}])
def test_a_wrong_place_is_named(one: Vault, wrong: dict[str, str]) -> None:
    one.told["destinations"][1] |= wrong
    result = backup(one.settings)
    assert statuses(result) == {DONE, FAILED}
    (failed,) = [finding for finding in result.findings if finding.id == FAILED[0]]
    assert wrong.get("bucket", "mend the address") in failed.summary
    assert "mend the " in failed.summary
    assert list(judged(one).values()) == [["local"]]


def test_a_slow_link_is_left_behind_and_served_afterwards(one: Vault, proxy: Proxy) -> None:
    (one.home / "data" / "file").write_bytes(os.urandom(6 * SIZE))
    slow = proxy.fault("slow", part(2), 1, rate=4e5)
    one.told["pace"] = {"patience_s": 0.5}
    one.told["destinations"][1]["timeout_s"] = 30
    assert statuses(backup(one.settings)) == {DONE, LATE}
    assert slow.happened == 1
    assert list(judged(one).values()) == [["local", "remote"]]


def test_a_bucket_alone_that_fails_leaves_nothing(one: Vault, proxy: Proxy) -> None:
    one.told["destinations"].pop(0)
    proxy.fault("truncate", part(2))
    with pytest.raises(CourtkeeperError, match="destination remote"):
        backup(one.settings)
    assert one.catalog().backups == ()
    assert proxy.s3.keys() == []
    assert proxy.s3.uploads() == []


def test_a_download_that_breaks_off_goes_on_where_it_broke(one: Vault, proxy: Proxy) -> None:
    backup(one.settings)
    fault = proxy.fault("cut", gets, 2)
    assert list(judged(one).values()) == [["local", "remote"]]
    assert fault.happened == 2
    always = proxy.fault("cut", gets)
    (taken,) = one.catalog().backups
    with pytest.raises(DestinationError, match="destination remote"):
        one.plain(taken, PART, "remote")
    assert always.happened


def test_the_good_copy_may_be_the_bucket(one: Vault, proxy: Proxy) -> None:
    one.told["destinations"][0]["path"] = str(one.home / "data" / "file" / "no-directory")
    assert statuses(backup(one.settings)) == {DONE, FAILED}
    assert list(judged(one).values()) == [["remote"]]
