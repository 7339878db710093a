"""The audit log: who did what."""

from __future__ import annotations

from typing import Any

from courtkeeper.web.site import Site

_SIZE = 100
DEEDS = {
    "approve": "approved",
    "hold": "held",
    "release": "released",
    "cancel": "cancelled",
    "run": "asked for a run of",
    "undo": "took back what was done by",
    "undo-begun": "began to take back what was done by",
    "undo-failed": "could not take back what was done by",
    "login": "signed in",
}


def view(site: Site, after: str) -> dict[str, Any]:
    """Return the view of a page of the log."""
    found = site.store.people.audit(limit=_SIZE, after=after)
    return {"now": site.clock(), "entries": found.rows, "next": found.next, "deeds": DEEDS}
