-- Fails where no replica streams within 30 s.
DO $$
BEGIN
    FOR try IN 1 .. 300 LOOP
        IF EXISTS (SELECT FROM pg_stat_get_wal_senders() WHERE state = 'streaming') THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'no replica streams';
END
$$;
