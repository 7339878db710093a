"""What keeps a Postgres healthy: checks, repairs, upkeep and advice, for versions 13 to 18."""
