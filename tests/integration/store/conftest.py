"""The same store twice: on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from courtkeeper.store import Store, open_store
from support.stores import ENGINES, store_url


@pytest.fixture(params=ENGINES)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty store is."""
    with store_url(request, request.param, tmp_path) as url:
        yield url


@pytest.fixture
def store(where: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with open_store(tmp_path, where) as opened:
        yield opened
