"""`courtkeeper check postgres`: what a person sees, the exit codes, and bad input in one sentence each."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from courtkeeper.platform import processes
from support.platform import cli, wait_until
from support.postgres import Server, fresh_database, postgres_server

READING = "courtkeeper postgres_integrity corruption"


def words(server: Server, dsn: str, **changes: str) -> str:
    """The DSN of the owner without its password."""
    given = psycopg.conninfo.conninfo_to_dict(server.admin_dsn_for(dsn))
    kept = {key: str(given[key]) for key in ("host", "port", "user", "dbname")}
    return psycopg.conninfo.make_conninfo(**{**kept, **changes})


def check(
    server: Server, dsn: str, *arguments: str, password: str = "", **changes: str
) -> subprocess.CompletedProcess[str]:
    password = password or server.admin_password
    return cli(
        "check",
        "postgres",
        "--dsn",
        words(server, dsn, **changes),
        *arguments,
        PGPASSWORD=password,
        COLUMNS="80",
    )


def said(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one sentence on standard error."""
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture
def broken(postgres: Server, database_dsn: str) -> str:
    """A database with an invalid index."""
    with psycopg.connect(postgres.admin_dsn_for(database_dsn), autocommit=True) as connection:
        connection.execute("CREATE INDEX games_again ON games (game_date)")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'games_again'::regclass"
        )
    return database_dsn


def test_the_worst_comes_first_with_what_mends_it_and_the_good_are_counted(
    postgres: Server, broken: str
) -> None:
    done = check(postgres, broken, "--group", "indexes", "--group", "corruption")
    assert done.returncode == 3, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("CRIT  findings: 1 CRIT ")
    assert lines[3] == "CRIT     public.games_again (postgres.indexes.invalid)"
    assert "         Mend: REINDEX INDEX CONCURRENTLY public.games_again;" in lines
    assert "more are OK." in done.stdout
    assert "were read whole" not in done.stdout
    assert "were read whole" in check(postgres, broken, "--group", "corruption", "--all").stdout


def test_json_has_the_same_findings_and_nothing_else(postgres: Server, broken: str) -> None:
    done = check(postgres, broken, "--check", "indexes.invalid", "--json")
    assert (done.returncode, done.stderr) == (3, "")
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["id"], finding["status"]) == ("postgres.indexes.invalid", "crit")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--group", "index"], "there is no group 'index': did you mean indexes?"),
        (["--check", "indexes.invald"], "did you mean indexes.invalid?"),
        (["--threshold", "capacity.sequence.warn=many"], "capacity.sequence.warn is 'many': give a number"),
        (["--threshold", "capacity.sequence.worn=1"], "did you mean warn?"),
        (["--threshold", "warn"], "write it as capacity.sequence.warn=60"),
        (["--jobs", "-1"], "jobs is -1"),
        (["--corruption-budget", "nan"], "corruption_budget_s is nan"),
        (["--state-directory", "/proc/nowhere"], "state_directory /proc/nowhere cannot be made"),
        (["--dsn", "nonsense"], "the DSN cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    postgres: Server, database_dsn: str, arguments: list[str], sentence: str
) -> None:
    assert sentence in said(check(postgres, database_dsn, *arguments), 2)


def test_a_database_that_does_not_exist(postgres: Server, database_dsn: str) -> None:
    assert "there is no database gone" in said(check(postgres, database_dsn, dbname="gone"), 2)


def test_a_wrong_password(postgres: Server, database_dsn: str) -> None:
    told = said(check(postgres, database_dsn, password="wrong-password"), 2)
    assert "PGPASSWORD" in told
    assert "wrong-password" not in told


def test_a_server_that_is_not_there(postgres: Server, database_dsn: str) -> None:
    assert "cannot be reached" in said(check(postgres, database_dsn, port="1"), 1)


def test_a_role_that_may_not_connect(postgres: Server, database_dsn: str) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(database_dsn)["dbname"])
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        connection.execute(f'REVOKE CONNECT ON DATABASE "{name}" FROM platform_api')
    done = check(postgres, database_dsn, user="platform_api", password=postgres.api_password)
    assert "GRANT CONNECT ON DATABASE" in said(done, 2)


def test_a_role_without_rights_is_told_what_would_help(postgres: Server, database_dsn: str) -> None:
    done = check(
        postgres, database_dsn, "--group", "corruption", user="courtkeeper", password=postgres.password
    )
    assert done.returncode == 0
    assert done.stdout.startswith("SKIPPED")
    assert "Mend: GRANT EXECUTE ON FUNCTION" in done.stdout


def test_a_password_in_the_dsn_works_and_is_warned_about(postgres: Server, database_dsn: str) -> None:
    dsn = postgres.admin_dsn_for(database_dsn)
    done = cli("check", "postgres", "--check", "indexes.invalid", "--dsn", dsn)
    assert done.returncode == 0
    assert "PGPASSWORD" in done.stderr
    assert postgres.admin_password not in done.stdout + done.stderr


def test_the_environment_and_a_service_file_say_what_the_dsn_leaves_out(
    postgres: Server, database_dsn: str, tmp_path: Path
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(database_dsn)["dbname"])
    service = tmp_path / "pg_service.conf"
    service.write_text(
        f"[nba]\nhost={postgres.host}\nport={postgres.port}\ndbname={name}\nuser=courtkeeper_admin\n"
    )
    secret = {"PGPASSWORD": postgres.admin_password}
    one = ("check", "postgres", "--check", "indexes.invalid")
    by_service = cli(*one, "--dsn", "service=nba", PGSERVICEFILE=str(service), **secret)
    assert by_service.returncode == 0, by_service.stderr
    environment = {"PGHOST": postgres.host, "PGPORT": str(postgres.port), "PGUSER": "courtkeeper_admin"}
    by_environment = cli(*one, PGDATABASE=name, **environment, **secret)
    assert by_environment.returncode == 0, by_environment.stderr
    assert name in by_environment.stdout


@pytest.mark.slow
def test_what_takes_long_says_how_far_it_is(postgres: Server, database_dsn: str) -> None:
    with psycopg.connect(postgres.admin_dsn_for(database_dsn)) as locker:
        locker.execute("LOCK TABLE games, teams IN ACCESS EXCLUSIVE MODE")
        done = check(postgres, database_dsn, "--group", "corruption", "--jobs", "1")
    assert "check 1 of 1: damaged tables and indexes" in done.stderr
    assert "read" in done.stderr


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_leaves_what_was_found(tmp_path: Path) -> None:
    with postgres_server(tmp_path) as server:
        dsn = fresh_database(server)
        admin = server.admin_dsn_for(dsn)
        locker = psycopg.connect(admin)
        watcher = psycopg.connect(server.admin_dsn, autocommit=True)
        locker.execute("LOCK TABLE games IN ACCESS EXCLUSIVE MODE")
        running = threading.Thread(target=lambda: done.append(check(server, dsn)))
        done: list[subprocess.CompletedProcess[str]] = []
        running.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: watcher.execute(waiting, [READING]).fetchone()[0])
        identity = server.postgres.running()
        assert identity
        assert processes.stop(identity, [(9, 5.0)])
        running.join(120)
        for connection in (locker, watcher):
            connection.close()
    (ended,) = done
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "was lost while looking for" in ended.stderr
    assert "OK" in ended.stdout  # what was found before
    assert "Traceback" not in ended.stderr
