"""The shape of `courtkeeper_notifications` in `inventory/<system>/group_vars/all/notifications.yml`."""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*$", max_length=50)]
Clock = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$")]
Suffix = Annotated[str, Meta(pattern=r"^([/?][A-Za-z0-9._/?=&-]*)?$", max_length=100)]


class Event(StrEnum):
    """What people hear of. The first four are for channels, `start` to `alive` for pings."""

    FAILURE = "failure"  # a job fails that did not fail before; both
    RECOVERY = "recovery"
    MISSED = "missed"
    DIGEST = "digest"
    START = "start"
    SUCCESS = "success"
    ALIVE = "alive"
    TEST = "test"


class MessageState(StrEnum):
    """Where a message stands. The last two are its end."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    GIVEN_UP = "given up"


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where messages go. `secret`: the key in courtkeeper_secrets that holds the address, one apprise URL.

    `digest_at`: the local time of the daily digest; empty for none.
    """

    name: Name
    secret: str
    events: list[Literal["failure", "recovery", "missed"]] = msgspec.field(
        default_factory=lambda: ["failure", "recovery", "missed"]
    )
    digest_at: Clock = ""

    @property
    def digest_time(self) -> time | None:
        """When the digest is due, or None."""
        return time.fromisoformat(self.digest_at) if self.digest_at else None


class Ping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dead man's switch elsewhere, that raises the alarm when it is not asked. Its address is a secret too.

    `start`, `success`, `failure`: what is added to the address then; null: no ping. `every_minutes`: one of
    the scheduler itself, for as long as it lives and its store can be used; jobs do not name such a one.
    """

    name: Name
    secret: str
    method: Literal["GET", "POST"] = "GET"
    start: Suffix | None = "/start"
    success: Suffix | None = ""
    failure: Suffix | None = "/fail"
    every_minutes: Annotated[int, Meta(ge=1, le=24 * 60)] | None = None


class Notifications(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. `link`: the dashboard's address, for messages to point at; empty for none."""

    time_zone: str = "UTC"
    link: str = ""
    channels: list[Channel] = []
    pings: list[Ping] = []

    @property
    def everybody(self) -> list[Channel | Ping]:
        """Channels and pings."""
        return [*self.channels, *self.pings]

    def find(self, name: str) -> Channel | Ping | None:
        """Return the channel or ping of that name, or None."""
        return next((each for each in self.everybody if each.name == name), None)

    @property
    def names(self) -> list[str]:
        """The names that jobs may use, in the order of the file."""
        return [each.name for each in self.everybody]
