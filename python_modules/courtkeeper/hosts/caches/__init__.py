"""The host below a Redis or Valkey server: kernel settings and its unit's limits."""
