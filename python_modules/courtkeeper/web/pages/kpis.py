"""KPIs: each with its definition, its value and its trend."""

from __future__ import annotations

from typing import Any

from courtkeeper.web.site import Site


def view(site: Site, given: dict[str, str]) -> dict[str, Any]:
    """Return the view."""
    return {"now": site.clock(), "given": given}
