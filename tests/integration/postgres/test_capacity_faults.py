"""Faults of the group `capacity`, made in a real database: the right finding, and a remedy that works."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.integrity import integrity
from support.findings import apply, only
from support.platform import wait_until
from support.postgres import Server, postgres_server, start

GROUP = [
    "autovacuum_age", "cache_hit", "connections", "forced_checkpoints", "freeze", "multixact_age", "sequence",
    "table_bloat", "transaction_age", "wal_disk",
]  # fmt: skip
BURN = """DO $$
BEGIN
    FOR n IN 1..6000 LOOP
        BEGIN
            PERFORM txid_current();
            INSERT INTO burnt VALUES (n);
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END LOOP;
END $$"""


@pytest.mark.parametrize("name", GROUP)
def test_a_new_platform_is_clean(ask: Any, admin: psycopg.Connection[Any], name: str) -> None:
    # The tests before made many databases, each with a checkpoint of its own.
    admin.execute("SELECT pg_stat_reset_shared('checkpointer')")
    assert only(ask(f"capacity.{name}")).status is Status.OK


def test_a_sequence_near_the_end_of_its_column(ask: Any, admin: psycopg.Connection[Any]) -> None:
    # The sequence itself could go on (bigint); the column cannot.
    admin.execute("CREATE SEQUENCE tickets AS bigint")
    admin.execute("CREATE TABLE \"Ticket\" (id int4 PRIMARY KEY DEFAULT nextval('tickets'))")
    admin.execute("SELECT setval('tickets', (2147483647 * 0.95)::bigint)")
    finding = only(ask("capacity.sequence"))
    assert finding.status is Status.CRIT
    assert finding.subject == "public.tickets"
    assert '"Ticket".id (integer)' in finding.summary
    assert finding.observed == 95.0
    admin.execute(finding.fix)
    assert only(ask("capacity.sequence")).status is Status.OK


def test_a_sequence_that_the_role_may_not_read_says_which_right_helps(
    postgres: Server, database_dsn: str, admin: psycopg.Connection[Any]
) -> None:
    settings = DatabaseSettings.from_dsn(database_dsn)
    finding = only(integrity(settings, choose(names=["capacity.sequence"])).findings)
    assert finding.status is Status.SKIPPED
    assert finding.summary.startswith("7 sequences were not looked at")
    apply(admin, finding.fix)
    try:
        assert only(integrity(settings, choose(names=["capacity.sequence"])).findings).status is Status.OK
    finally:
        admin.execute("REVOKE pg_read_all_data FROM courtkeeper")


def test_what_the_role_may_read_is_judged_beside_what_it_may_not(
    database_dsn: str, admin: psycopg.Connection[Any]
) -> None:
    admin.execute("CREATE TABLE ticket (id serial PRIMARY KEY)")
    admin.execute("SELECT setval('ticket_id_seq', 2147483647)")
    admin.execute("GRANT USAGE ON SEQUENCE ticket_id_seq TO courtkeeper")
    found = integrity(DatabaseSettings.from_dsn(database_dsn), choose(names=["capacity.sequence"])).findings
    assert [finding.status for finding in found] == [Status.CRIT, Status.SKIPPED]
    assert found[0].subject == "public.ticket_id_seq"
    assert "ticket_id_seq" not in found[1].summary


def test_a_bloated_table(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute('CREATE TABLE "Airy" (id int, word text)')
    admin.execute("INSERT INTO \"Airy\" SELECT n, repeat('x', 60) FROM generate_series(1, 50000) n")
    admin.execute('DELETE FROM "Airy" WHERE id %% 4 <> 0', [])
    admin.execute('VACUUM ANALYZE "Airy"')
    finding = only(ask("capacity.table_bloat", min_mb=1))
    assert (finding.status, finding.subject) == (Status.WARN, 'public."Airy"')
    assert 70 <= finding.observed < 80
    apply(admin, finding.fix)
    assert only(ask("capacity.table_bloat", min_mb=1)).status is Status.OK


def test_dead_rows_that_nothing_vacuums(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE TABLE t (id int) WITH (autovacuum_enabled = off)")
    admin.execute("INSERT INTO t SELECT n FROM generate_series(1, 2000) n")
    admin.execute("DELETE FROM t WHERE id <= 1000")
    admin.execute("SELECT pg_stat_force_next_flush()")
    assert only(ask("capacity.autovacuum_age")).status is Status.OK  # not for seven days yet
    finding = only(ask("capacity.autovacuum_age", warn=0))
    assert (finding.status, finding.subject) == (Status.WARN, "public.t")
    assert "1,000 dead rows beside 1,000 live ones" in finding.summary
    apply(admin, finding.fix)
    assert only(ask("capacity.autovacuum_age", warn=0)).status is Status.OK


def test_old_transaction_ids(ask: Any, admin: psycopg.Connection[Any]) -> None:
    name = str(admin.info.dbname)
    age = admin.execute(
        "SELECT max(age(datfrozenxid)) FROM pg_database WHERE datname <> current_database()"
    ).fetchone()
    assert age
    admin.execute("CREATE TABLE burnt (n int)")
    admin.execute(BURN)
    # Other databases of this server are as old: only this one is asked about.
    (finding,) = (found for found in ask("capacity.transaction_age", warn=5900) if found.subject == name)
    assert finding.status is Status.WARN
    assert finding.observed >= 6000
    apply(admin, finding.fix)
    assert name not in {found.subject for found in ask("capacity.transaction_age", warn=5900)}


def test_old_multixact_ids(ask: Any, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    for _ in range(30):
        with admin.transaction():
            admin.execute("SELECT FROM t FOR KEY SHARE")
            admin.execute("SAVEPOINT s")
            admin.execute("UPDATE t SET id = id WHERE false; SELECT FROM t FOR UPDATE")
    name = str(admin.info.dbname)
    (finding,) = (found for found in ask("capacity.multixact_age", crit=20) if found.subject == name)
    assert (finding.status, finding.threshold) == (Status.CRIT, 20)
    assert finding.observed >= 29
    apply(admin, finding.fix)
    assert name not in {found.subject for found in ask("capacity.multixact_age", crit=20)}


def test_many_connections(ask: Any, postgres: Server, database_dsn: str) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(psycopg.connect(database_dsn))
        finding = only(ask("capacity.connections", warn=10, crit=50))
        assert (finding.status, finding.subject) == (Status.WARN, "max_connections")
        assert "courtkeeper has 10 of them, 10 idle" in finding.summary
        assert "max_connections = 200" in finding.fix


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A small server of this module's own."""
    settings = {
        "autovacuum": "off",
        "autovacuum_freeze_max_age": "100000",
        "max_wal_size": "32MB",
        "min_wal_size": "32MB",
        "shared_buffers": "8MB",
        "max_connections": "20",
    }
    with postgres_server(tmp_path_factory.mktemp("small"), settings) as small:
        yield small


class TestOnAServerOfItsOwn:
    """What is set for the whole server, or counted for it."""

    @pytest.fixture
    def admin(self, server: Server) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
            yield connection

    def asked(self, server: Server, name: str, **limits: float) -> list[Finding]:
        checks = choose(names=[name], thresholds={name: limits})
        return integrity(DatabaseSettings.from_dsn(server.admin_dsn), checks).findings

    def restart(self, server: Server) -> None:
        identity = server.postgres.running()
        assert identity
        assert server.postgres.stop(identity)
        start(server.postgres)

    def test_a_table_that_was_not_frozen(self, server: Server, admin: psycopg.Connection[Any]) -> None:
        admin.execute('CREATE TABLE "Old" (n int); INSERT INTO "Old" VALUES (1)')
        admin.execute("CREATE TABLE burnt (n int)")
        admin.execute(BURN)
        others = admin.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND relname <> 'Old'"
        ).fetchall()
        admin.execute("VACUUM (FREEZE) " + ", ".join(name for (name,) in others))
        in_this = [
            finding
            for finding in self.asked(server, "capacity.freeze", warn=5, crit=50)
            if finding.summary.startswith("The table")
        ]
        finding = only(in_this)
        assert (finding.status, finding.subject) == (Status.WARN, 'public."Old"')
        apply(admin, finding.fix)
        assert not any(
            finding.summary.startswith("The table")
            for finding in self.asked(server, "capacity.freeze", warn=5, crit=50)
        )

    def test_a_limit_with_decimals_is_judged_by_what_the_server_says(
        self, server: Server, admin: psycopg.Connection[Any]
    ) -> None:
        admin.execute("CREATE TABLE aged (n int)")
        for _ in range(100):  # until a figure with one decimal would be under the one with three
            admin.execute("SELECT txid_current()")
            row = admin.execute("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'aged'").fetchone()
            if row and 10 < row[0] % 100 < 50:
                break
        assert row
        used = row[0] / 1000  # per cent of autovacuum_freeze_max_age
        found = self.asked(server, "capacity.freeze", warn=used, shown=1000)
        (finding,) = (one for one in found if one.subject == "public.aged")
        assert (finding.status, finding.threshold) == (Status.WARN, used)
        assert {one.status for one in found} <= {Status.WARN, Status.CRIT}
        admin.execute("DROP TABLE aged")

    def test_wal_that_a_forgotten_slot_holds(self, server: Server, admin: psycopg.Connection[Any]) -> None:
        assert only(self.asked(server, "capacity.wal_disk")).status is Status.OK
        admin.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
        for _ in range(6):
            admin.execute("SELECT pg_logical_emit_message(false, '', 'x'); SELECT pg_switch_wal()")
        finding = only(self.asked(server, "capacity.wal_disk"))
        assert (finding.status, finding.subject) == (Status.WARN, "pg_wal")
        assert "kept for the slot forgotten, not in use" in finding.summary
        assert ("forgotten", False) in [row[:2] for row in admin.execute(finding.fix).fetchall()]
        admin.execute("SELECT pg_drop_replication_slot('forgotten')")
        admin.execute("CHECKPOINT")
        assert only(self.asked(server, "capacity.wal_disk")).status is Status.OK

    def test_checkpoints_that_were_forced(self, server: Server, admin: psycopg.Connection[Any]) -> None:
        admin.execute("SELECT pg_stat_reset_shared('checkpointer')")
        assert only(self.asked(server, "capacity.forced_checkpoints")).status is Status.OK
        for _ in range(20):
            admin.execute("CHECKPOINT")
        finding = only(self.asked(server, "capacity.forced_checkpoints"))
        assert (finding.status, finding.subject) == (Status.WARN, "max_wal_size")
        apply(admin, finding.fix)
        wait_until(lambda: admin.execute("SHOW max_wal_size").fetchone() == ("64MB",))
        admin.execute("SELECT pg_stat_reset_shared('checkpointer')")
        assert only(self.asked(server, "capacity.forced_checkpoints")).status is Status.OK
        apply(admin, finding.undo)

    def test_a_database_that_outgrew_the_cache(self, server: Server, admin: psycopg.Connection[Any]) -> None:
        # Eight tables of 1.4 MB: no scan of one of them is big enough to go round the cache.
        tables = [sql.Identifier(f"part_{number}") for number in range(8)]
        for table in tables:
            statement = "CREATE TABLE {} AS SELECT n, repeat('x', 100) FROM generate_series(1, 10000) n"
            admin.execute(sql.SQL(statement).format(table))

        def read() -> Finding:
            with psycopg.connect(server.admin_dsn, autocommit=True) as reader:
                reader.execute("SELECT pg_stat_reset()")
                for table in tables * 30:
                    reader.execute(sql.SQL("SELECT count(*) FROM {}").format(table))
                reader.execute("SELECT pg_stat_force_next_flush()")
            return only(self.asked(server, "capacity.cache_hit", min_blocks=20000))

        finding = read()
        assert (finding.status, finding.subject) == (Status.WARN, "nba")
        apply(admin, finding.fix)
        self.restart(server)
        read()  # warms
        assert read().status is Status.OK


@pytest.mark.parametrize("name", [name for name in GROUP if name != "table_bloat"])
def test_limits_at_their_least_break_no_check(ask: Any, name: str) -> None:
    (check,) = choose(names=[f"capacity.{name}"])
    findings = ask(f"capacity.{name}", **dict.fromkeys(check.limits, 0))
    assert Status.UNKNOWN not in {finding.status for finding in findings}, findings
