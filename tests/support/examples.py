"""How many examples are tried: all of them in a whole run, fewer in the inner loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

USUAL = 100
_LEAST = 4
_FAST_SHARE = 4
_fast = False


def load_profile(*, fast: bool) -> None:
    """Set what every property has from here on; where it is to be `fast`, a quarter of its examples."""
    global _fast
    _fast = fast
    settings.register_profile("courtkeeper", examples(USUAL))
    settings.load_profile("courtkeeper")


def few_fast(cases: Iterable[Any]) -> list[Any]:
    """For `parametrize`: the cases, of which one in five is in the inner loop too."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow if number % 5 else ()
        )
        for number, case in enumerate(cases)
    ]


def examples(number: int, *allowed: HealthCheck) -> settings:
    """`@examples(300)`: try a property on so many; `allowed` are checks of hypothesis that do not apply.

    A busy machine may take its time, so no example has a time limit of its own.
    """
    return settings(
        max_examples=max(_LEAST, number // _FAST_SHARE) if _fast else number,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, *allowed],
    )
