"""When a certificate is to be renewed, and when the CA may be asked again after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from courtkeeper.hosts.certificates.settings import Limits
from courtkeeper.hosts.certificates.x509 import Facts

# Below this lifetime, half of it is left at renewal (certbot 4.0, lego 4.20); above, a third.
SHORT_S = 10 * 86400
FIRST_WAIT = timedelta(hours=1)
LONGEST_WAIT = timedelta(hours=24)
DAY = timedelta(days=1)


class Window(msgspec.Struct, frozen=True):
    """When the CA wants a certificate to be renewed (RFC 9773)."""

    start: datetime
    end: datetime
    explanation_url: str = ""

    def moment(self, fingerprint: str) -> datetime:
        """Return the certificate's moment in the window: spread evenly, and the same at every look."""
        return self.start + (self.end - self.start) * (int(fingerprint[:16], 16) / 2**64)


class Decision(msgspec.Struct, frozen=True):
    """Whether a certificate is due, from when on, and why, as the end of a sentence."""

    due: bool
    at: datetime
    reason: str


class Try(msgspec.Struct, frozen=True):
    """One time the CA was asked: for what (a digest of the request), and whether it came to something."""

    at: datetime
    request: str
    ok: bool


def stamp(moment: datetime) -> str:
    """Return `moment` as people read it."""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def scaled(limits: Limits, lifetime_s: float) -> tuple[float, float, float]:
    """Return the fractions left at which to renew, to warn and to be critical, for a lifetime.

    A short-lived certificate is renewed earlier in its life, so it has to alert earlier in the same measure.
    """
    if lifetime_s >= SHORT_S:
        return limits.renew, limits.warn, limits.crit
    factor = limits.renew_short / limits.renew
    return limits.renew_short, limits.warn * factor, limits.crit * factor


def decide(
    leaf: Facts, *, now: datetime, limits: Limits, window: Window | None, interval: timedelta
) -> Decision:
    """Decide by the CA's window where there is one, else by the fraction of the lifetime that is left.

    With a window, a moment that comes before the next run (in `interval`) is due now (RFC 9773, 4.2).
    """
    if window is not None:
        at = window.moment(leaf.fingerprint)
        reason = f"the CA suggests {stamp(window.start)} to {stamp(window.end)}"
        return Decision(now + interval > at, at, reason)
    renew, _, _ = scaled(limits, leaf.lifetime_s)
    at = leaf.not_after - timedelta(seconds=leaf.lifetime_s * renew)
    left = leaf.left(now)
    return Decision(now >= at, at, f"{left:.0%} of its lifetime is left, renewal begins at {renew:.0%}")


def next_try(tries: Sequence[Try], request: str, *, per_day: int) -> datetime | None:
    """Return the moment from which the CA may be asked again, or None if it may be asked at once.

    Failures of the same request double the wait from an hour to a day; a mended request need not wait. All
    tries together are held to `per_day`, because a CA counts them all (Let's Encrypt: 5 failed validations
    for a name an hour, 5 certificates for the same names a week).
    """
    failures = []
    for made in reversed(tries):
        if made.ok:
            break
        if made.request == request:
            failures.append(made)
    moments = []
    if failures:
        moments.append(failures[0].at + min(FIRST_WAIT * 2 ** min(len(failures) - 1, 10), LONGEST_WAIT))
    if len(tries) >= per_day:
        moments.append(tries[-per_day].at + DAY)
    return max(moments, default=None)
