"""Upkeep of a database: what the checks find and what is safe to mend online, within a window of time."""
