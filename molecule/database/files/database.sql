-- A small league whose every table is as it should be, and requests of which half are past their time.
CREATE DATABASE league OWNER keeper;
\connect league
CREATE EXTENSION amcheck;
CREATE EXTENSION pgstattuple;
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION pg_repack;
CREATE EXTENSION hypopg;
GRANT CREATE ON SCHEMA public TO keeper;
SET ROLE keeper;

CREATE TABLE teams (team_id int PRIMARY KEY, name text NOT NULL);
INSERT INTO teams SELECT n, 'team ' || n FROM generate_series(1, 30) n;

CREATE TABLE players (player_id int PRIMARY KEY, team_id int NOT NULL REFERENCES teams, name text NOT NULL);
CREATE INDEX players_team_id_idx ON players (team_id);
INSERT INTO players SELECT n, 1 + n % 30, 'player ' || n FROM generate_series(1, 450) n;

CREATE TABLE api_requests (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL,
    path text NOT NULL
);
CREATE INDEX api_requests_requested_at_idx ON api_requests (requested_at);
INSERT INTO api_requests (requested_at, path)
SELECT now() - make_interval(days => n % 60, hours => 1), '/games/' || n FROM generate_series(0, 5999) n;

RESET ROLE;
ANALYZE;
