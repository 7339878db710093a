"""Why a database cannot be entered: one sentence each, and which of them end with a mended setting."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from courtkeeper import database
from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.platform.database import answers
from courtkeeper.platform.ports import free_port
from support.certificates import NOW, make
from support.clusters import Cluster, cluster
from support.damage import unreadable
from support.platform import wait_until

PASSWORD = "only-for-this-test"
SCENE = f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE app;"
FEW = {"max_connections": "3", "superuser_reserved_connections": "1", "max_wal_senders": "0"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for three sessions, one of them a superuser's."""
    with cluster(tmp_path_factory.mktemp("small"), {**FEW, "wal_level": "replica"}) as server:
        server.apply(SCENE)
        yield server


def app(server: Cluster, **options: str) -> DatabaseSettings:
    words = psycopg.conninfo.conninfo_to_dict(server.dsn("app", "app", PASSWORD))
    return DatabaseSettings.from_dsn(psycopg.conninfo.make_conninfo(**{**words, **options}))


def entered(settings: DatabaseSettings) -> None:
    with database.connect(settings, purpose="test", lock_timeout_s=1, statement_timeout_s=5):
        pass


def sentence(settings: DatabaseSettings, kind: type[CourtkeeperError] = ConfigurationError) -> str:
    with pytest.raises(CourtkeeperError) as caught:
        entered(settings)
    text = str(caught.value)
    assert type(caught.value) is kind, text
    assert "\n" not in text
    assert settings.where in text
    assert settings.password not in text
    return text


@pytest.mark.parametrize(
    ("change", "back", "kind", "told"),
    [
        ("ALTER ROLE app NOLOGIN", "ALTER ROLE app LOGIN", ConfigurationError, "may not log in"),
        ("ALTER ROLE app CONNECTION LIMIT 0", "ALTER ROLE app CONNECTION LIMIT -1", CourtkeeperError,
         'too many connections for role "app"): end idle sessions or raise the CONNECTION LIMIT'),
        ("ALTER DATABASE app CONNECTION LIMIT 0", "ALTER DATABASE app CONNECTION LIMIT -1", CourtkeeperError,
         'too many connections for database "app"): end idle sessions or raise the CONNECTION LIMIT'),
        ("ALTER DATABASE app ALLOW_CONNECTIONS false", "ALTER DATABASE app ALLOW_CONNECTIONS true",
         ConfigurationError, "ALLOW_CONNECTIONS true"),
    ],
)  # fmt: skip
def test_a_role_or_a_database_that_is_closed(
    small: Cluster, change: str, back: str, kind: type[CourtkeeperError], told: str
) -> None:
    small.apply(change)
    try:
        assert told in sentence(app(small), kind)
    finally:
        small.apply(back)
    entered(app(small))


def test_no_connection_left(small: Cluster) -> None:
    with ExitStack() as sessions:
        held: list[object] = []

        def hold(count: int) -> bool:
            with suppress(psycopg.OperationalError):  # a session of the test before is still ending
                held.append(sessions.enter_context(psycopg.connect(small.dsn())))
            return len(held) == count

        wait_until(lambda: hold(2))
        assert "raise its max_connections" in sentence(app(small), CourtkeeperError)  # the rest is reserved
        wait_until(lambda: hold(3))
        assert "raise its max_connections" in sentence(app(small), CourtkeeperError)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sslmode": "require"}, "the server speaks no SSL"),
        ({"sslmode": "nonsense"}, 'invalid sslmode value: "nonsense"): mend it'),
        ({"port": "99999"}, 'invalid port number: "99999"): mend it'),
    ],
)
def test_words_that_do_not_fit_the_server(small: Cluster, options: dict[str, str], told: str) -> None:
    assert told in sentence(app(small, **options))


def test_a_server_or_a_name_that_is_not_there(small: Cluster) -> None:
    assert "cannot be reached: start it" in sentence(app(small, port=str(free_port())), CourtkeeperError)
    with pytest.raises(CourtkeeperError, match=r"name resolution here|cannot be resolved"):
        entered(app(small, host="no-such.invalid"))  # the first where there is no name server at all


def test_a_certificate_that_is_not_trusted(small: Cluster, tmp_path: Path) -> None:
    data, made = small.postgres.data, make("elsewhere.example", names=("elsewhere.example",))
    for name, content in (("server.crt", made.pem), ("server.key", made.key)):
        (data / name).write_bytes(content)
        (data / name).chmod(0o600)
        shutil.chown(data / name, data.stat().st_uid, data.stat().st_gid)
    (tmp_path / "ca.crt").write_bytes(make("another", start=NOW).pem)
    small.apply("ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf();")
    wait_until(lambda: _speaks_ssl(small))
    try:
        for authority in (tmp_path / "ca.crt", tmp_path / "missing.crt"):
            settings = app(small, sslmode="verify-full", sslrootcert=str(authority))
            assert "give its CA as sslrootcert" in sentence(settings)
    finally:
        small.apply("ALTER SYSTEM RESET ssl; SELECT pg_reload_conf();")


def test_a_file_that_the_server_may_not_read(small: Cluster) -> None:
    with small.admin() as admin:
        (oid,) = admin.execute("SELECT oid FROM pg_database WHERE datname = 'app'").fetchone()
    with unreadable(small.postgres.data / "base" / str(oid) / "PG_VERSION"):
        assert "mend owner, mode and mount" in sentence(app(small), CourtkeeperError)


def _speaks_ssl(server: Cluster) -> bool:
    return not answers(server.dsn() + " sslmode=require")


def test_a_server_on_its_way_down_or_up_and_a_replica_for_nobody(tmp_path: Path) -> None:
    with cluster(tmp_path) as server:
        owner, data = DatabaseSettings.from_dsn(server.dsn()), server.postgres.data
        identity = server.postgres.running()
        assert identity
        with server.admin() as admin:
            # It asks for WAL before it lets anybody in, and waits for the answer.
            admin.execute(
                f"ALTER SYSTEM SET restore_command = 'while [ ! -e {data}/go ]; do sleep 0.02; done; false'"
            )
            admin.execute("ALTER SYSTEM SET hot_standby = off")
            os.kill(identity.pid, signal.SIGTERM)  # it waits for the session of ours
            wait_until(lambda: answers(server.dsn()))
            assert "is shutting down" in sentence(owner, CourtkeeperError)
        assert server.postgres.stop(identity)

        (data / "standby.signal").touch()
        server.postgres.start()
        wait_until(lambda: "FATAL" in answers(server.dsn()))
        assert "run again when it has started" in sentence(owner, CourtkeeperError)
        (data / "go").touch()
        wait_until(lambda: "DETAIL" in answers(server.dsn()))
        assert "name its primary" in sentence(owner)
