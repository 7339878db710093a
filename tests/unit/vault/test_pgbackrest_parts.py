"""What pgBackRest says is read or refused, never misread; the log's gaps; what is due when."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.pgbackrest import archiving, info, swap, verifying, wal
from courtkeeper.vault.pgbackrest.command import PgbackrestError
from courtkeeper.vault.pgbackrest.due import due
from courtkeeper.vault.pgbackrest.info import Backup
from courtkeeper.vault.pgbackrest.settings import StanzaPolicy, stanza_from
from courtkeeper.vault.pgbackrest.swap import Step
from courtkeeper.vault.pgbackrest.wal import Listing, Place
from courtkeeper.vault.retention import Policy

NOW = datetime(2026, 2, 12, 6, tzinfo=UTC)  # a Thursday
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
SAID = {
    "archive": [{"database": {"id": 1, "repo-key": 1}, "id": "15-1", "max": "0" * 24, "min": "0" * 24}],
    "backup": [
        {
            "annotation": {"courtkeeper-proven": "20260211T060000Z"},
            "archive": {"start": "000000010000000000000002", "stop": "000000010000000000000003"},
            "backrest": {"format": 5, "version": "2.45"},
            "database": {"id": 1, "repo-key": 1},
            "error": False,
            "info": {"delta": 5, "repository": {"delta": 2, "size": 2}, "size": 5},
            "label": "20260211-060000F",
            "prior": None,
            "reference": None,
            "timestamp": {"start": 1770789600, "stop": 1770789660},
            "type": "full",
        }
    ],
    "db": [{"id": 1, "repo-key": 1, "system-id": 77, "version": "15"}],
    "name": "main",
    "repo": [{"cipher": "aes-256-cbc", "key": 1, "status": {"code": 0, "message": "ok"}}],
    "status": {"code": 0, "lock": {"backup": {"held": True}}, "message": "ok"},
}


def test_what_info_says_is_read() -> None:
    found = info.parsed(json.dumps([SAID]), "main")
    assert found.busy
    assert found.archive(1) == "15-1"
    assert found.archive(2) == ""
    (backup,) = found.backups
    assert (backup.label, backup.kind, backup.stored, backup.archive) == (
        "20260211-060000F",
        "full",
        2,
        "15-1",
    )
    assert backup.proven_at == datetime(2026, 2, 11, 6, tzinfo=UTC)
    assert backup.candidate().good
    assert not backup.candidate(whole=False).good


@given(st.text() | st.binary().map(lambda each: each.decode("latin-1")) | JSON.map(json.dumps))
def test_what_is_no_info_is_refused(text: str) -> None:
    for read in (
        lambda: info.parsed(text, "main"),
        lambda: wal.listed(text),
    ):
        try:
            read()
        except PgbackrestError:
            continue


@given(st.sampled_from(sorted(SAID)), st.sampled_from(sorted(SAID["backup"][0])), JSON, JSON)  # type: ignore[index]
def test_a_changed_info_is_read_or_refused(key: str, inner: str, one: object, other: object) -> None:
    backup = {**SAID["backup"][0], inner: one}  # type: ignore[index]
    for changed in ({**SAID, key: other}, {**SAID, "backup": [backup]}):
        try:
            found = info.parsed(json.dumps([changed]), "main")
        except PgbackrestError:
            continue
        assert all(each.taken_at.tzinfo for each in found.backups)


VERIFIED = """\
INFO: invalid checksum '20260211-060000F/pg_data/base/5/1255.zst'
stanza: main
status: error
  archiveId: 15-1, total WAL checked: 5, total valid WAL: 4
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
  backup: 20260211-060000F, status: invalid, total files checked: 964, total valid files: 963
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
  backup: 20260210-060000F, status: valid, total files checked: 964, total valid files: 964
"""


def test_the_text_of_verify_is_believed() -> None:
    found = verifying.parsed(VERIFIED)
    assert found.good is False
    assert found.bad == ("20260211-060000F",)
    assert found.checked == ("20260211-060000F", "20260210-060000F")
    assert found.files == ("20260211-060000F/pg_data/base/5/1255.zst (invalid checksum)",)
    assert found.log_lost == 1
    assert verifying.parsed("stanza: main\nstatus: ok\n").good is True
    assert verifying.parsed("status: ok\n  backup: L, status: manifest missing, total").good is False


@given(st.text() | st.lists(st.sampled_from(VERIFIED.split("\n"))).map("\n".join))
def test_a_text_without_a_status_is_never_good(text: str) -> None:
    found = verifying.parsed(text)
    if "status: ok" not in text:
        assert not found.good
    if "status: error" in text or "invalid checksum '" in text:
        assert not found.good


SIZES = st.sampled_from([1 << 20, 16 << 20, 1 << 30])


@given(st.integers(1, 3), st.integers(0, 600), st.integers(0, 40), st.data(), SIZES)
def test_each_missing_segment_is_named_and_no_other(
    timeline: int, first: int, more: int, data: st.DataObject, size: int
) -> None:
    names = [Place(timeline, first + each).name(size) for each in range(more + 1)]
    gone = data.draw(st.sets(st.sampled_from(names)))
    listing = Listing(segments={name: NOW for name in names if name not in gone})
    waiting = data.draw(st.sets(st.sampled_from(names)))
    found = wal.gaps(names[0], Place(timeline, first + more), listing, waiting=waiting, segment_bytes=size)
    named = []
    for gap in found:
        start, stop = names.index(gap.first), names.index(gap.last)
        assert gap.count == stop - start + 1
        named += names[start : stop + 1]
    assert named == [name for name in names if name in gone and name not in waiting]


@given(st.integers(0, 1 << 33), SIZES)
def test_a_place_has_one_name(number: int, size: int) -> None:
    place = Place(7, number)
    assert wal.place_of(place.name(size), size) == place


def test_the_log_is_followed_over_timelines() -> None:
    size = wal.SEGMENT_BYTES
    path = wal.history("1\t0/5000098\tno recovery target specified\n\n2\t0/7000000\tbefore 2026\n", size)
    assert path == [(1, 5), (2, 7)]
    wanted = [(1, 3), (1, 4), (2, 5), (2, 6), (3, 7), (3, 8)]
    names = [Place(*each).name(size) for each in wanted]
    assert list(wal.between(Place(1, 3), Place(3, 8), path)) == [Place(*each) for each in wanted]
    listing = Listing(segments=dict.fromkeys(names, NOW))
    assert wal.gaps(names[0], Place(3, 8), listing, path=path) == []
    # A segment of a branch that was given up helps nobody.
    del listing.segments[names[3]]
    listing.segments[Place(1, 6).name(size)] = NOW
    (gap,) = wal.gaps(names[0], Place(3, 8), listing, path=path)
    assert gap.text == "000000020000000000000006"
    assert gap.before_at == NOW
    assert list(wal.between(Place(4, 1), Place(3, 8), path)) == []


@given(st.text())
def test_a_history_is_read_or_refused(text: str) -> None:
    try:
        wal.history(text, wal.SEGMENT_BYTES)
    except PgbackrestError:
        return


@pytest.mark.parametrize(
    ("command", "pushes"),
    [
        ("pgbackrest --stanza=main archive-push %p", True),
        ("/usr/bin/pgbackrest --config=/x --stanza main archive-push %p", True),
        ("pgbackrest --stanza=other archive-push %p", False),
        ("test ! -f /mnt/%f && cp %p /mnt/%f", False),
        ("pgbackrest --stanza=main archive-push '%p", False),
        ("", False),
    ],
)
def test_an_archive_command_is_ours_or_not(command: str, *, pushes: bool) -> None:
    assert archiving.pushes(command, "main") is pushes


def taken(kind: str, hours_ago: float, **more: object) -> Backup:
    at = NOW - timedelta(hours=hours_ago)
    told = {
        "label": f"{at:%Y%m%d-%H%M%S}F",
        "repository": 1,
        "kind": kind,
        "started_at": at,
        "taken_at": at,
        "error": False,
        "needs": (),
        "wal_start": "",
        "wal_stop": "",
        "archive": "15-1",
        "size": 1,
        "stored": 1,
        "annotations": {},
    }
    return Backup(**{**told, **more})  # type: ignore[arg-type]


DAMAGED = {"annotations": {info.DAMAGED: "20260212T050000Z"}}


@pytest.mark.parametrize(
    ("backups", "kind"),
    [
        ([], "full"),
        ([taken("full", -48)], "full"),  # of the future: a clock that jumped
        ([taken("full", 90)], "diff"),  # Sunday's, and Wednesday has begun since
        ([taken("full", 110)], "full"),  # Saturday's: Sunday was missed
        ([taken("full", 90), taken("incr", 3)], None),
        ([taken("full", 90), taken("incr", 21)], "diff"),  # Wednesday has begun since the last
        ([taken("full", 90), taken("diff", 25), taken("incr", 21)], "incr"),
        ([taken("full", 90, **DAMAGED)], "full"),
        ([taken("full", 90), taken("incr", 1, **DAMAGED)], "full"),
        ([taken("full", 90, error=True), taken("incr", 21)], "diff"),
    ],
)
def test_what_is_due(backups: list[Backup], kind: str | None) -> None:
    policy = StanzaPolicy(differential_on=("wed",), retention=Policy(time_zone="Europe/Berlin"))
    assert due(backups, policy, NOW)[0] == kind


def test_a_policy_that_names_its_retention_promises_a_week_all_the_same() -> None:
    assert stanza_from({"name": "main"}).policy.retention.window_days == 7
    told = stanza_from({"name": "main", "policy": {"retention": {"daily": 3}}})
    assert (told.policy.retention.daily, told.policy.retention.window_days) == (3, 7)


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"name": "../etc"}, "name"),
        ({"name": "main", "config": "pgbackrest.conf"}, "config"),
        ({"name": "main", "policy": {"full_on": ["someday"]}}, "someday"),
        ({"name": "main", "policy": {"full_on": []}}, "full_on"),
        ({"name": "main", "policy": {"retention": {"dayly": 3}}}, "dayly"),
        ({"name": "main", "policy": {"fresh_hours": 0}}, "fresh_hours"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(told: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        stanza_from(told)


@given(st.one_of(st.binary(max_size=80), JSON.map(lambda found: json.dumps(found).encode())))
def test_what_is_no_note_of_a_restore_is_refused(content: bytes) -> None:
    with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError):
        swap.decoded(content)


@given(st.text(max_size=30))
def test_a_note_names_no_place_but_those_beside_the_data_directory(stamp: str) -> None:
    step = Step(data="/srv/15/main", stamp=stamp, service="", text="", request={})
    try:
        found = swap.decoded(msgspec.json.encode(step))
    except (msgspec.MsgspecError, ValueError, UnicodeError):
        return
    assert found.recovering.parent == found.former.parent == Path("/srv/15")
    assert found.former.name == f"main.former-{stamp}"


@pytest.mark.parametrize("lost", [True, False])
def test_a_server_that_is_not_taken_back_keeps_its_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lost: bool
) -> None:
    """The service stops once and nothing more; `lost`: what was recovered is gone, too."""
    programs, data = tmp_path / "programs", tmp_path / "data"
    for path in (programs, data, tmp_path / "state"):
        path.mkdir()
    (programs / "systemctl").write_text(
        f"#!/bin/sh\n[ $1 = stop ] && mkdir {tmp_path}/stopped 2>&- && exit 0\necho cannot $1 >&2; exit 1\n"
    )
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    (data / "former").touch()
    owner = pwd.getpwuid(os.geteuid()).pw_name
    stanza = stanza_from({"name": "main", "owner": owner, "state_directory": str(tmp_path / "state")})
    step = Step(
        data=str(data), stamp="20260212T060000Z", service="pg", text="it", request={}, inode=1, had=True
    )
    if not lost:
        step.beside.mkdir()
        step = msgspec.structs.replace(step, inode=step.beside.stat().st_ino)
    swap.note(stanza, step)

    with pytest.raises(swap.NotTakenBackError) as failed:
        swap.swapped(stanza, step)

    kept = data if lost else step.former
    assert (kept / "former").exists()
    said = str(failed.value)
    assert f"which is in {kept}, is not in use again (systemctl {'start' if lost else 'stop'} pg" in said
    assert ("No such file" if lost else "cannot start") in said
    assert swap.noted(stanza, str(data), "pg") == step
