"""Changing the configuration of Redis and Valkey servers: planned, watched, and taken back where it hurts."""
