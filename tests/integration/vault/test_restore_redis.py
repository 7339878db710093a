"""A cache comes back through a scratch server, and is a master again afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result, Status
from courtkeeper.platform.valkey import server_program
from courtkeeper.vault.backup import backup
from courtkeeper.vault.check import check
from courtkeeper.vault.drill.run import drill
from courtkeeper.vault.policy import policy_from
from courtkeeper.vault.restore import asides, replica
from courtkeeper.vault.restore.request import request_from
from courtkeeper.vault.restore.run import restore
from courtkeeper.vault.verify import verify
from support.drills import drill_policy, left
from support.dying import killed_at, steps_of
from support.valkey import Server, valkey_server
from support.vault import Vault, files_source, vault

KEYS = 500


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with valkey_server(tmp_path) as running:
        client(running).config_set("repl-diskless-sync-delay", 0)  # 5 s for each copy of it otherwise
        yield running


@pytest.fixture
def one(tmp_path: Path, server: Server) -> Vault:
    """A vault with a backup of a cache and of a file; afterwards the cache is another."""
    keys = client(server)
    for number in range(KEYS):
        keys.set(f"api:game:{number}", "x" * number)
    place = {"host": server.host, "port": server.port, "password": server.password}
    made = vault(
        tmp_path, [{"name": "cache", "kind": "redis", **place}, files_source(tmp_path / "identity.txt")]
    )
    made.told["name"] = f"r{tmp_path.name[-20:]}".lower().replace("_", "-")
    made.told["policy"] = {"drill": {"server_program": str(server_program())}}
    backup(made.settings)
    keys.flushall()
    keys.set("now", "1")
    return made


def client(server: Server) -> redis.Redis:
    return redis.Redis(server.host, server.port, password=server.password)


def asked(one: Vault, *, check_mode: bool = False, **more: Any) -> Result:
    return restore(one.settings, request_from({"source": "cache", **more}), check_mode=check_mode)


def test_a_cache_in_use_takes_over_the_backup(one: Vault, server: Server) -> None:
    with pytest.raises(ConfigurationError, match="say replace cache"):
        asked(one)
    planned = asked(one, check_mode=True, replace=["cache"])
    assert "1 keys" in planned.actions[1]
    assert client(server).dbsize() == 1

    result = asked(one, replace=["cache"])

    keys = client(server)
    assert keys.dbsize() == KEYS
    assert keys.get("api:game:17") == b"x" * 17
    assert keys.info("replication")["role"] == "master"
    assert keys.config_get("masterauth") == {"masterauth": ""}
    assert keys.set("again", "1")
    former = Path(result.details["former"]["cache"])
    assert former.read_bytes().startswith((b"REDIS", b"VALKEY"))
    assert [path.name for path in Path(one.told["state_directory"]).glob("courtkeeper-drill-*")] == []


def test_it_stays_beside_when_told(one: Vault, server: Server) -> None:
    asked(one, beside=True)
    (aside,) = asides.noted(one.settings)
    assert Path(aside.path).read_bytes().startswith((b"REDIS", b"VALKEY"))
    assert client(server).dbsize() == 1


@pytest.mark.slow
def test_killed_anywhere_it_has_the_one_or_the_other(one: Vault, server: Server) -> None:
    request = request_from({"source": "cache", "replace": ["cache"]})
    work = lambda trace: restore(one.settings, request, trace=trace)  # noqa: E731

    for step in dict.fromkeys(steps_of(work)):
        keys = client(server)
        if keys.info("replication")["role"] == "master":
            keys.flushall()
            keys.set("now", "1")
        killed_at(step, 1, work)
        if step in {"copying", "copied"}:
            require_named_and_mended(one, server)
        assert client(server).dbsize() in (1, KEYS), step
        assert client(server).get("now" if client(server).dbsize() == 1 else "api:game:1") is not None

    restore(one.settings, request)
    keys = client(server)
    assert (keys.dbsize(), keys.info("replication")["role"]) == (KEYS, "master")
    assert [path.name for path in Path(one.told["state_directory"]).glob("courtkeeper-drill-*")] == []
    assert {each.state for each in asides.noted(one.settings)} == {"former"}
    assert standing_in(Path(one.told["state_directory"])) == []


def require_named_and_mended(one: Vault, server: Server) -> None:
    """See that a replica that nobody can write to is named by verification, and ended by the next backup."""
    keys = client(server)
    assert keys.info("replication")["role"] == "slave"
    with pytest.raises(redis.ReadOnlyError):
        keys.set("more", "1")
    policy = policy_from({})
    for look in (verify, check):
        found = look(one.settings, policy, now=datetime.now(UTC)).findings
        (named,) = [each for each in found if each.id == "restore.replica"]
        assert (named.subject, named.status) == ("cache", Status.CRIT)
    assert keys.info("replication")["role"] == "slave"

    done = backup(one.settings, only=["config"])
    assert any("its own master again" in action for action in done.actions)
    assert keys.info("replication")["role"] == "master"
    assert keys.config_get("masterauth") == {"masterauth": ""}
    assert not backup(one.settings, only=["config"], check_mode=True).findings
    assert not list(replica.findings(one.settings))


def test_a_replica_of_a_restore_at_work_is_left_alone(one: Vault, server: Server) -> None:
    seen: list[str] = []

    def meanwhile(step: str) -> None:
        if step == "copied":
            seen.append(client(server).info("replication")["role"])
            assert replica.release(one.settings) == ([], [])
            assert not list(replica.findings(one.settings))
            seen.append(client(server).info("replication")["role"])

    restore(one.settings, request_from({"source": "cache", "replace": ["cache"]}), trace=meanwhile)
    assert seen == ["slave", "slave"]
    server.stop()
    replica.mark(one.settings, one.settings.source("cache"), one.settings.source("cache"), auth=False)
    (unknown,) = replica.findings(one.settings)
    assert unknown.status is Status.UNKNOWN
    assert "cannot be reached" in unknown.summary


def test_where_its_connection_is_lost_while_it_copies_it_is_a_master_again(
    one: Vault, server: Server
) -> None:
    def lose(step: str) -> None:
        if step == "copying":
            client(server).client_kill_filter(_type="normal", skipme=True)

    with pytest.raises(CourtkeeperError, match=r"closed the connection|cannot be reached") as failed:
        restore(one.settings, request_from({"source": "cache", "replace": ["cache"]}), trace=lose)

    assert "may still be" not in str(failed.value)
    keys = client(server)
    assert keys.info("replication")["role"] == "master"
    assert keys.config_get("masterauth") == {"masterauth": ""}
    assert keys.set("again", "1")
    assert failed.value.partial is not None
    (former,) = [each for each in failed.value.partial.findings if each.id == "restore.former"]
    assert Path(asides.noted(one.settings)[0].path).name in former.summary
    assert not list(replica.findings(one.settings))


def test_where_it_cannot_be_made_a_master_again_that_is_said(one: Vault, server: Server) -> None:
    def stop(step: str) -> None:
        if step == "copying":
            server.stop()

    with pytest.raises(CourtkeeperError, match=r"; cache may still be the replica .*run a backup"):
        restore(one.settings, request_from({"source": "cache", "replace": ["cache"]}), trace=stop)

    (left,) = replica.findings(one.settings)
    assert left.status is Status.UNKNOWN


def standing_in(directory: Path) -> list[str]:
    """The processes that work in a directory below, gone or not."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [str(entry)] if str(entry.readlink()).startswith(f"{directory}/") else []
    return found


def test_caches_and_files_are_drilled_too(one: Vault, server: Server) -> None:
    result = drill(one.settings, drill_policy(server_program=str(server_program())))

    assert {finding.status for finding in result.findings} == {Status.OK}, result.findings
    assert result.metrics["proven_count"] == 2
    assert all(taken.proven_at for taken in one.catalog().backups)
    assert client(server).dbsize() == 1
    assert left(one.settings.name) == []


def test_what_no_server_loads_is_not_proven(one: Vault) -> None:
    result = drill(one.settings, drill_policy(server_program="/bin/false"), sources=["cache"])
    (finding,) = result.findings
    assert (finding.id, finding.status) == ("drill.restore", Status.CRIT)
    assert "cannot load the RDB" in finding.summary
    with pytest.raises(CourtkeeperError):
        drill(one.settings, drill_policy(), sources=["other"])
