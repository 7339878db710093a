"""Turning what an inventory or a command line gives into settings, refusing what cannot be by its key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from courtkeeper.findings import ConfigurationError

Struct = TypeVar("Struct", bound=msgspec.Struct)


def converted(given: Mapping[str, Any], kind: type[Struct], prefix: str = "") -> Struct:
    """Return `given` as a struct; `"4"` is a number where one is wanted, as templates give them.

    Raises ConfigurationError that names the key behind `prefix` (`database.`).
    """
    try:
        return msgspec.convert(dict(given), kind, strict=False, dec_hook=_as_it_is)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        key = where.strip("`").removeprefix("$").lstrip(".")
        name = (prefix + key).rstrip(".: ") or "the settings"
        raise ConfigurationError(f"{name} cannot be: {what[0].lower()}{what[1:]}") from error


def _as_it_is(kind: type[Any], value: object) -> object:
    """Make what msgspec does not know, such as a Path, by its own constructor."""
    return kind(value)


def within(name: str, value: float, least: float, most: float) -> None:
    """Raise ConfigurationError where a number is not from `least` to `most`."""
    if not least <= value <= most:
        raise ConfigurationError(f"{name} is {_plain(value)}: give a number from {least:g} to {most:g}")


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def known(what: str, given: Iterable[str], names: Iterable[str]) -> None:
    """Raise ConfigurationError, with the nearest right name, where one of `given` is not in `names`."""
    right = list(names)
    for name in given:
        if name not in right:
            near = get_close_matches(name, right, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(right) or 'none'}"
            raise ConfigurationError(f"there is no {what} {name!r}: {hint}")


def limit_from(name: str, value: object) -> float:
    """Return the limit of a check as a number. Raises ConfigurationError for what is none, or below 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigurationError(f"the threshold {name} is {value!r}: give a number")
    try:
        number = float(value)
    except ValueError:
        raise ConfigurationError(f"the threshold {name} is {value!r}: give a number") from None
    if not 0 <= number < float("inf"):
        raise ConfigurationError(f"the threshold {name} is {value!r}: give a number from 0 on")
    return number


def usable_directory(name: str, directory: str) -> None:
    """Make a directory of our own (0700) where there is none; an empty name is none wanted.

    Raises ConfigurationError where it cannot be made or written to.
    """
    if not directory:
        return
    path = Path(directory)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{name} {directory} cannot be made ({error.strerror}): name a directory that "
            "may be written to, or leave it empty"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"{name} {directory} may not be written to: mend its permissions, or leave it empty"
        )
