-- What the upkeep remembers, in a schema that only its owner may use. Whoever runs the upkeep owns it.
CREATE SCHEMA IF NOT EXISTS courtkeeper;
REVOKE ALL ON SCHEMA courtkeeper FROM PUBLIC;
COMMENT ON SCHEMA courtkeeper IS 'What Courtkeeper did here, and snapshots of the usage statistics';

CREATE TABLE IF NOT EXISTS courtkeeper.schema_version (
    part text PRIMARY KEY,
    version int NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);

-- One row for each action. A row that stays 'begun' belongs to a run that was killed.
CREATE TABLE courtkeeper.upkeep_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action text NOT NULL,
    object text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL DEFAULT 'begun' CHECK (outcome IN ('begun', 'done', 'failed', 'interrupted')),
    seconds double precision,
    bytes bigint NOT NULL,
    before jsonb NOT NULL,
    after jsonb,
    statements text[] NOT NULL,
    undo text NOT NULL,
    note text NOT NULL DEFAULT ''
);
CREATE INDEX upkeep_history_action ON courtkeeper.upkeep_history (action, id);

-- What was due and did not fit into the window, and how often.
CREATE TABLE courtkeeper.upkeep_deferred (
    action text,
    object text,
    since timestamptz NOT NULL DEFAULT now(),
    times int NOT NULL DEFAULT 1,
    PRIMARY KEY (action, object)
);

-- Counters of the server as they stood at a time, so that nobody has to reset them.
CREATE TABLE courtkeeper.statistics_snapshots (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    taken_at timestamptz NOT NULL DEFAULT now(),
    stats_reset timestamptz,
    statements_reset timestamptz
);
CREATE TABLE courtkeeper.statistics_counters (
    snapshot_id bigint REFERENCES courtkeeper.statistics_snapshots ON DELETE CASCADE,
    kind text CHECK (kind IN ('table', 'index', 'statement')),
    object text,
    counters jsonb NOT NULL,
    PRIMARY KEY (snapshot_id, kind, object)
);

-- By how much each counter of each object grew in the snapshots after `since` (the one before it is what
-- they are compared with). A counter that was reset, or fell, has grown by what it shows; so has that of an
-- object that was not there before.
CREATE FUNCTION courtkeeper.statistics_growth(of_kind text, since timestamptz)
RETURNS TABLE (object text, counter text, growth double precision)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    WITH snapshot AS (
        SELECT s.*, lag(s.id) OVER (ORDER BY s.taken_at, s.id) AS previous_id,
               lag(CASE of_kind WHEN 'statement' THEN s.statements_reset ELSE s.stats_reset END)
                   OVER (ORDER BY s.taken_at, s.id) AS previous_reset,
               CASE of_kind WHEN 'statement' THEN s.statements_reset ELSE s.stats_reset END AS reset
          FROM courtkeeper.statistics_snapshots s
    )
    SELECT c.object, e.key,
           sum(CASE WHEN s.reset IS DISTINCT FROM s.previous_reset OR p.counters IS NULL
                         OR e.value::float8 < coalesce((p.counters ->> e.key)::float8, 0)
                    THEN e.value::float8
                    ELSE e.value::float8 - coalesce((p.counters ->> e.key)::float8, 0) END)
      FROM snapshot s
      JOIN courtkeeper.statistics_counters c ON c.snapshot_id = s.id AND c.kind = of_kind
      LEFT JOIN courtkeeper.statistics_counters p
        ON p.snapshot_id = s.previous_id AND p.kind = c.kind AND p.object = c.object
     CROSS JOIN LATERAL jsonb_each_text(c.counters) e
     WHERE s.taken_at > since AND s.previous_id IS NOT NULL
     GROUP BY c.object, e.key
$$;

INSERT INTO courtkeeper.schema_version (part, version) VALUES ('upkeep', 1);
