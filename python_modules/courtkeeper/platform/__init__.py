"""The embedded platform: Postgres, Valkey, the feed and the API from wheels alone, all under `var/platform`.

==============  ======================================================================================
`supervisor`    `up`, `status`, `down`
`parts`         the four parts behind the same few verbs
`postgres`      the one adapter to a Postgres server; `valkey` the same for the cache
`database`      roles, the database, its extensions; `schema` its tables, by Alembic
`state`         the files it writes: state.json, secrets.json and its own
`processes`     processes known by pid and start time; `ports`; `files`
`feed`, `api`   the two servers that are ours
==============  ======================================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from courtkeeper.platform.state import PlatformStatus as PlatformStatus
    from courtkeeper.platform.state import State as State
    from courtkeeper.platform.state import read_secrets as read_secrets
    from courtkeeper.platform.state import read_state as read_state
    from courtkeeper.platform.supervisor import bring_up as bring_up
    from courtkeeper.platform.supervisor import down as down
    from courtkeeper.platform.supervisor import status as status
    from courtkeeper.platform.supervisor import up as up

__all__ = ["PlatformStatus", "State", "bring_up", "down", "read_secrets", "read_state", "status", "up"]

_IN_SUPERVISOR = frozenset({"bring_up", "down", "status", "up"})


def __getattr__(name: str) -> object:
    """Import on first use: the feed's and the API's own processes need none of this to start."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module("courtkeeper.platform." + ("supervisor" if name in _IN_SUPERVISOR else "state"))
    found: object = getattr(module, name)
    return found
