-- What the upkeep may mend: a bloated index, a bloated table, an invalid index, a constraint that was never
-- validated. And requests that are past their time.
SET ROLE keeper;
DROP TABLE IF EXISTS shots, boxes;

CREATE TABLE shots (shot_id bigint PRIMARY KEY, game_id int NOT NULL) WITH (autovacuum_enabled = off);
INSERT INTO shots SELECT n, n / 2 FROM generate_series(1, 60000) n;
DELETE FROM shots WHERE shot_id % 20 <> 0;

CREATE TABLE boxes (box_id int PRIMARY KEY, line text NOT NULL) WITH (autovacuum_enabled = off);
INSERT INTO boxes SELECT n, repeat('x', 400) FROM generate_series(1, 20000) n;
DELETE FROM boxes WHERE box_id % 20 <> 0;

-- Two rows of one key: the index cannot be built and stays behind, invalid; then the cause is gone.
INSERT INTO shots VALUES (70001, 70001), (70002, 70001);
\set ON_ERROR_STOP off
CREATE UNIQUE INDEX CONCURRENTLY shots_game_id_key ON shots (game_id);
\set ON_ERROR_STOP on
DELETE FROM shots WHERE shot_id = 70002;

ALTER TABLE shots ADD CONSTRAINT shots_game_id_check CHECK (game_id > 0) NOT VALID;

INSERT INTO api_requests (requested_at, path)
SELECT now() - make_interval(days => 31 + n % 30), '/late/' || n FROM generate_series(1, 1000) n;

-- Else what this session counted would be added after the VACUUM has reported that nothing is dead.
SELECT pg_stat_force_next_flush();
VACUUM (ANALYZE) shots;
VACUUM (ANALYZE) boxes;
VACUUM (ANALYZE) api_requests;
ALTER TABLE shots RESET (autovacuum_enabled);
ALTER TABLE boxes RESET (autovacuum_enabled);
