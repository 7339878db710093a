"""What all tests share."""

from __future__ import annotations

import gc

import pytest

from support.examples import load_profile
from support.memory import keep_files_in_memory

# Before pytest makes its first directory.
keep_files_in_memory()


def pytest_configure(config: pytest.Config) -> None:
    load_profile(fast="not slow" in config.option.markexpr)


def pytest_collection_finish() -> None:
    """Many tests fork: what collecting left is looked at by no later collection of garbage, here or there."""
    gc.collect()
    gc.freeze()
