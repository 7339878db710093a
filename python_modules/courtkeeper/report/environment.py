"""The one Jinja environment: of the static report, and of the dashboard, which shows the same parts."""

from __future__ import annotations

from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from courtkeeper.report import text


@cache
def environment(*packages: str) -> Environment:
    """Return the environment with the templates of `packages` (those of the first win) and of the report.

    Everything is escaped, cleaned of what cannot be shown, and cut where it is too long.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "courtkeeper.report")]),
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=text.shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.filters["breakable"] = text.breakable
    return made
