"""Work as the user that the server runs as: what root did, that user could not go on with."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from typing import Any

from courtkeeper.findings import ConfigurationError


def entry(owner: str) -> pwd.struct_passwd | None:
    """Return whom root works as; None when we are not root. Raises ConfigurationError."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam(owner)
    except KeyError:
        raise ConfigurationError(
            f"there is no user {owner!r} here: install Postgres, or mend owner"
        ) from None


def account(owner: str) -> dict[str, Any]:
    """Return what makes a subprocess run as `owner`: nothing when we are not root."""
    who = entry(owner)
    if who is None:
        return {}
    groups = os.getgrouplist(who.pw_name, who.pw_gid)
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": groups}


@contextlib.contextmanager
def acting(owner: str) -> Iterator[str]:
    """Connect as `owner`, whom a server knows by peer authentication; give that user's name."""
    who = entry(owner)
    if who is None:
        yield pwd.getpwuid(os.geteuid()).pw_name
        return
    os.seteuid(who.pw_uid)
    try:
        yield who.pw_name
    finally:
        os.seteuid(0)
