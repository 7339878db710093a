"""The run store: what ran, what it found and did, what is wrong and since when, and what runs next.

`open_store(root)` gives a `Store`, on SQLite under `var/` or on Postgres (`COURTKEEPER_STORE`):

- `recording`: takes runs in, as they go and from their files in `var/runs/` (the source of one run);
- `queries`: what pages ask (runs, one run, findings over time, metrics, actions);
- `slots`: the occurrences of jobs and what became of each;
- `owners`: who runs jobs, and their locks;
- `people`: approvals, holds, cancellations, and the audit log;
- `retention`: what is forgotten, and when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from courtkeeper.store.store import Store as Store
    from courtkeeper.store.store import open_store as open_store

__all__ = ["Store", "open_store"]


def __getattr__(name: str) -> object:
    """Import SQLAlchemy on first use: it takes a while, and most of the command line can do without."""
    if name not in __all__:
        raise AttributeError(name)
    from courtkeeper.store import store

    return getattr(store, name)
