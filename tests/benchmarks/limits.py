"""The limits that the project promises: a benchmark that misses one ends with exit code 1."""

from __future__ import annotations


def hold(what: str, observed_s: float, limit_s: float) -> None:
    """End the benchmark with one sentence where `observed_s` is over `limit_s` (both in seconds)."""
    if observed_s > limit_s:
        raise SystemExit(f"MISSED: {what} took {observed_s:.1f} s, the limit is {limit_s:g} s")


def hold_ratio(what: str, observed: float, limit: float) -> None:
    """End the benchmark with one sentence where the ratio `observed` is over `limit`."""
    if observed > limit:
        raise SystemExit(f"MISSED: {what} is {observed:.2f}, the limit is {limit:g}")
