"""What the retention refuses, in one sentence each, before anything is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from support.damage import file_of, unreadable
from support.postgres import Server, drop_database, fresh_database
from support.retention import TICKETS, content, rule, run

Admin = psycopg.Connection[Any]

ODD = """
CREATE VIEW seen AS SELECT * FROM tickets;
CREATE TABLE stamped (made_at timestamptz, archived_at date);
CREATE TABLE local_time (made_at timestamp);
CREATE FUNCTION spoil(bigint) RETURNS boolean LANGUAGE sql
    AS 'DELETE FROM tickets WHERE ticket_id = $1 RETURNING true';
CREATE TABLE sinks (made_at timestamptz);
CREATE TABLE cascading (ticket_id bigint CONSTRAINT gone_too REFERENCES tickets ON DELETE CASCADE);
CREATE SCHEMA archive;
CREATE TABLE archive.narrow (LIKE tickets, archived_at timestamptz);
ALTER TABLE archive.narrow DROP COLUMN length;
CREATE TABLE archive.wrong (LIKE tickets, archived_at timestamptz);
ALTER TABLE archive.wrong ALTER COLUMN ticket_id TYPE int;
CREATE TABLE archive.strict (LIKE tickets, archived_at timestamptz, extra int NOT NULL);
CREATE VIEW archive.looking AS SELECT 1;
CREATE TABLE months (made_at date) PARTITION BY RANGE (made_at);
CREATE TABLE january PARTITION OF months FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
"""


@pytest.fixture
def dsn(postgres: Server, database_dsn: str, admin: Admin) -> str:
    admin.execute(TICKETS)
    admin.execute(ODD)
    return postgres.admin_dsn_for(database_dsn)


@contextmanager
def odd_database(postgres: Server, more: str = "") -> Iterator[tuple[str, Admin]]:
    own = fresh_database(postgres)
    with psycopg.connect(postgres.admin_dsn_for(own), autocommit=True) as connection:
        connection.execute(TICKETS)
        connection.execute(ODD + more)
        yield postgres.admin_dsn_for(own), connection
    drop_database(postgres, own)


@pytest.fixture(scope="module")
def kept(postgres: Server) -> Iterator[tuple[str, Admin]]:
    """One such database for all that is refused: every test sees that it was left as it is."""
    with odd_database(postgres) as made:
        yield made


@pytest.fixture(scope="module")
def plain(postgres: Server) -> Iterator[tuple[str, Admin]]:
    """Another one, in which nothing refers to the tickets."""
    with odd_database(postgres, "DROP TABLE cascading;") as made:
        yield made


SINK = rule("sinks")
REFUSED = [
    ([rule("tickes")], "tickes: there is no such table in this database: mend its name"),
    ([rule("nowhere.tickets")], "nowhere.tickets: there is no such table"),
    ([rule("a.b.c")], "has too many parts"),
    ([rule('"tickets')], "is no name: write it as in SQL"),
    ([rule("")], "is no name"),
    ([rule("sinks", "made_on")], "the column made_on does not exist: did you mean made_at?"),
    ([rule("sinks", "x")], "the column x does not exist: there are made_at"),
    ([rule("tickets", "status")], "status is of type text: name one of type timestamptz or date"),
    ([rule("local_time")], "is of type timestamp without time zone"),
    ([rule(keep_days=0)], "number 1 (tickets): keep_days is 0: give a number from 1"),
    ([rule(keep_days=-3)], "keep_days is -3"),
    ([rule(keep_days="ninety")], "keep_days is 'ninety': give a whole number"),
    ([rule(keep_days=True)], "keep_days is True: give a whole number"),
    ([rule(keep_days=1.5)], "keep_days is 1.5: give a whole number"),
    ([rule(keep_days="²")], "give a whole number"),
    ([rule(batch_rows=0)], "batch_rows is 0"),
    ([rule(to="trash")], "number 1 (tickets): to cannot be: invalid enum value 'trash'"),
    ([rule(were="x")], "unknown field `were`"),
    (["tickets"], "number 1 (without a name): give table, column and keep_days"),
    ([], "no table is declared"),
    ([rule("seen")], "seen is a view: name the table that holds the rows"),
    ([rule("pg_catalog.pg_class", "relname")], "pg_catalog.pg_class belongs to Postgres itself"),
    ([rule("stamped")], "has a column archived_at"),
    ([SINK, rule("public.sinks")], "public.sinks is declared twice"),
    (
        [rule("months"), rule("january")],
        "public.january is a partition of public.months, and both are declared",
    ),
    ([rule("sinks", archive_table="public.sinks")], "is the table itself"),
    ([rule("sinks", archive_table="public.local_time"), rule("stamped", to="delete")], "has another shape"),
    ([SINK, rule("months", archive_table="public.sinks")], "has another shape"),
    ([SINK, rule("months", archive_table="sinks")], "have the same archive table archive.sinks"),
    ([rule("months", archive_table="public.january")], "another"),
    ([rule("sinks", archive_table="looking")], "archive.looking is a view"),
    ([rule("sinks", to="delete", archive_table="x")], "archive_table has no meaning"),
    ([rule("months", to="drop_partitions", where="true")], "where has no meaning"),
    (
        [rule()],
        "the foreign key gone_too of cascading would delete the rows that refer to those: declare cascading",
    ),
]
WHERE = [
    ("nothing = 1", 'column "nothing" does not exist'),
    ("status", "argument of CASE/WHEN must be type boolean"),
    ("status = 'done'; DELETE FROM tickets", "syntax error"),
    ("true) OR (true", "syntax error"),
    ('status = "x', "unterminated"),
    ("status = $$x", "unterminated"),
    ("true THEN true WHEN true", "syntax error"),
    ("true /*", "unterminated"),
    ("status = 'x", "unterminated"),
    ("ticket_id = nextval('tickets_ticket_id_seq')", "writes"),
    ("spoil(ticket_id)", "writes"),
    ("EXISTS (WITH x AS (DELETE FROM sinks RETURNING 1) SELECT 1 FROM x)", "no condition"),
    ("ticket_id / 0 = 1", "division by zero"),
    ("count(*) > 1", "aggregate"),
]
SHAPES = [
    ("narrow", "the column length is missing: ALTER TABLE archive.narrow ADD COLUMN length integer;"),
    ("wrong", "the column ticket_id is integer there and bigint here"),
    ("strict", "its column extra may not be null"),
]


def refused(dsn: str, admin: Admin, *rules: Any, **more: Any) -> str:
    before = content(admin, "tickets"), _tables(admin)
    with pytest.raises(ConfigurationError) as error:
        run(dsn, *rules, **more)
    assert (content(admin, "tickets"), _tables(admin)) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def _tables(admin: Admin) -> list[Any]:
    return admin.execute("SELECT oid FROM pg_class WHERE relnamespace >= 2200 ORDER BY 1").fetchall()


@pytest.mark.parametrize(("rules", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_a_declaration_that_cannot_be(kept: tuple[str, Admin], rules: list[Any], said: str) -> None:
    assert said in refused(*kept, *rules)


@pytest.mark.parametrize(("where", "said"), WHERE, ids=[where for where, _ in WHERE])
def test_a_condition_that_is_none_or_writes(plain: tuple[str, Admin], where: str, said: str) -> None:
    sentence = refused(*plain, rule(where=where))
    assert said in sentence
    assert "public.tickets: where" in sentence


@pytest.mark.parametrize(("name", "said"), SHAPES)
def test_an_archive_of_another_shape(plain: tuple[str, Admin], name: str, said: str) -> None:
    assert said in refused(*plain, rule(archive_table=name))


def test_a_missing_column_is_mended_by_the_sentence(dsn: str, admin: Admin) -> None:
    admin.execute("DROP TABLE cascading")
    sentence = refused(dsn, admin, rule(archive_table="narrow"))
    admin.execute(re.search("ALTER TABLE.*;", sentence)[0])
    assert run(dsn, rule(archive_table="narrow")).metrics["rows_moved"] == 70


def test_a_file_that_the_server_may_not_read_is_no_right_of_the_role(
    postgres: Server, dsn: str, admin: Admin
) -> None:
    admin.execute("DROP TABLE cascading")
    with unreadable(file_of(postgres, dsn, "tickets")):
        for where in ("", "true"):
            with pytest.raises(CourtkeeperError, match="may not use its own files") as error:
                run(dsn, rule(where=where))
            assert type(error.value) is CourtkeeperError


@pytest.mark.parametrize("name", ["window_s", "pause_s", "max_replica_lag_mb"])
def test_a_number_below_nothing(kept: tuple[str, Admin], name: str) -> None:
    assert f"{name} is -1" in refused(*kept, SINK, **{name: -1})


def test_time_limits_that_would_mean_no_limit(kept: tuple[str, Admin]) -> None:
    for name in ("lock_timeout_s", "statement_timeout_s"):
        assert f"{name} is 0:" in refused(*kept, SINK, **{name: 0})


def test_a_role_without_rights_is_told_what_to_grant(
    postgres: Server, database_dsn: str, dsn: str, admin: Admin
) -> None:
    """Each GRANT that a sentence asks for is given; in the end the job runs."""
    admin.execute("DROP TABLE cascading; DROP SCHEMA archive CASCADE")
    asked = []
    for _ in range(6):
        try:
            result = run(database_dsn, rule())
            break
        except ConfigurationError as error:
            asked += re.findall("GRANT.*;", str(error))
            admin.execute(asked[-1])
    assert asked[0] == "GRANT SELECT, UPDATE, DELETE ON public.tickets TO courtkeeper;"
    assert "GRANT CREATE ON DATABASE" in asked[1]
    assert result.metrics["rows_moved"] == 70


def test_rows_that_a_policy_hides_are_no_reason_to_pass_them_over(
    database_dsn: str, dsn: str, admin: Admin
) -> None:
    admin.execute("DROP TABLE cascading; GRANT SELECT, UPDATE, DELETE ON tickets TO courtkeeper")
    admin.execute("ALTER TABLE tickets ENABLE ROW LEVEL SECURITY")
    admin.execute("CREATE POLICY few ON tickets USING (ticket_id < 10)")
    with pytest.raises(CourtkeeperError, match="row-level security"):
        run(database_dsn, rule(to="delete"))
    assert len(content(admin, "tickets")) == 100
