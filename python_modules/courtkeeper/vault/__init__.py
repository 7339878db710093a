"""The vault: backups as plain standard files that anyone restores with age, zstd and pg_restore."""
