"""The same store twice: on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from courtkeeper.store import Store, open_store
from support.stores import ENGINES, store_url


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with store_url(request, request.param, tmp_path) as url, open_store(tmp_path, url) as opened:
        yield opened
