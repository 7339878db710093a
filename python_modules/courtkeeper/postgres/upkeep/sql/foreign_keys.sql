-- Foreign keys (schema.table.constraint) as the server writes them; NULL for what is none here.
SELECT given.name,
       (SELECT format('%I.%I.%I', n.nspname, t.relname, c.conname)
          FROM pg_constraint c
          JOIN pg_class t ON t.oid = c.conrelid
          JOIN pg_namespace n ON n.oid = t.relnamespace
         WHERE c.contype = 'f' AND parse_ident(given.name) = ARRAY[n.nspname, t.relname, c.conname]::text[]) AS known
  FROM unnest(:names::text[]) AS given (name)
