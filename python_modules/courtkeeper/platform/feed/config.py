"""The feed's configuration file: read once, refused whole with one clear sentence when wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.platform.feed.faults import Fault, check_faults

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# The league's days, as the platform's schema knows them; calendars end only beyond.
YEARS = range(1946, 2201)
NO_MOMENT = "now must be an ISO time with an offset, for example 2026-02-12T12:00:00+00:00."


class FeedConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What one feed server serves.

    `recorded_dir` holds `recorded/` (kind `recorded`). `seed`, `first_night` (US Eastern day) and
    `games_per_night` (1 to 15) fix the simulated league. `now` (ISO 8601 with an offset) freezes
    the clock, for tests.
    """

    kind: Literal["recorded", "simulated"]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    host: str = "127.0.0.1"
    recorded_dir: str | None = None
    seed: int = 0
    first_night: date | None = None
    games_per_night: Annotated[int, msgspec.Meta(ge=1, le=15)] = 11
    faults: list[Fault] = msgspec.field(default_factory=list)
    now: datetime | None = None


def load(path: Path) -> FeedConfig:
    """Read and check the configuration at `path`.

    Raises `ConfigurationError` with one sentence that names the file, the key and the mend.
    """
    try:
        config = msgspec.json.decode(path.read_bytes(), type=FeedConfig)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # also what msgspec raises
        raise ConfigurationError(f"{path}: {error}.") from error
    problem = _problem(config)
    if problem:
        raise ConfigurationError(f"{path}: {problem}")
    return config


def _problem(config: FeedConfig) -> str:
    """Return what is wrong with `config` beyond its shape, as one sentence; empty when nothing is."""
    if config.host not in LOOPBACK:
        return f"host is {config.host!r}: the feed listens on loopback only, write 127.0.0.1."
    if config.now is not None and in_utc(config.now) is None:
        return NO_MOMENT
    if config.kind == "simulated" and config.first_night is None:
        return "first_night is missing: a simulated feed needs the day of its first games."
    if config.first_night is not None and config.first_night.year not in YEARS:
        return f"first_night is {config.first_night}: write a day of the years {YEARS[0]} to {YEARS[-1]}."
    if config.kind == "recorded":
        if not config.recorded_dir:
            return "recorded_dir is missing: name the directory that holds recorded/."
        if not (Path(config.recorded_dir) / "recorded").is_dir():
            return f"recorded_dir {config.recorded_dir} holds no directory recorded/."
    return check_faults(config.faults)


def frozen_now(config: FeedConfig) -> datetime | None:
    """Return the injected clock in UTC, or None for the real one."""
    return None if config.now is None else in_utc(config.now)


def in_utc(moment: datetime) -> datetime | None:
    """Return `moment` in UTC; None without an offset, or outside of the league's years."""
    return moment.astimezone(UTC) if moment.tzinfo and moment.year in YEARS else None
