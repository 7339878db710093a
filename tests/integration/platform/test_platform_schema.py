"""The platform's tables: what they refuse, who may do what, and what verify_data_integrity() finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from courtkeeper.findings import ConfigurationError
from courtkeeper.platform import schema
from courtkeeper.platform.database import API, Address
from support.postgres import Server, drop_database, fresh_database

HOME, AWAY = 1610612766, 1610612737
GAME = "0022500775"


@pytest.fixture(scope="module")
def league_dsn(postgres: Server) -> Iterator[str]:
    """A database with two teams and ten players, for what leaves nothing behind."""
    dsn = fresh_database(postgres)
    with psycopg.connect(dsn) as opened:
        fill(opened)
    yield dsn
    drop_database(postgres, dsn)


@pytest.fixture
def connection(league_dsn: str) -> Iterator[psycopg.Connection]:
    """The application's connection to it, in a transaction that is taken back."""
    with psycopg.connect(league_dsn) as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def committed(database_dsn: str) -> Iterator[psycopg.Connection]:
    """The same to a database of the test's own, where others see what it does."""
    with psycopg.connect(database_dsn, autocommit=True) as opened:
        fill(opened)
        yield opened


def fill(connection: psycopg.Connection) -> None:
    insert(connection, "teams", team_id=HOME, city="Charlotte", name="Hornets", tricode="CHA")
    insert(connection, "teams", team_id=AWAY, city="Atlanta", name="Hawks", tricode="ATL")
    for number in range(1, 11):
        insert(connection, "players", player_id=number, display_name=f"Player {number}")
    connection.execute("SELECT ensure_season_partition(2025::smallint)")


def insert(connection: psycopg.Connection, table: str, **row: Any) -> None:
    if table in ("teams", "players"):
        row.setdefault("named_on", "2026-02-11")
    names = ", ".join(row)
    values = ", ".join(["%s"] * len(row))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", list(row.values()))


def game(connection: psycopg.Connection, **changes: Any) -> None:
    row = {
        "game_id": GAME, "season": 2025, "season_type": "regular", "game_date": "2026-02-11",
        "status": "final", "home_team_id": HOME, "away_team_id": AWAY, "home_score": 110, "away_score": 107,
        "periods": 4, "source": "recorded/cdn",
    }  # fmt: skip
    insert(connection, "games", **(row | changes))


def event(connection: psycopg.Connection, event_id: int, **changes: Any) -> None:
    row = {
        "season": 2025, "game_id": GAME, "event_id": event_id, "sequence": event_id * 10000, "period": 1,
        "clock_ms": 720000, "event_type": "2pt", "team_id": HOME, "player_id": 1,
    }  # fmt: skip
    insert(connection, "play_events", **(row | changes))


def player(connection: psycopg.Connection, player_id: int, team_id: int, points: int, **changes: Any) -> None:
    counts = dict.fromkeys(
        ["fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "rebounds", "assists", "steals", "blocks"], 0
    )
    row = {"game_id": GAME, "player_id": player_id, "team_id": team_id, "points": points}
    insert(connection, "player_game_stats", **(row | counts | changes))


def good_game(connection: psycopg.Connection) -> None:
    game(connection)
    for number in range(50):
        event(connection, number)
    for player_id, team_id, points in ((1, HOME, 60), (2, HOME, 50), (3, AWAY, 107), (4, AWAY, 0)):
        player(connection, player_id, team_id, points)


def issues(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT * FROM verify_data_integrity()").fetchall()


class TestVerifyDataIntegrity:
    def test_a_good_game_yields_nothing(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        assert issues(connection) == []

    def test_an_empty_database_yields_nothing(self, connection: psycopg.Connection) -> None:
        assert issues(connection) == []

    def test_too_few_events(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        connection.execute("DELETE FROM play_events WHERE event_id = 7")
        assert issues(connection) == [
            ("insufficient_events", GAME, "Final game has 49 events, fewer than 50")
        ]

    def test_no_event_at_all(self, connection: psycopg.Connection) -> None:
        game(connection)
        assert issues(connection) == [("insufficient_events", GAME, "Final game has 0 events, fewer than 50")]

    def test_points_that_do_not_sum_to_a_score(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        connection.execute("UPDATE player_game_stats SET points = 106 WHERE player_id = 3")
        assert issues(connection) == [
            ("score_mismatch", GAME, "Players of ATL scored 106 points, the team 107")
        ]

    def test_both_teams_wrong_are_two_issues(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        connection.execute("UPDATE games SET home_score = 111, away_score = 100")
        assert [row[2] for row in issues(connection)] == [
            "Players of ATL scored 107 points, the team 100",
            "Players of CHA scored 110 points, the team 111",
        ]

    def test_a_team_without_any_player(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        connection.execute("DELETE FROM player_game_stats WHERE team_id = %s", [AWAY])
        assert issues(connection) == [
            ("score_mismatch", GAME, "Players of ATL scored 0 points, the team 107")
        ]

    def test_no_player_box_at_all_is_unknown_not_wrong(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        connection.execute("DELETE FROM player_game_stats")
        assert issues(connection) == []

    def test_only_final_games_are_judged(self, connection: psycopg.Connection) -> None:
        game(connection, status="live")
        assert issues(connection) == []

    def test_both_kinds_at_once(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        connection.execute("DELETE FROM play_events")
        connection.execute("UPDATE player_game_stats SET points = 1 WHERE player_id = 4")
        assert [row[0] for row in issues(connection)] == ["insufficient_events", "score_mismatch"]

    def test_a_temporary_table_does_not_deceive_it(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        connection.execute("DELETE FROM play_events")
        connection.execute("CREATE TEMP TABLE games (LIKE public.games)")
        assert len(issues(connection)) == 1


class TestConstraints:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"game_id": "22500775"}, errors.CheckViolation),
            ({"season": 1900}, errors.CheckViolation),
            ({"season_type": "summer"}, errors.CheckViolation),
            ({"status": "done"}, errors.CheckViolation),
            ({"away_team_id": HOME}, errors.CheckViolation),
            ({"away_team_id": 5}, errors.ForeignKeyViolation),
            ({"home_score": None}, errors.CheckViolation),
            ({"home_score": -1}, errors.CheckViolation),
            ({"periods": 0}, errors.CheckViolation),
            ({"attendance": -1}, errors.CheckViolation),
            ({"game_date": None}, errors.NotNullViolation),
        ],
    )
    def test_bad_games_are_refused(
        self, connection: psycopg.Connection, changes: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            game(connection, **changes)

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"game_id": "0022500776"}, errors.ForeignKeyViolation),
            ({"season": 2024}, errors.CheckViolation),  # no partition
            ({"event_id": 1}, errors.UniqueViolation),
            ({"player_id": 99}, errors.ForeignKeyViolation),
            ({"team_id": 99}, errors.ForeignKeyViolation),
            ({"block_player_id": 99}, errors.ForeignKeyViolation),
            ({"clock_ms": 720001}, errors.CheckViolation),
            ({"period": 0}, errors.CheckViolation),
            ({"points": 5}, errors.CheckViolation),
            ({"shot_distance_ft": -1}, errors.CheckViolation),
        ],
    )
    def test_bad_events_are_refused(
        self, connection: psycopg.Connection, changes: dict[str, Any], error: type[Exception]
    ) -> None:
        game(connection)
        event(connection, 1)
        with pytest.raises(error):
            event(connection, **({"event_id": 2} | changes))

    @pytest.mark.parametrize(
        "changes",
        [
            {"fgm": 3, "fga": 2},
            {"fgm": 3, "fga": 9, "fg3m": 4, "fg3a": 5},
            {"fgm": 3, "fga": 3, "fg3a": 4},
            {"ftm": 2, "fta": 1},
            {"steals": -1},
        ],
    )
    def test_impossible_box_lines_are_refused(
        self, connection: psycopg.Connection, changes: dict[str, int]
    ) -> None:
        game(connection)
        with pytest.raises(errors.CheckViolation):
            player(connection, 1, HOME, 10, **changes)

    def test_a_game_with_events_cannot_be_deleted(self, connection: psycopg.Connection) -> None:
        good_game(connection)
        with pytest.raises(errors.ForeignKeyViolation):
            connection.execute("DELETE FROM games")

    def test_a_season_is_the_same_in_game_and_events(self, connection: psycopg.Connection) -> None:
        connection.execute("SELECT ensure_season_partition(2024::smallint)")
        game(connection)
        with pytest.raises(errors.ForeignKeyViolation):
            event(connection, 1, season=2024)

    def test_a_finished_run_has_an_end(self, connection: psycopg.Connection) -> None:
        with pytest.raises(errors.CheckViolation):
            connection.execute(
                "INSERT INTO refresh_runs (run_id, started_at, source, status)"
                " VALUES (gen_random_uuid(), now(), 'live', 'finished')"
            )

    def test_an_issue_is_not_closed_before_it_was_opened(self, connection: psycopg.Connection) -> None:
        with pytest.raises(errors.CheckViolation):
            insert(
                connection, "data_quality_issues", game_id=GAME, issue_type="x", severity="warn",
                description="", opened_at="2026-02-12", closed_at="2026-02-11",
            )  # fmt: skip


class TestPartitions:
    def test_a_new_season_is_reachable_through_the_parent(self, connection: psycopg.Connection) -> None:
        connection.execute("SELECT ensure_season_partition(2026::smallint)")
        connection.execute("SELECT ensure_season_partition(2026::smallint)")
        game(connection, game_id="0022600001", season=2026)
        event(connection, 1, game_id="0022600001", season=2026)
        columns = "season, game_id, event_id, sequence, period, clock_ms, event_type"
        with connection.cursor().copy(f"COPY play_events ({columns}) FROM STDIN") as copy:
            copy.write_row((2026, "0022600001", 2, 2, 1, 0, "period"))
        connection.execute("UPDATE play_events SET points = 2 WHERE season = 2026 AND event_id = 1")
        assert connection.execute("DELETE FROM play_events WHERE season = 2026").rowcount == 2

    def test_the_api_reads_a_new_season(
        self, committed: psycopg.Connection, database_dsn: str, postgres: Server
    ) -> None:
        committed.execute("SELECT ensure_season_partition(2026::smallint)")
        name = str(psycopg.conninfo.conninfo_to_dict(database_dsn)["dbname"])
        dsn = Address(postgres.host, postgres.port).dsn(API, postgres.api_password, name)
        with psycopg.connect(dsn) as api:
            assert api.execute("SELECT count(*) FROM play_events WHERE season = 2026").fetchone() == (0,)

    def test_a_partition_has_the_parents_keys_and_indexes(self, connection: psycopg.Connection) -> None:
        rows = connection.execute(
            "SELECT contype, count(*) FROM pg_constraint WHERE conrelid = 'play_events_2025'::regclass"
            " AND contype IN ('p', 'f') GROUP BY contype"
        ).fetchall()
        assert dict(rows) == {"p": 1, "f": 6}
        row = connection.execute(
            "SELECT count(*) FROM pg_index WHERE indrelid = 'play_events_2025'::regclass"
        ).fetchone()
        assert row == (7,)

    @pytest.mark.parametrize("season", ["1900", "2201", "NULL"])
    def test_no_season(self, connection: psycopg.Connection, season: str) -> None:
        with pytest.raises(errors.InvalidParameterValue, match="is no season"):
            connection.execute(f"SELECT ensure_season_partition({season}::smallint)")

    def test_a_detached_partition_is_not_taken_for_one(
        self, committed: psycopg.Connection, database_dsn: str, postgres: Server
    ) -> None:
        with psycopg.connect(postgres.admin_dsn_for(database_dsn), autocommit=True) as admin:
            admin.execute("ALTER TABLE play_events DETACH PARTITION play_events_2025")
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="is not a partition"):
            committed.execute("SELECT ensure_season_partition(2025::smallint)")

    def test_two_at_once(self, database_dsn: str) -> None:
        with psycopg.connect(database_dsn) as first, psycopg.connect(database_dsn) as second:
            first.execute("SELECT ensure_season_partition(2027::smallint)")
            second.execute("SET lock_timeout = '100ms'")
            with pytest.raises(errors.LockNotAvailable):
                second.execute("SELECT ensure_season_partition(2027::smallint)")
            first.commit()
            second.rollback()
            second.execute("SELECT ensure_season_partition(2027::smallint)")


class TestRoles:
    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE mine (a int)",
            "SELECT * FROM users",
            "INSERT INTO jobs (kind) VALUES ('x')",
            "DROP TABLE cache_outbox",
            "TRUNCATE games",
            "DELETE FROM alembic_version",
            "COPY games TO PROGRAM 'cat'",
        ],
    )
    def test_the_application_may_not(self, connection: psycopg.Connection, statement: str) -> None:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement.encode())

    def test_the_application_may(self, connection: psycopg.Connection) -> None:
        connection.execute("CREATE TEMP TABLE staging (LIKE play_events INCLUDING DEFAULTS)")
        insert(connection, "cache_outbox", game_id=GAME, game_date="2026-02-11", created_at="2026-02-12")
        connection.execute("DELETE FROM cache_outbox")

    @pytest.mark.parametrize(
        ("statement", "allowed"),
        [
            ("SELECT * FROM games", True),
            ("SELECT * FROM data_quality_issues", True),
            ("INSERT INTO users (email) VALUES ('a@example.org')", True),
            ("INSERT INTO audit_log (action, object_type, object_id) VALUES ('a', 'b', 'c')", True),
            ("DELETE FROM games", False),
            ("SELECT * FROM cache_outbox", False),
            ("SELECT ensure_season_partition(2028::smallint)", False),
            ("CREATE TEMP TABLE mine (a int)", False),
        ],
    )  # fmt: skip
    def test_the_api(self, league_dsn: str, postgres: Server, statement: str, allowed: bool) -> None:
        name = str(psycopg.conninfo.conninfo_to_dict(league_dsn)["dbname"])
        with psycopg.connect(
            Address(postgres.host, postgres.port).dsn(API, postgres.api_password, name)
        ) as api:
            if allowed:
                api.execute(statement.encode())
            else:
                with pytest.raises(errors.InsufficientPrivilege):
                    api.execute(statement.encode())


class TestApplicationTables:
    def test_an_address_once_whatever_its_case(self, database_dsn: str, postgres: Server) -> None:
        with psycopg.connect(postgres.admin_dsn_for(database_dsn), autocommit=True) as admin:
            admin.execute("INSERT INTO users (email) VALUES ('ann@example.org')")
            with pytest.raises(errors.UniqueViolation):
                admin.execute("INSERT INTO users (email) VALUES ('Ann@Example.org')")
            with pytest.raises(errors.CheckViolation):
                admin.execute("INSERT INTO users (email) VALUES ('ann')")
            with pytest.raises(errors.CheckViolation):
                admin.execute("INSERT INTO api_keys (user_id, key_hash) VALUES (1, 'short')")
            with pytest.raises(errors.CheckViolation):
                admin.execute("INSERT INTO jobs (kind, status) VALUES ('x', 'lost')")


class TestMigrations:
    def test_current_is_head(self, database_dsn: str) -> None:
        assert schema.current(database_dsn) == schema.head() == "0002"

    def test_a_second_migration_does_nothing(self, database_dsn: str, postgres: Server) -> None:
        assert schema.migrate(postgres.admin_dsn_for(database_dsn)) == []

    def test_a_database_newer_than_the_library_is_refused(self, database_dsn: str, postgres: Server) -> None:
        dsn = postgres.admin_dsn_for(database_dsn)
        with psycopg.connect(dsn) as admin:
            admin.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(ConfigurationError, match="upgrade courtkeeper"):
            schema.migrate(dsn)

    def test_a_failed_migration_leaves_nothing(
        self, postgres: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        with psycopg.connect(postgres.admin_dsn, autocommit=True) as admin:
            admin.execute("CREATE DATABASE half")
        dsn = Address(postgres.host, postgres.port).dsn("courtkeeper_admin", postgres.admin_password, "half")
        broken = tmp_path / "grants.sql"
        broken.write_text("GRANT SELECT ON no_such_table TO courtkeeper")
        monkeypatch.setattr(schema, "GRANTS", broken)
        with pytest.raises(Exception, match="no_such_table"):
            schema.migrate(dsn)
        assert schema.current(dsn) is None
        monkeypatch.undo()
        assert schema.migrate(dsn) == ["0001", "0002"]
        with psycopg.connect(postgres.admin_dsn, autocommit=True) as admin:
            admin.execute("DROP DATABASE half")
