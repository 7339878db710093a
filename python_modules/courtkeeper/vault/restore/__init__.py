"""Restoring: always to the side first, checked there, and swapped in only then."""
