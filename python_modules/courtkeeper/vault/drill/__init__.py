"""Drills: a backup is restored into a scratch instance, checked, timed, and the scratch destroyed."""
