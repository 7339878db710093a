"""Rebuilding an empty host from its backups alone."""
