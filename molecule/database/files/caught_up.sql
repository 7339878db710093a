-- Fails where the replica has not replayed within 30 s what was written until now.
SELECT pg_current_wal_lsn() AS here \gset
SELECT set_config('scenario.here', :'here', false);
DO $$
BEGIN
    FOR try IN 1 .. 300 LOOP
        IF EXISTS (SELECT FROM pg_stat_get_wal_senders()
                    WHERE replay_lsn >= current_setting('scenario.here')::pg_lsn) THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'the replica has not caught up';
END
$$;
