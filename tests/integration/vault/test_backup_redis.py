"""A Valkey's keys go over the wire into the vault, and a fresh server loads what comes out."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from courtkeeper.findings import CourtkeeperError, Status
from courtkeeper.vault.backup import backup
from support.valkey import Server, valkey_server
from support.vault import vault

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with valkey_server(tmp_path) as running:
        yield running


def client(server: Server) -> redis.Redis:
    return redis.Redis(server.host, server.port, password=server.password)


def source(server: Server, **more: Any) -> dict[str, Any]:
    place = {"host": server.host, "port": server.port, "password": server.password}
    return {"name": "cache", "kind": "redis", **place, **more}


def test_keys_come_out_as_they_went_in(tmp_path: Path, server: Server) -> None:
    keys = client(server)
    keys.config_set("repl-diskless-sync-delay", 0)
    for number in range(3000):
        keys.set(f"api:game:{number}", "x" * number)
    keys.hset("hash", mapping={"a": "1"})
    before = {name: keys.config_get(name) for name in ("save", "appendonly", "dir")}
    one = vault(tmp_path, [source(server)])
    result = backup(one.settings)

    assert {finding.status for finding in result.findings} == {Status.OK}
    (taken,) = one.catalog().backups
    part = taken.manifest.parts[0]
    assert part.keys == {"0": 3001}
    rdb = one.plain(taken, part.name)
    assert rdb.startswith((b"REDIS", b"VALKEY"))
    assert {name: keys.config_get(name) for name in before} == before
    assert keys.info("replication")["connected_slaves"] == 0
    keys.config_set("appendonly", "no")
    server.stop()
    (server.valkey.home / "dump.rdb").write_bytes(rdb)
    aof = server.valkey.home / "appendonlydir"
    for path in aof.glob("*"):
        path.unlink()
    with (aof / "appendonly.aof.1.base.rdb").open("wb") as stream:
        stream.write(rdb)
    (aof / "appendonly.aof.manifest").write_text("file appendonly.aof.1.base.rdb seq 1 type b\n")
    server.start()
    assert client(server).dbsize() == 3001
    assert client(server).get("api:game:2999") == b"x" * 2999


def test_a_wrong_password_is_said_without_it(tmp_path: Path, server: Server) -> None:
    one = vault(tmp_path, [source(server, password="not-the-one")])
    with pytest.raises(CourtkeeperError, match="refuses the password") as raised:
        backup(one.settings)
    assert "not-the-one" not in str(raised.value)


def test_a_server_that_breaks_off_leaves_no_backup(tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                data = b""
                while chunk := connection.recv(4096):
                    data = chunk
                    if b"INFO" in data:
                        info = b"redis_version:7.0.0\r\nrole:master\r\n"
                        connection.sendall(b"$%d\r\n%s\r\n" % (len(info), info))
                    elif b"SYNC" in data:
                        connection.sendall(b"\n$1000\r\nREDIS0011" + struct.pack("<Q", 1))
                        break
                    else:
                        connection.sendall(b"-ERR unknown\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        told = {"name": "cache", "kind": "redis", "port": listening.getsockname()[1]}
        one = vault(tmp_path, [told])
        with pytest.raises(CourtkeeperError, match="closed the connection"):
            backup(one.settings)
        assert one.files("local") == []
    finally:
        listening.close()


def test_a_server_that_is_no_redis_is_named(tmp_path: Path, server: Server) -> None:
    one = vault(tmp_path, [source(server, tls=True)])
    with pytest.raises(CourtkeeperError, match="TLS"):
        backup(one.settings)
