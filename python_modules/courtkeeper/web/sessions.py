"""What a browser is known by: a random cookie, and a word that only our own forms can say with it."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_ID = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST = 10_000
LASTS_S = 12 * 3600.0


class Sessions:
    """The sessions of this process; a restart ends them all, and a person signs in again.

    A cookie that signs nobody in still has a CSRF word: where no token is asked for, forms need one as well.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._key = secrets.token_bytes(32)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._signed_in: OrderedDict[str, tuple[str, float]] = OrderedDict()

    @staticmethod
    def new() -> str:
        """Return a new id."""
        return secrets.token_urlsafe(32)

    @staticmethod
    def valid(name: str) -> bool:
        """Whether it looks like an id of ours."""
        return _ID.fullmatch(name) is not None

    def sign_in(self, digest: str) -> str:
        """Return a new id (never one that somebody could know before) that stands for a token's digest."""
        name = self.new()
        with self._lock:
            self._signed_in[name] = digest, self._monotonic() + LASTS_S
            while len(self._signed_in) > _MOST:
                self._signed_in.popitem(last=False)
        return name

    def sign_out(self, name: str) -> None:
        """Forget an id."""
        with self._lock:
            self._signed_in.pop(name, None)

    def digest(self, name: str) -> str:
        """Return the digest of the token that an id stands for; empty for none."""
        with self._lock:
            digest, until = self._signed_in.get(name, ("", 0.0))
            if digest and until <= self._monotonic():
                del self._signed_in[name]
                return ""
            return digest

    def csrf(self, name: str) -> str:
        """Return the word that a form sent with this id must hold."""
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()

    def is_own_form(self, name: str, said: str) -> bool:
        """Whether `said` is that word."""
        return bool(name) and hmac.compare_digest(self.csrf(name).encode(), said.encode("utf-8", "replace"))
