"""Who is let in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.rule import KEEP, Limit, Rule, setting
from courtkeeper.redis.snapshot import Snapshot

_EVERYWHERE = frozenset({"standalone", "cluster", "sentinel", ""})
_LOOPBACK = ("127.", "::1", "localhost")


class Password(Rule):
    """Looks for users that need no password (RedisInsight: set a password). Critical beyond the own host."""

    name = "password"
    title = "users without a password"
    needs = ("info", "users")
    modes = _EVERYWHERE

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        for user in snapshot.users:
            if not (user.on and user.nopass):
                continue
            far = _beyond_its_host(snapshot) and snapshot.config.get("protected-mode") == "no"
            yield self.finding(
                user.name,
                Status.CRIT if far else Status.WARN,
                f"The user {user.name} needs no password"
                + (", and the server listens beyond its own host." if far else "."),
                fix=f"CONFIG SET requirepass <password>; {KEEP} -- give it to the clients first"
                if user.name == "default"
                else f"ACL SETUSER {user.name} resetpass ><password>; -- ACL SAVE or CONFIG REWRITE keeps it",
            )


class ProtectedMode(Rule):
    """Looks for a server that takes in the whole world: no password, and no protection for want of one."""

    name = "protected_mode"
    title = "servers without both password and protected mode"
    needs = ("info", "users", "config")

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        open_to_all = any(user.name == "default" and user.on and user.nopass for user in snapshot.users)
        if open_to_all and setting(snapshot, "protected-mode") == "no":
            yield self.finding(
                "protected-mode",
                Status.CRIT if _beyond_its_host(snapshot) else Status.WARN,
                "Protected mode is off and no password is set: whoever reaches the port may do anything.",
                observed="no",
                threshold="yes",
                fix=f"CONFIG SET protected-mode yes; {KEEP}",
                undo="CONFIG SET protected-mode no",
            )


class DeniedAccess(Rule):
    """Looks for many refused passwords: somebody guesses, or a client has the wrong one."""

    name = "denied"
    title = "many refused passwords"
    modes = _EVERYWHERE
    limits: ClassVar = {"warn": Limit(100, "refused AUTH a day since the start", "our choice")}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        count = snapshot.number("acl_access_denied_auth", 0) or 0  # from Redis 7.2 on
        a_day = count / max(1, snapshot.server.uptime_s / 86_400)
        if a_day >= self.limit["warn"]:
            yield self.finding(
                "AUTH",
                Status.WARN,
                f"{count:.0f} passwords were refused since the start.",
                observed=round(a_day),
                threshold=self.limit["warn"],
                unit="a day",
                fix="see ACL LOG for who it was; mend that client, or shut it out",
            )


def _beyond_its_host(snapshot: Snapshot) -> bool:
    """Whether it listens on more than the loopback; a server that does not say is taken for one that does."""
    addresses = [word.lstrip("-") for word in snapshot.config.get("bind", "*").split()]
    return not addresses or any(not address.startswith(_LOOPBACK) for address in addresses)
