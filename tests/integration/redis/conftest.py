"""Servers of both kinds: a test that asks for `kind` runs on Valkey and, where it is installed, on Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.redis import KINDS, program


@pytest.fixture(params=[KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """`valkey` or `redis`."""
    program(request.param, tmp_path)
    return str(request.param)
