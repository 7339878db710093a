-- Settings by which passwords or data can be overheard: no TLS on a server that others reach, MD5 passwords.
SELECT s.name, s.setting,
       CASE s.name WHEN 'ssl' THEN current_setting('listen_addresses') ELSE '' END AS listens,
       format('ALTER SYSTEM SET %I = %L; SELECT pg_reload_conf();', s.name,
              CASE s.name WHEN 'ssl' THEN 'on' ELSE 'scram-sha-256' END) AS fix,
       format('ALTER SYSTEM SET %I = %L; SELECT pg_reload_conf();', s.name, s.setting) AS undo
  FROM pg_settings s
 WHERE s.name = 'ssl' AND s.setting = 'off'
       AND EXISTS (SELECT FROM unnest(string_to_array(current_setting('listen_addresses'), ',')) a
                    WHERE trim(a) NOT IN ('', 'localhost', '127.0.0.1', '::1'))
    OR s.name = 'password_encryption' AND s.setting <> 'scram-sha-256'
 ORDER BY s.name
