"""Fewer examples in the inner loop."""

from __future__ import annotations

import pytest

from support import feed


def pytest_configure(config: pytest.Config) -> None:
    if "not slow" in config.option.markexpr:
        feed.EXAMPLES = feed.EXAMPLES_FAST
