"""Ask a CA when it wants a certificate to be renewed: ACME Renewal Information (RFC 9773)."""

from __future__ import annotations

import base64
import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.certificates.due import Window
from courtkeeper.hosts.certificates.x509 import Facts

TIMEOUT_S = 10
LARGEST = 256 * 1024
# RFC 9773, 4.3.2: a client limits what it is told, to a minute and a day at the ends.
SOONEST, LATEST = timedelta(minutes=1), timedelta(days=1)
USUAL = timedelta(hours=6)


class RenewalInfoError(CourtkeeperError):
    """The CA offers renewal information and gave none that can be used."""


class Advice(msgspec.Struct, frozen=True):
    """What the CA said of the certificate with `fingerprint`, and when to ask again.

    `window` is None where the CA offers no renewal information.
    """

    fingerprint: str
    directory_url: str
    ask_again: datetime
    window: Window | None = None

    def holds(self, leaf: Facts, directory_url: str, now: datetime) -> bool:
        """Tell whether it is of this certificate and CA and need not be asked for again yet."""
        return (self.fingerprint, self.directory_url) == (leaf.fingerprint, directory_url) and (
            now < self.ask_again <= now + LATEST
        )


def identifier(leaf: Facts) -> str:
    """Return the certificate's name at the CA (RFC 9773, 4.1): base64url of issuer's key id and serial."""
    if leaf.authority is None:
        raise RenewalInfoError("the certificate does not name its issuer's key")
    # The bytes of a DER integer: a leading zero where the first bit would make it negative.
    serial = leaf.serial.to_bytes((leaf.serial.bit_length() + 8) // 8, "big")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (leaf.authority, serial))


def parse_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object; anything else is an error."""
    if len(body) > LARGEST:
        raise RenewalInfoError("the CA's answer is too long")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise RenewalInfoError("the CA's answer is no JSON") from None
    if not isinstance(told, dict):
        raise RenewalInfoError("the CA's answer is no JSON object")
    return told


def parse_window(body: bytes) -> Window:
    """Return the suggested window of a renewalInfo answer."""
    told = parse_object(body)
    suggested = told.get("suggestedWindow")
    try:
        start, end = (
            datetime.fromisoformat(suggested[edge]).astimezone(UTC)  # type: ignore[index]
            for edge in ("start", "end")
        )
    except (TypeError, KeyError, ValueError, OverflowError):
        raise RenewalInfoError("the CA's answer has no suggestedWindow with start and end") from None
    if end <= start:
        raise RenewalInfoError("the CA's suggestedWindow ends before it starts")
    url = told.get("explanationURL")
    # It is shown to people: only an address, and not a page of text.
    plain = isinstance(url, str) and url.startswith("https://") and url.isprintable() and len(url) < 500
    return Window(start, end, url if isinstance(url, str) and plain else "")


def parse_retry_after(value: str | None, now: datetime) -> datetime:
    """Return when to ask again, from a Retry-After header (seconds or a date) held between the limits."""
    wait = USUAL
    if value:
        try:
            wait = timedelta(seconds=int(value)) if value.strip().isdecimal() else when(value) - now
        except (ValueError, TypeError, OverflowError, IndexError):
            wait = USUAL
    return now + min(max(wait, SOONEST), LATEST)


def when(value: str) -> datetime:
    """Return the moment of an HTTP date."""
    moment = parsedate_to_datetime(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ask(leaf: Facts, directory_url: str, *, ca_bundle: str, now: datetime) -> Advice:
    """Ask the CA at `directory_url` about `leaf`. Raises RenewalInfoError; orders nothing."""
    try:
        context = ssl.create_default_context(cafile=ca_bundle or None)
        with httpx.Client(verify=context, timeout=TIMEOUT_S, follow_redirects=True) as client:
            directory = client.get(directory_url).raise_for_status()
            base = parse_object(directory.content).get("renewalInfo")
            if not isinstance(base, str):
                return Advice(leaf.fingerprint, directory_url, now + LATEST)
            answer = client.get(f"{base.rstrip('/')}/{identifier(leaf)}").raise_for_status()
    except httpx.HTTPStatusError as error:
        raise RenewalInfoError(f"the CA answered {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise RenewalInfoError(
            f"the CA could not be asked ({str(error)[:120] or type(error).__name__})"
        ) from None
    ask_again = parse_retry_after(answer.headers.get("Retry-After"), now)
    return Advice(leaf.fingerprint, directory_url, ask_again, parse_window(answer.content))
