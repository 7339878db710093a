"""Physical backups and point-in-time recovery by pgBackRest: run it, read what it says, and believe less."""
