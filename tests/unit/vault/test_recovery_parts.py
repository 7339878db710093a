"""The parts of a recovery that ask no server: wishes, the plan, the journal, a password's verifier."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault import keys
from courtkeeper.vault.catalog import Backup, Catalog, Copy
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.recovery import journal, plan
from courtkeeper.vault.recovery.host import Host, verifier
from courtkeeper.vault.recovery.journal import Journal, Moment
from courtkeeper.vault.recovery.wish import Wish, wish_from
from courtkeeper.vault.settings import VaultSettings, vault_from

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOURCES: list[dict[str, Any]] = [
    {"name": "cache", "kind": "redis"},
    {"name": "database", "kind": "postgres", "host": "127.0.0.1"},
    {"name": "logs", "kind": "files", "paths": ["/var/log"], "growing": True},
    {"name": "config", "kind": "files", "paths": ["/etc"]},
]


def settings(tmp_path: Path | None = None) -> VaultSettings:
    told = {
        "name": "nba",
        "destinations": [{"name": "disk", "kind": "directory", "path": "/srv/backups"}],
        "sources": SOURCES,
        "state_directory": str(tmp_path or ""),
    }
    return vault_from(told, sealing=False)


def backup(
    source: str,
    kind: Any,
    part_kind: Any,
    *,
    days: int = 0,
    server: dict[str, str] | None = None,
    **part: Any,
) -> Backup:
    """One backup of one part."""
    taken_at = NOW - timedelta(days=days)
    digest = "0" * 64
    sizes = {"plain_size": 10, "plain_sha256": digest, "sealed_size": 10, "sealed_sha256": digest}
    found = Manifest(
        vault="nba",
        source=source,
        kind=kind,
        id=f"{taken_at:%Y%m%dT%H%M%SZ}-0000000a",
        taken_at=taken_at,
        finished_at=taken_at,
        duration_s=1.0,
        parts=[Part(name="data", kind=part_kind, **sizes, **part)],
        recipients=[],
        server=server or {},
        recovery_settings={"database.nba.collate": "de_DE.utf8", "database.nba.ctype": "C"},
    )
    return Backup(
        id=found.id,
        vault="nba",
        source=source,
        taken_at=taken_at,
        plain_size=10,
        sealed_size=10,
        copies=(Copy("disk", 10),),
        manifest=found,
    )


def seen() -> Catalog:
    """Every source's backup, and an older one of the database."""
    return Catalog(
        backups=(
            backup("cache", "redis", "redis_rdb", server={"kind": "redis"}, keys={"0": 7}),
            backup("database", "postgres", "pg_dump", server={"version": "15.14 (Debian)"}, database="nba"),
            backup("database", "postgres", "pg_dump", days=3, server={"version": "13.2"}, database="nba"),
            backup("config", "files", "tar", roots=["/etc"]),
            backup("logs", "files", "tar", roots=["/var/log"]),
        ),
        problems=(),
        reached=("disk",),
    )


def test_configuration_comes_first_and_logs_later() -> None:
    found = plan.made(settings(), Wish(), seen(), {})
    assert [each.source.name for each in found.chosen] == ["config", "database", "cache"]
    assert found.left == ("logs",)
    assert found.packages == ("postgresql-15", "redis-server")
    assert found.services == ("postgresql", "redis-server")
    assert found.locales == ("de_DE.UTF-8 UTF-8",)
    told = plan.lines(found, Wish(answers=("http://127.0.0.1/health",)), {}, seen(), NOW)
    assert [line.split()[0] for line in told] == ["install", "restore", "restart", "restore", "load", "wait"]
    assert "how long it takes is not known" in told[1]
    assert "load 7 keys into cache" in told[4]


def test_what_is_named_is_taken() -> None:
    wish = Wish(
        sources=("database", "config"),
        backups={"database": seen().backups[2].id},
        trees={"config": ("/etc/redis/", "/etc/nginx")},
        packages=("nginx", "redis-server"),
        postgres_version="17",
    )
    found = plan.made(settings(), wish, seen(), {})
    assert found.chosen[0].paths == ("/etc/redis", "/etc/nginx")
    assert found.chosen[1].backup.taken_at == NOW - timedelta(days=3)
    assert found.packages == ("postgresql-17", "nginx", "redis-server")
    # What an earlier try took is taken again, whatever came in between.
    fixed = plan.made(settings(), Wish(), seen(), {"database": seen().backups[2].id})
    assert fixed.packages[0] == "postgresql-13"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(sources=("nothing",)), "has no source 'nothing'"),
        (Wish(backups={"logs": "20261122T120000Z-0000000a"}), "'logs' is none of the sources to recover"),
        (
            Wish(backups={"cache": "20261122T120000Z-0000000b"}),
            "no backup '20261122T.*' of cache",
        ),
        (Wish(until="2020-01-01"), "no backup of .* taken by 2020-01-01"),
        (Wish(trees={"config": ("/usr",)}), "/usr is not in .*, which has /etc"),
        (Wish(trees={"cache": ("/etc",)}), "trees.cache is for files"),
    ],
)
def test_what_cannot_be_chosen_is_named(wish: Wish, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        plan.made(settings(), wish, seen(), {})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"backups": {"cache": "newest"}}, "backups.cache 'newest' is no id"),
        ({"until": "yesterday"}, "until 'yesterday' is no moment"),
        ({"trees": {"config": ["etc"]}}, "trees.config 'etc' is no absolute path"),
        ({"trees": {"config": ["/"]}}, "trees.config '/'"),
        ({"answers": ["localhost"]}, "answers 'localhost' is no address"),
        ({"postgres_version": "15; rm"}, "postgres_version"),
        ({"patience_s": 0}, "patience_s"),
    ],
)
def test_a_wrong_wish_is_refused(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        wish_from(told)


def test_a_tree_with_files_is_in_use_unless_it_is_named(tmp_path: Path) -> None:
    tree = tmp_path / "etc"
    tree.mkdir()
    source = settings().source("config")
    assert Host().in_use(source, [str(tree), str(tmp_path / "none")], ()) == ""
    (tree / "file").touch()
    assert Host().in_use(source, [str(tree)], ()) == f"{tree} is not empty"
    assert Host().in_use(source, [str(tree)], (str(tree),)) == ""


def test_servers_elsewhere_are_not_recovered_here() -> None:
    for name in ("cache", "database"):
        source = msgspec.structs.replace(settings().source(name), host="db.example.net")
        assert "and not on this host" in Host().in_use(source, (), ())


def test_what_a_stopped_server_left_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "15" / "main").mkdir(parents=True)
    (tmp_path / "15" / "main" / "PG_VERSION").touch()
    (tmp_path / "dump.rdb").touch()
    host = Host(psql="no-such-program", clusters=str(tmp_path), caches=(str(tmp_path),))
    assert "holds a cluster that does not answer" in host.in_use(settings().source("database"), (), ())
    cache = msgspec.structs.replace(settings().source("cache"), port=1)  # nobody listens there
    assert "of a Redis that does not answer" in host.in_use(cache, (), ())
    assert host.in_use(cache, (), ("cache",)) == ""


def test_the_journal_comes_back_as_it_was(tmp_path: Path) -> None:
    told = settings(tmp_path)
    assert journal.read(told) is None
    now = journal.moment()
    known = Journal(vault="nba", begun=now, last=now, waited_s=1.5, backups={"cache": "x"})
    known.did("cache", Moment(wall=now.wall, boot=now.boot, steady_s=now.steady_s + 2), "cache")
    journal.write(told, known)
    assert journal.read(told) == known
    assert known.is_done("cache")
    assert known.order == "cache 2.0 s"
    assert journal.path_of(told).stat().st_mode & 0o777 == 0o600
    journal.path_of(told).write_text("{")
    with pytest.raises(CourtkeeperError, match="look at it by hand"):
        journal.read(told)


JSON = st.recursive(st.none() | st.text() | st.integers(), st.lists)


@given(st.binary(max_size=200) | JSON.map(json.dumps).map(str.encode))
def test_no_content_of_a_journal_brings_us_down(content: bytes) -> None:
    with contextlib.suppress(msgspec.MsgspecError, ValueError):
        journal.decoded(content)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(-(10**6), 10**6), st.booleans())
def test_time_never_runs_backwards(earlier: float, later: float, jump: int, restarted: bool) -> None:
    one = Moment(wall=NOW, boot="a", steady_s=earlier)
    two = Moment(wall=NOW + timedelta(seconds=jump), boot="b" if restarted else "a", steady_s=later)
    assert two.since(one) == max(jump if restarted else later - earlier, 0)


def test_a_verifier_is_what_libpq_makes_of_the_password() -> None:
    made = verifier("s3cret-ä")
    assert made.startswith("SCRAM-SHA-256$4096:")
    assert made != verifier("s3cret-ä")
    assert "s3cret" not in made


def test_an_identity_is_read_from_its_text(tmp_path: Path) -> None:
    public = keys.new_identity(tmp_path / "identity.txt")
    text = (tmp_path / "identity.txt").read_text()
    assert [str(each.to_public()) for each in keys.identities_in(text)] == [public]
    with pytest.raises(ConfigurationError, match="the identity holds no key"):
        keys.identities_in("# nothing\n")
    with pytest.raises(ConfigurationError, match="no key of age"):
        keys.identities_in("AGE-SECRET-KEY-NONSENSE")
