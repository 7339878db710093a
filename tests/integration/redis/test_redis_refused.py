"""What check cannot do, it says in one sentence; what it found before stays."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status, worst
from courtkeeper.platform.ports import HOST, free_port
from courtkeeper.redis import snapshot
from courtkeeper.redis.check import check
from courtkeeper.redis.keyspace import SampleSettings
from courtkeeper.redis.rule import choose
from courtkeeper.redis.server import ServerSettings, connect
from support.redis import WELL_KEPT, Server, cluster, server, wait_for
from support.redis_checks import bad, findings, only

pytestmark = pytest.mark.slow

_PARTS = ("config|get", "latency|latest", "latency|histogram", "slowlog|get", "memory|stats", "memory|doctor")
_PARTS_TOO = ("client|list", "acl|list", "acl|whoami", "info", "ping")


@pytest.fixture
def running(tmp_path: Path, kind: str) -> Iterator[Server]:
    with server(tmp_path, kind, WELL_KEPT) as made:
        made.client().mset({f"app:{number}": "x" for number in range(50)})
        yield made


def sentence(settings: ServerSettings, kind: type[CourtkeeperError] = ConfigurationError) -> str:
    with pytest.raises(CourtkeeperError) as caught:
        check(settings, choose())
    assert type(caught.value) is kind
    text = str(caught.value)
    assert "\n" not in text
    assert settings.where in text
    if settings.password:
        assert settings.password not in text
    return text


def test_a_wrong_password(running: Server) -> None:
    assert "refuses the password of the default user" in sentence(running.settings(password="guessed"))
    assert "wants a password of the default user" in sentence(running.settings(password=""))
    assert "refuses the password of nobody" in sentence(running.settings(user="nobody"))


def test_a_database_that_is_not_there(running: Server) -> None:
    assert "no such database" in sentence(running.settings(database=99))


def test_nobody_there() -> None:
    assert "cannot be reached" in sentence(ServerSettings(port=free_port()), CourtkeeperError)
    assert "cannot be resolved" in sentence(ServerSettings(host="no-such-host.invalid"))
    missing = ServerSettings(socket="/nowhere/redis.sock")
    assert "cannot be reached" in sentence(missing, CourtkeeperError)


def test_no_connection_left(running: Server) -> None:
    running.do("CONFIG", "SET", "maxclients", "10")
    clients = [running.client() for _ in range(10)]
    for client in clients:
        client.ping()
    assert "no connection left" in sentence(running.settings(), CourtkeeperError)
    for client in clients:
        client.close()


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, key


def test_tls_required(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    port = free_port()
    told = WELL_KEPT | {"tls-port": str(port), "tls-cert-file": str(cert), "tls-key-file": str(key)}
    told |= {"tls-ca-cert-file": str(cert), "tls-auth-clients": "no"}
    with server(tmp_path, "redis", told) as running:
        assert "it may want TLS (rediss://)" in sentence(running.settings(port=port))
        assert "does not speak TLS as we do" in sentence(running.settings(port=port, tls=True))
        plain = running.settings(tls=True, timeout_s=1)
        assert "or leave TLS out" in sentence(plain, CourtkeeperError)
        secured = running.settings(port=port, tls=True, ca_file=str(cert))
        assert worst(check(secured, choose()).findings) is Status.OK


def test_a_server_that_is_loading(tmp_path: Path, kind: str) -> None:
    told = WELL_KEPT | {"appendonly": "no", "key-load-delay": "50000", "rdbcompression": "no"}
    with server(tmp_path, kind, told) as running:
        # It answers after every two megabytes that it has loaded.
        running.client().mset({f"key:{number}": "x" * 200_000 for number in range(200)})
        running.do("SAVE")
        running.stop()
        running.start(wait=False)
        running.wait(loading=True)
        assert "still loading its data" in sentence(running.settings(), CourtkeeperError)
        running.kill()


def test_a_user_without_rights(running: Server) -> None:
    running.do("ACL", "SETUSER", "auditor", "on", ">secret", "+ping")
    found = findings(running, {"user": "auditor", "password": "secret"})
    assert {one.status for one in found} == {Status.SKIPPED}
    assert {one.fix for one in found} == {"ACL SETUSER default +info"}


def test_a_user_with_some_rights_and_the_grants_that_help(running: Server) -> None:
    """Every grant that is named is given, until nothing is skipped any more."""
    running.do("ACL", "SETUSER", "auditor", "on", ">secret", "+info", "+acl|whoami")
    who = {"user": "auditor", "password": "secret"}
    skipped = [one for one in findings(running, who) if one.status is Status.SKIPPED]
    names = {one.id for one in skipped}
    assert {"redis.latency.monitor", "redis.keys.big_hash", "redis.security.password"} <= names
    for fix in {one.fix for one in skipped}:
        running.do(*fix.split())
    assert not [one for one in findings(running, who) if one.status is not Status.OK]


def test_keys_that_a_user_may_not_look_at(running: Server) -> None:
    running.client().mset({f"secret:{number}": "x" for number in range(30)})
    running.do("ACL", "SETUSER", "auditor", "on", ">secret", "+@all", "~app:*")
    client = connect(running.settings(user="auditor", password="secret"), purpose="test")
    with client:
        keys = snapshot.take(client, sample=SampleSettings()).keys
    assert keys
    assert (keys.sampled, keys.unreadable, keys.complete) == (50, 30, False)


@pytest.mark.parametrize("how", ["kill", "shutdown", "silence"])
def test_a_server_that_dies_on_the_way(running: Server, how: str) -> None:
    """What was found before stays: what only needs INFO was judged, and the keys were not."""
    running.client().mset({f"key:{number}": "x" for number in range(5_000)})
    running.do("CONFIG", "SET", "maxmemory", "0")

    def tell(_done: int, _total: int, text: str) -> None:
        if text.startswith("looking at keys, 1,0"):
            {"kill": running.kill, "shutdown": running.stop, "silence": running.pause}[how]()

    with pytest.raises(CourtkeeperError, match="was lost while taking a snapshot") as caught:
        check(running.settings(timeout_s=1), choose(), progress=tell)
    partial = caught.value.partial
    assert partial
    status = {one.id: one.status for one in partial.findings}
    assert status["redis.memory.limit"] is Status.WARN
    assert status["redis.latency.monitor"] is status["redis.latency.events"] is Status.OK
    assert status["redis.keys.big_hash"] is Status.SKIPPED


@contextmanager
def impostor(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server (fake_) that gives each connection to `answer`; for what no real server says."""
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(2)
                    try:
                        answer(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" * 5,
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" * 5,
        b"+OK\r\n" * 20,
        b":1\r\n" * 20,
        b"*1\r\n$1000000000000\r\n",
        b"*abc\r\n",
        b"$-7\r\n" * 20,
        b"*1\r\n" * 3_000,
        b"\x00\xff\r\n" * 20,
        b"",
    ],
)
def test_no_redis_at_all(said: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(said)

    with impostor(answer) as port, pytest.raises(CourtkeeperError) as caught:
        check(ServerSettings(port=port, password="hidden", timeout_s=1), choose())
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_node_of_a_cluster_speaks_for_itself(tmp_path: Path, kind: str) -> None:
    with cluster(tmp_path, kind, configuration=WELL_KEPT) as nodes:
        with nodes[0].client() as client:
            for number in range(300):
                key = f"key:{number}"
                if int(client.execute_command("CLUSTER", "KEYSLOT", key)) < 16384 // 3:
                    client.set(key, "x" * 10)
        client = connect(nodes[0].settings(), purpose="test")
        with client:
            taken = snapshot.take(client, sample=SampleSettings())
        assert taken.server.mode == "cluster"
        assert taken.keys
        assert 50 < taken.keys.sampled == taken.databases[0].keys < 200
        assert not bad(nodes[0])
        nodes[2].kill()
        wait_for(lambda: "replication.cluster" in bad(nodes[0]))
        finding = only(nodes[0], "replication.cluster")
        assert (finding.status, finding.observed) == (Status.CRIT, 10_922)
        nodes[2].start(wait=False)
        wait_for(lambda: not bad(nodes[0]))


def test_a_sentinel_speaks_for_its_masters(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT) as master:
        told = {"sentinel": [
            f"monitor league {HOST} {master.port} 1", f"auth-pass league {master.password}",
            "down-after-milliseconds league 500",
        ]}  # fmt: skip
        with server(tmp_path, kind, told, name="sentinel", sentinel=True) as sentinel:
            wait_for(lambda: "replication.sentinel" in bad(sentinel))
            assert only(sentinel, "replication.sentinel").status is Status.WARN  # it is alone
            master.kill()
            wait_for(lambda: only(sentinel, "replication.sentinel").status is Status.CRIT)


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(os.sys.executable).with_name("courtkeeper"), "check", "redis", *words],  # type: ignore[attr-defined]
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_the_command(running: Server) -> None:
    url = f"redis://{running.host}:{running.port}/0"
    done = run("--url", url, "--json", REDISCLI_AUTH=running.password)
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(done.stdout)
    assert {one["status"] for one in result["findings"]} == {"ok"}
    assert result["metrics"]["keys_sampled"] == 50
    assert result["details"]["keys"]["patterns"][0]["name"] == "app:*"
    assert running.password not in done.stdout

    running.do("CONFIG", "SET", "maxmemory", "0")
    done = run("--url", running.url(), "--threshold", "keys.many.warn=10")
    assert done.returncode == 0
    assert "use REDISCLI_AUTH" in done.stderr
    assert "maxmemory is not set" in done.stdout
    assert "There are 50 keys" in done.stdout
    assert running.password not in done.stdout + done.stderr

    assert run("--url", url).returncode == 2
    assert run("--url", "http://127.0.0.1").returncode == 2
    done = run("--url", running.url(), "--check", "memory.us")
    assert done.returncode == 2
    assert "did you mean memory.use?" in done.stderr
    assert run("--url", f"redis://{running.host}:{free_port()}").returncode == 1
