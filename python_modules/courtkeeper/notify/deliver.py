"""Sending one message: by apprise to a channel, or as a request to a dead man's switch.

An address holds secrets. It is in no error, no log and no argument.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import httpx

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.notify.load import address
from courtkeeper.notify.model import Channel, Event, Ping
from courtkeeper.notify.outbox import MessageRow
from courtkeeper.runner.secrets import Redactor

TIMEOUT_S = 20.0
_TRIES = 3
_PAUSE_S = 0.5
_LEVELS = {
    Event.FAILURE: "failure",
    Event.MISSED: "warning",
    Event.RECOVERY: "success",
    Event.DIGEST: "info",
    Event.TEST: "info",
}
# Apprise tells why only in its log, which is one for the whole process.
_ONE_AT_A_TIME = threading.Lock()
# They would write addresses into whatever log the process keeps.
for _name in ("httpx", "httpcore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)
_APPRISE_LOG = logging.getLogger("apprise")
_APPRISE_LOG.propagate = False
_APPRISE_LOG.setLevel(logging.WARNING)
_APPRISE_LOG.addHandler(logging.NullHandler())


class DeliveryError(CourtkeeperError):
    """A message was not taken. The sentence holds no address."""


def deliver(
    of: Channel | Ping,
    message: MessageRow,
    secrets: Mapping[str, Any],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Send a message. Raises DeliveryError where it was not taken, ConfigurationError where it cannot be."""
    where = address(of, secrets)
    if isinstance(of, Ping):
        suffix = suffix_of(of, Event(message.event))
        if suffix is not None:
            ping(of, where + suffix, message, pause=pause)
        return
    _notify(of, where, message)


def suffix_of(of: Ping, event: Event) -> str | None:
    """Return what is added to a ping's address for an event; None: it does not want to hear of that."""
    if event is Event.START:
        return of.start
    return of.failure if event is Event.FAILURE else of.success


def ping(of: Ping, where: str, message: MessageRow, *, pause: Callable[[float], None] = time.sleep) -> None:
    """Ask a dead man's switch, three times if need be. Raises DeliveryError."""
    why = ""
    headers = {"User-Agent": "courtkeeper", "Idempotency-Key": message.reference}
    content = f"{message.title}\n{message.body}".strip()[:10_000] if of.method == "POST" else None
    with httpx.Client(timeout=TIMEOUT_S / 2, headers=headers, follow_redirects=True) as client:
        for number in range(_TRIES):
            if number:
                pause(_PAUSE_S * 2 ** (number - 1))
            try:
                answer = client.request(of.method, where, content=content)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                why = f"does not answer ({type(error).__name__})"
                continue
            if answer.is_success:
                return
            why = f"answered {answer.status_code}"
            if answer.is_client_error and answer.status_code not in {408, 425, 429}:
                break
    raise DeliveryError(f"the address of {of.name} {why}.")


def _notify(of: Channel, where: str, message: MessageRow) -> None:
    try:
        from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode
    except ImportError as error:
        raise ConfigurationError(
            f"apprise cannot be imported ({error.name}): run `pip install -e '.[notify]'` in the checkout."
        ) from None
    asset = AppriseAsset(
        app_id="Courtkeeper",
        app_desc="Courtkeeper",
        app_url="",
        service_timeout=TIMEOUT_S,
        storage_mode="memory",
        allow_templates=False,  # what a finding says is not to be filled in
        interpret_escapes=False,
    )
    with _ONE_AT_A_TIME, _heard() as said:
        to = Apprise(asset=asset)
        if not to.add(where):
            raise ConfigurationError(
                f"the secret {of.secret} is no address that apprise knows: write one as mailto://… or slack://…"
            )
        if len(to) != 1:
            raise ConfigurationError(
                f"the secret {of.secret} holds several addresses: declare a channel for each"
            )
        if "overflow=" not in where:
            to[0].overflow_mode = OverflowMode.SPLIT  # a service with short messages gets several
        done = to.notify(
            title=message.title,
            body=f"{message.body}\nReference {message.reference}".strip(),
            notify_type=NotifyType(_LEVELS.get(Event(message.event), "info")),
            body_format=NotifyFormat.TEXT,
        )
    if not done:
        why = _redactor(where).text("; ".join(said[-3:])) or "the service did not take it"
        raise DeliveryError(f"{of.name}: {why.rstrip('.')}.")


class _heard:  # noqa: N801 - reads as what it is for
    """What apprise says while this is open."""

    def __enter__(self) -> list[str]:
        """Begin to listen."""
        self._said: list[str] = []
        self._handler = logging.Handler(logging.WARNING)
        self._handler.emit = lambda record: self._said.append(record.getMessage()[:300])  # type: ignore[method-assign]
        _APPRISE_LOG.addHandler(self._handler)
        return self._said

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        _APPRISE_LOG.removeHandler(self._handler)


def _redactor(where: str) -> Redactor:
    """Take an address, and each of its parts that could be a secret, out of a text."""
    _, _, rest = where.partition("://")
    parts = {part for part in re.split(r"[/:@?&=,+ ]", rest) if part}
    return Redactor({"whole": where, "rest": rest, "parts": [*parts, *map(unquote, parts)]})
