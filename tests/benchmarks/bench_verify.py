"""`verify_data_integrity()` on 30 seasons against the best query written by hand for the same answer.

36,900 games with 17 M events and 959,400 player rows, generated in the server in the shape of simulated
games (events of a game 400 to 522, thirteen players a side). The foreign keys and the indexes that neither
side can use are dropped first: they cost minutes to fill. Interleaved, medians. Limits: 10 s and 1.2 times
the best by hand.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path

import psycopg
from psycopg import sql

ROUNDS = 6  # every order of the three statements once
FIRST, LAST = 1996, 2025
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from limits import hold, hold_ratio  # noqa: E402

from support.postgres import Server, postgres_server  # noqa: E402

SETTINGS = {
    "autovacuum": "off",
    "max_wal_size": "16GB",
    "shared_buffers": "1GB",
    "maintenance_work_mem": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

UNNEEDED = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
                  FROM pg_constraint
                 WHERE contype = 'f' AND conparentid = 0
                   AND conrelid IN ('play_events'::regclass, 'player_game_stats'::regclass, 'games'::regclass)
    LOOP EXECUTE name; END LOOP;
    FOR name IN SELECT format('DROP INDEX %s', indexrelid::regclass)
                  FROM pg_index
                 WHERE indrelid = 'play_events'::regclass AND NOT indisprimary
                   AND indexrelid <> 'play_events_game_id_sequence_idx'::regclass
    LOOP EXECUTE name; END LOOP;
END $$"""

LEAGUE = f"""
INSERT INTO teams
SELECT 1610612736 + n, 'City ' || n, 'Team ' || n, chr(65 + n % 26) || chr(65 + n / 26) || 'X', '2026-01-01'
  FROM generate_series(1, 30) n;
INSERT INTO games (game_id, season, season_type, game_date, status, home_team_id, away_team_id,
                   home_score, away_score, periods, source, simulated, loaded_at)
SELECT '002' || lpad((season % 100)::text, 2, '0') || lpad(n::text, 5, '0'), season, 'regular',
       make_date(season, 10, 20) + n / 8, 'final', 1610612737 + n % 30, 1610612737 + (n + 1 + n % 29) % 30,
       104 + CASE WHEN n = 77 THEN 1 ELSE 0 END, 117, 4, 'simulated', true, now()
  FROM generate_series({FIRST}, {LAST}) season, generate_series(1, 1230) n;
INSERT INTO player_game_stats (game_id, player_id, team_id, starter, played, seconds, points, fgm, fga, fg3m,
                               fg3a, ftm, fta, rebounds, assists, steals, blocks)
SELECT g.game_id, 1000 + p, CASE WHEN p < 13 THEN g.home_team_id ELSE g.away_team_id END,
       p % 13 < 5, true, 1100, CASE WHEN p < 13 THEN 8 ELSE 9 END, 3, 7, 1, 2, 1, 2, 3, 2, 1, 0
  FROM games g, generate_series(0, 25) p;
"""

EVENTS = """
INSERT INTO {table} (season, game_id, event_id, sequence, period, clock_ms, event_type, sub_type, team_id,
                     player_id, made, points, home_score, away_score, x, y, description)
SELECT g.season, g.game_id, e, e * 10000, 1 + e / 131, 720000 - e %% 131 * 5400,
       (ARRAY['2pt', '3pt', 'rebound', 'turnover', 'foul', 'sub', 'freethrow'])[1 + e %% 7],
       'jump shot', CASE WHEN e %% 2 = 0 THEN g.home_team_id ELSE g.away_team_id END, 1000 + e %% 26,
       e %% 3 = 0, e %% 3, e / 5,
       e / 5, (e * 7) %% 100, (e * 11) %% 100, 'P. Player' || e %% 26 || ' 16'' jump shot'
  FROM games g,
       generate_series(1, CASE WHEN right(g.game_id, 4) = '0500' THEN 30
                               ELSE 400 + abs(hashtext(g.game_id)) %% 62
                                    + abs(hashtext(g.game_id || 'b')) %% 62 END) e
 WHERE g.season = %(season)s
 ORDER BY g.game_id, e
"""

# By hand: what each game is asked for is fifty index entries at most, and only few are counted.
BY_FIFTY = """
SELECT 'insufficient_events', f.game_id, format('Final game has %s events, fewer than 50', c.events)
  FROM games f
 CROSS JOIN LATERAL (SELECT count(*) AS events
                       FROM (SELECT FROM play_events e
                              WHERE e.season = f.season AND e.game_id = f.game_id
                              ORDER BY e.event_id LIMIT 50) few) c
 WHERE f.status = 'final' AND c.events < 50
"""
# By hand: every event is counted, by as many workers as there are.
BY_COUNT = """
SELECT 'insufficient_events', f.game_id,
       format('Final game has %s events, fewer than 50', coalesce(c.events, 0))
  FROM games f
  LEFT JOIN (SELECT game_id, count(*) AS events FROM play_events GROUP BY game_id) c USING (game_id)
 WHERE f.status = 'final' AND coalesce(c.events, 0) < 50
"""
SCORES = """
UNION ALL
SELECT 'score_mismatch', s.game_id,
       format('Players of %s scored %s points, the team %s', t.tricode, s.points, s.score)
  FROM (SELECT f.game_id, side.team_id, side.score, side.points
          FROM games f
          JOIN (SELECT p.game_id, sum(p.points) AS all_points,
                       sum(p.points) FILTER (WHERE p.team_id = g.home_team_id) AS home_points,
                       sum(p.points) FILTER (WHERE p.team_id = g.away_team_id) AS away_points
                  FROM player_game_stats p JOIN games g USING (game_id) GROUP BY p.game_id) b USING (game_id)
         CROSS JOIN LATERAL (VALUES (f.home_team_id, f.home_score, coalesce(b.home_points, 0)),
                                    (f.away_team_id, f.away_score, coalesce(b.away_points, 0)))
               AS side (team_id, score, points)
         WHERE f.status = 'final' AND side.points <> side.score) s
  JOIN teams t USING (team_id)
 ORDER BY 2, 1, 3
"""
FUNCTION = "SELECT * FROM verify_data_integrity()"


def season(dsn: str, year: int) -> None:
    """Fill one season's partition before it is one: indexes are built once, and threads do not wait."""
    table = sql.Identifier(f"play_events_{year}")
    with psycopg.connect(dsn) as connection:
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE play_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(
                table
            )
        )
        connection.execute(sql.SQL(EVENTS).format(table=table), {"season": year})
        key = "ALTER TABLE {} ADD PRIMARY KEY (season, game_id, event_id)"
        connection.execute(sql.SQL(key).format(table))
        connection.execute(sql.SQL("CREATE INDEX ON {} (game_id, sequence)").format(table))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER TABLE play_events ATTACH PARTITION {} FOR VALUES IN ({})").format(
                table, sql.Literal(year)
            )
        )
        connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table))


def load(server: Server) -> tuple[float, int, int]:
    """Fill the database; return the seconds, the games and the events."""
    began = time.perf_counter()
    with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
        connection.execute(UNNEEDED)
        for statement in LEAGUE.split(";\n")[:-1]:
            connection.execute(statement)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda year: season(server.admin_dsn, year), range(FIRST, LAST + 1)))
    with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) games, player_game_stats, teams")
        connection.execute("ANALYZE play_events")
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM games), (SELECT count(*) FROM play_events)"
        ).fetchone()
    assert counts
    return time.perf_counter() - began, *counts


def seconds(connection: psycopg.Connection, statement: str) -> tuple[float, list[tuple[str, ...]]]:
    """Run a statement; return how long it took and what it said."""
    began = time.perf_counter()
    rows = connection.execute(statement).fetchall()
    return time.perf_counter() - began, rows


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory, postgres_server(Path(directory), SETTINGS) as server:
        took, games, events = load(server)
        sys.stdout.write(f"{games:,} games with {events:,} events loaded in {took:.0f} s\n")
        statements = {"function": FUNCTION, "by fifty": BY_FIFTY + SCORES, "by count": BY_COUNT + SCORES}
        times: dict[str, list[float]] = {name: [] for name in statements}
        answers = set()
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            # In every order: who comes after the count of all events finds nothing in the cache.
            for names in [tuple(statements), *permutations(statements)]:
                for name in names:
                    spent, rows = seconds(connection, statements[name])
                    times[name].append(spent)
                    answers.add(tuple(sorted(rows)))
        assert len(answers) == 1, "the statements do not agree"
        assert len(answers.pop()) == 2 * (LAST - FIRST + 1), "the faults were not all found"
        median = {name: statistics.median(spent[1:]) for name, spent in times.items()}  # the first one warms
    said = ", ".join(f"{name} {value:.2f} s" for name, value in median.items())
    ratio = median["function"] / min(median["by fifty"], median["by count"])
    sys.stdout.write(
        f"verify_data_integrity(): {said} (medians of {ROUNDS}); "
        f"ratio {ratio:.2f} to the best by hand (limits 1.2 and 10 s)\n"
    )
    hold("verify_data_integrity() on 30 seasons", median["function"], 10)
    hold_ratio("verify_data_integrity() to the best by hand", ratio, 1.2)


if __name__ == "__main__":
    main()
