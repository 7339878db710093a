-- Passwords that have expired or soon will. With required = 1, also roles whose password never does (only
-- roles that can log in; the server does not tell who has a password).
SELECT r.rolname AS role,
       format('%I', r.rolname) AS quoted,
       CASE WHEN isfinite(r.rolvaliduntil) THEN extract(epoch FROM r.rolvaliduntil - now())::float8 / 86400 END
           AS days,
       to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS until
  FROM pg_roles r
 WHERE r.rolcanlogin
   AND (r.rolvaliduntil < now() + make_interval(secs => :days * 86400)
        OR (r.rolvaliduntil IS NULL OR r.rolvaliduntil = 'infinity') AND :required >= 1)
 ORDER BY 1
