-- The platform's tables: the league's data first, then what the application itself keeps.

CREATE TABLE teams (
    team_id  bigint PRIMARY KEY CHECK (team_id > 0),
    city     text NOT NULL,
    name     text NOT NULL,
    tricode  text NOT NULL CHECK (tricode ~ '^[A-Z]{2,4}$'),
    named_on date NOT NULL               -- the game the name was last seen in: an older one never renames
);

CREATE TABLE players (
    player_id    bigint PRIMARY KEY CHECK (player_id > 0),
    display_name text NOT NULL,
    first_name   text,
    family_name  text,
    named_on     date NOT NULL           -- as for teams
);

CREATE TABLE games (
    game_id      text PRIMARY KEY CHECK (game_id ~ '^[0-9]{10}$'),
    season       smallint NOT NULL CHECK (season BETWEEN 1946 AND 2200), -- the year it starts in
    season_type  text NOT NULL
                 CHECK (season_type IN ('preseason', 'regular', 'allstar', 'playoffs', 'playin', 'cup')),
    game_date    date NOT NULL,                                          -- the day in US Eastern time
    starts_at    timestamptz,
    status       text NOT NULL
                 CHECK (status IN ('scheduled', 'live', 'final', 'postponed', 'cancelled')),
    home_team_id bigint NOT NULL REFERENCES teams,
    away_team_id bigint NOT NULL REFERENCES teams,
    home_score   smallint CHECK (home_score >= 0),
    away_score   smallint CHECK (away_score >= 0),
    periods      smallint CHECK (periods BETWEEN 1 AND 14),
    arena        text,
    attendance   integer CHECK (attendance >= 0),
    source       text NOT NULL,          -- which feed and format its events came from
    simulated    boolean NOT NULL DEFAULT false,
    loaded_at    timestamptz,            -- when its events last passed the gate and were stored; null: never
    UNIQUE (game_id, season),
    CHECK (home_team_id <> away_team_id),
    CHECK (status <> 'final' OR (home_score IS NOT NULL AND away_score IS NOT NULL))
);
CREATE INDEX games_game_date_idx ON games (game_date);
CREATE INDEX games_home_team_id_idx ON games (home_team_id);
CREATE INDEX games_away_team_id_idx ON games (away_team_id);

CREATE TABLE play_events (
    season           smallint NOT NULL,
    game_id          text NOT NULL,
    event_id         integer NOT NULL,      -- the source's own identity of the event (gaps are normal)
    sequence         bigint NOT NULL,       -- orders the events of a game
    period           smallint NOT NULL CHECK (period BETWEEN 1 AND 14),
    clock_ms         integer NOT NULL CHECK (clock_ms BETWEEN 0 AND 720000), -- left in the period
    event_type       text NOT NULL,
    sub_type         text NOT NULL DEFAULT '',
    team_id          bigint REFERENCES teams,
    player_id        bigint REFERENCES players,
    assist_player_id bigint REFERENCES players,
    steal_player_id  bigint REFERENCES players,
    block_player_id  bigint REFERENCES players,
    made             boolean,               -- of a shot or free throw
    points           smallint NOT NULL DEFAULT 0 CHECK (points BETWEEN 0 AND 4),
    home_score       smallint CHECK (home_score >= 0),
    away_score       smallint CHECK (away_score >= 0),
    x                real,                  -- hundredths of the court, as the source gives them
    y                real,
    shot_distance_ft real CHECK (shot_distance_ft >= 0),
    description      text NOT NULL DEFAULT '',
    PRIMARY KEY (season, game_id, event_id),
    FOREIGN KEY (game_id, season) REFERENCES games (game_id, season)
) PARTITION BY LIST (season);
CREATE INDEX play_events_game_id_sequence_idx ON play_events (game_id, sequence);
CREATE INDEX play_events_player_id_idx ON play_events (player_id);
CREATE INDEX play_events_team_id_idx ON play_events (team_id);
CREATE INDEX play_events_assist_idx ON play_events (assist_player_id) WHERE assist_player_id IS NOT NULL;
CREATE INDEX play_events_steal_idx ON play_events (steal_player_id) WHERE steal_player_id IS NOT NULL;
CREATE INDEX play_events_block_idx ON play_events (block_player_id) WHERE block_player_id IS NOT NULL;

CREATE TABLE player_game_stats (
    game_id   text NOT NULL REFERENCES games,
    player_id bigint NOT NULL REFERENCES players,
    team_id   bigint NOT NULL REFERENCES teams,
    starter   boolean NOT NULL DEFAULT false,
    played    boolean NOT NULL DEFAULT false,
    seconds   integer CHECK (seconds >= 0),
    points    smallint NOT NULL CHECK (points >= 0),
    fgm       smallint NOT NULL CHECK (fgm >= 0),
    fga       smallint NOT NULL CHECK (fga >= fgm),
    fg3m      smallint NOT NULL CHECK (fg3m BETWEEN 0 AND fgm),
    fg3a      smallint NOT NULL CHECK (fg3a BETWEEN fg3m AND fga),
    ftm       smallint NOT NULL CHECK (ftm >= 0),
    fta       smallint NOT NULL CHECK (fta >= ftm),
    rebounds  smallint NOT NULL CHECK (rebounds >= 0),
    assists   smallint NOT NULL CHECK (assists >= 0),
    steals    smallint NOT NULL CHECK (steals >= 0),
    blocks    smallint NOT NULL CHECK (blocks >= 0),
    turnovers smallint CHECK (turnovers >= 0),
    fouls     smallint CHECK (fouls >= 0),
    PRIMARY KEY (game_id, player_id)
);
CREATE INDEX player_game_stats_player_id_idx ON player_game_stats (player_id);
CREATE INDEX player_game_stats_team_id_idx ON player_game_stats (team_id);

CREATE TABLE team_game_stats (
    game_id   text NOT NULL REFERENCES games,
    team_id   bigint NOT NULL REFERENCES teams,
    points    smallint NOT NULL CHECK (points >= 0),
    fgm       smallint NOT NULL CHECK (fgm >= 0),
    fga       smallint NOT NULL CHECK (fga >= fgm),
    fg3m      smallint NOT NULL CHECK (fg3m BETWEEN 0 AND fgm),
    fg3a      smallint NOT NULL CHECK (fg3a BETWEEN fg3m AND fga),
    ftm       smallint NOT NULL CHECK (ftm >= 0),
    fta       smallint NOT NULL CHECK (fta >= ftm),
    rebounds  smallint NOT NULL CHECK (rebounds >= 0), -- by players; the source counts team rebounds apart
    assists   smallint NOT NULL CHECK (assists >= 0),
    steals    smallint NOT NULL CHECK (steals >= 0),
    blocks    smallint NOT NULL CHECK (blocks >= 0),
    PRIMARY KEY (game_id, team_id)
);
CREATE INDEX team_game_stats_team_id_idx ON team_game_stats (team_id);

-- One row for each thing that is wrong with a game now or was once. A quarantined game's
-- payloads stay in the payload store; `payloads` names them by SHA-256.
CREATE TABLE data_quality_issues (
    game_id     text NOT NULL,
    issue_type  text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('warn', 'crit')),
    description text NOT NULL,
    payloads    text[] NOT NULL DEFAULT '{}',
    simulated   boolean NOT NULL DEFAULT false,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz CHECK (closed_at >= opened_at),
    PRIMARY KEY (game_id, issue_type)
);
CREATE INDEX data_quality_issues_open_idx ON data_quality_issues (issue_type) WHERE closed_at IS NULL;

CREATE TABLE refresh_runs (
    run_id      uuid PRIMARY KEY,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    date_from   date,
    date_to     date,
    source      text NOT NULL,
    simulated   boolean NOT NULL DEFAULT false,
    status      text NOT NULL CHECK (status IN ('running', 'finished', 'incomplete', 'failed', 'interrupted')),
    metrics     jsonb NOT NULL DEFAULT '{}',
    CHECK (finished_at >= started_at),
    CHECK (date_to >= date_from),
    CHECK (status <> 'finished' OR finished_at IS NOT NULL)
);
CREATE INDEX refresh_runs_finished_at_idx ON refresh_runs (finished_at) WHERE status = 'finished';

-- Written in the transaction that changes a game, deleted once the cache has forgotten it:
-- a crash between commit and invalidation loses nothing.
CREATE TABLE cache_outbox (
    outbox_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    game_id    text NOT NULL,
    game_date  date NOT NULL,
    created_at timestamptz NOT NULL
);

-- The application's own tables, which maintenance duties act on.

CREATE TABLE users (
    user_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email      text NOT NULL CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    role       text NOT NULL DEFAULT 'reader' CHECK (role IN ('reader', 'analyst', 'admin')),
    active     boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

CREATE TABLE login_attempts (
    attempt_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint REFERENCES users ON DELETE SET NULL,
    email        text NOT NULL,
    address      inet NOT NULL,
    succeeded    boolean NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_attempts_attempted_at_idx ON login_attempts (attempted_at);
CREATE INDEX login_attempts_user_id_idx ON login_attempts (user_id);

CREATE TABLE api_keys (
    key_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    key_hash     bytea NOT NULL UNIQUE CHECK (length(key_hash) = 32), -- SHA-256; the key itself is never kept
    label        text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz CHECK (expires_at > created_at),
    last_used_at timestamptz
);
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);

CREATE TABLE api_requests (
    request_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id       bigint REFERENCES api_keys ON DELETE SET NULL,
    method       text NOT NULL,
    path         text NOT NULL,
    status_code  smallint NOT NULL CHECK (status_code BETWEEN 100 AND 599),
    duration_ms  real NOT NULL CHECK (duration_ms >= 0),
    requested_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_requests_requested_at_idx ON api_requests (requested_at);
CREATE INDEX api_requests_key_id_idx ON api_requests (key_id);

CREATE TABLE audit_log (
    entry_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     bigint REFERENCES users ON DELETE SET NULL,
    action      text NOT NULL,
    object_type text NOT NULL,
    object_id   text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}',
    happened_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_happened_at_idx ON audit_log (happened_at);
CREATE INDEX audit_log_user_id_idx ON audit_log (user_id);

CREATE TABLE jobs (
    job_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL,
    payload     jsonb NOT NULL DEFAULT '{}',
    status      text NOT NULL DEFAULT 'queued'
                CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    attempts    smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz CHECK (started_at >= created_at),
    finished_at timestamptz CHECK (finished_at >= started_at),
    error       text
);
CREATE INDEX jobs_status_idx ON jobs (status, created_at) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_created_at_idx ON jobs (created_at);

-- Creates the season's partition of play_events if it is missing. It is attached rather than
-- created in place: ATTACH takes SHARE UPDATE EXCLUSIVE on the parent, so its readers and writers go
-- on. (The foreign keys that come with it hold back writers of games, teams and players for a moment.)
-- Runs with its owner's rights: everything is named in full and pg_temp is searched last.
CREATE FUNCTION ensure_season_partition(p_season smallint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    partition_name text := format('play_events_%s', p_season);
BEGIN
    IF p_season IS NULL OR p_season NOT BETWEEN 1946 AND 2200 THEN
        RAISE EXCEPTION 'season % is no season: it must be a year from 1946 to 2200', p_season
              USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass('public.' || partition_name) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('ensure_season_partition'));
    END IF;
    IF to_regclass('public.' || partition_name) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I (LIKE public.play_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                       partition_name);
        EXECUTE format('ALTER TABLE public.play_events ATTACH PARTITION public.%I FOR VALUES IN (%s)',
                       partition_name, p_season);
    ELSIF NOT EXISTS (SELECT FROM pg_inherits
                       WHERE inhparent = 'public.play_events'::regclass
                         AND inhrelid = to_regclass('public.' || partition_name)) THEN
        RAISE EXCEPTION 'table % exists but is not a partition of play_events', partition_name
              USING ERRCODE = 'object_not_in_prerequisite_state',
                    HINT = 'Attach it again, or move it out of the way.';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION ensure_season_partition(smallint) FROM PUBLIC;

-- Final games with fewer than 50 events, and Final games whose players' points do not sum to a
-- team's score (only where the source gave a player box score at all). One row an issue.
CREATE FUNCTION verify_data_integrity()
RETURNS TABLE (issue_type text, game_id text, description text)
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    WITH final_games AS (
        SELECT g.game_id, g.season, g.home_team_id, g.away_team_id, g.home_score, g.away_score
          FROM games g WHERE g.status = 'final'
    ), event_counts AS (
        SELECT e.game_id, count(*) AS events FROM play_events e GROUP BY e.game_id
    ), team_points AS (
        SELECT p.game_id, p.team_id, sum(p.points) AS points
          FROM player_game_stats p GROUP BY p.game_id, p.team_id
    ), sides AS (
        SELECT f.game_id, f.home_team_id AS team_id, f.home_score AS score FROM final_games f
        UNION ALL
        SELECT f.game_id, f.away_team_id, f.away_score FROM final_games f
    )
    SELECT 'insufficient_events', f.game_id,
           format('Final game has %s events, fewer than 50', coalesce(c.events, 0))
      FROM final_games f LEFT JOIN event_counts c USING (game_id)
     WHERE coalesce(c.events, 0) < 50
    UNION ALL
    SELECT 'score_mismatch', s.game_id,
           format('Players of %s scored %s points, the team %s', t.tricode, coalesce(p.points, 0), s.score)
      FROM sides s
      JOIN teams t USING (team_id)
      LEFT JOIN team_points p USING (game_id, team_id)
     WHERE coalesce(p.points, 0) <> s.score
       AND EXISTS (SELECT FROM team_points any_side WHERE any_side.game_id = s.game_id)
    ORDER BY 2, 1, 3
$$;
REVOKE ALL ON FUNCTION verify_data_integrity() FROM PUBLIC;
