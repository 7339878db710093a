"""Courtkeeper: maintenance that runs itself and proves what it did."""

__version__ = "0.1.0"
