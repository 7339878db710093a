-- A replica whose replay somebody has paused. Asked in a branch of its own: a primary refuses the question.
SELECT CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS paused,
       coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0)::float8 / 1048576
           AS megabytes
 WHERE CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END
