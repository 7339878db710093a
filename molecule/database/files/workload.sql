-- Statements that read a table whole for want of an index, and an index that repeats another one.
SET ROLE keeper;
CREATE TABLE rebounds (rebound_id int PRIMARY KEY, player_id int NOT NULL, note text NOT NULL);
INSERT INTO rebounds SELECT n, n % 5000, repeat('x', 100) FROM generate_series(1, 50000) n;
CREATE INDEX rebounds_again ON rebounds (rebound_id);
VACUUM (ANALYZE) rebounds;
RESET ROLE;
SELECT pg_stat_statements_reset();
SELECT note FROM rebounds WHERE player_id = 17 \g /dev/null
SELECT note FROM rebounds WHERE player_id = 18 \g /dev/null
SELECT note FROM rebounds WHERE player_id = 19 \g /dev/null
SELECT note FROM rebounds WHERE player_id = 20 \g /dev/null
SELECT note FROM rebounds WHERE player_id = 21 \g /dev/null
