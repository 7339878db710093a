-- The same from 17 on, where checkpoints have a view of their own.
SELECT num_timed AS timed, num_requested AS requested FROM pg_stat_checkpointer
