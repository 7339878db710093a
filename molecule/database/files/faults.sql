-- What only a person may mend, or only from the outside.
SET ROLE keeper;
CREATE TABLE tickets (ticket_id serial PRIMARY KEY);
SELECT setval('tickets_ticket_id_seq', 2040109466); -- 95 % of what an int4 holds
RESET ROLE;

SET session_replication_role = replica;
INSERT INTO players VALUES (9001, 77, 'whose team is missing');
SELECT pg_create_physical_replication_slot('forgotten', true);
