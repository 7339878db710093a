"""The gate: every service that ran before runs, and what proves the host's health says yes."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException

from courtkeeper.hosts import commands
from courtkeeper.hosts.patching import impact
from courtkeeper.hosts.patching.model import Health

POLL_S = 0.5
ANSWER_S = 10


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: object) -> None:
        return None


# The host itself is asked: never through a proxy.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def problems_outside(health: Health) -> list[str]:
    """Return what the URL and the command say against the host's health, a few words each."""
    found = []
    if health.url:
        status = _status(health.url)
        if status != health.status:
            found.append(f"{health.url} answers {status}, not {health.status}")
    if health.command:
        try:
            commands.run(health.command, timeout_s=ANSWER_S)
        except commands.CommandError as error:
            found.append(str(error).removesuffix("."))
    return found


def _status(url: str) -> int | str:
    try:
        with _OPENER.open(url, timeout=ANSWER_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError as error:
        return f"nothing ({error.reason})"
    except (OSError, HTTPException, ValueError) as error:
        return f"nothing ({error})"


def problems_of(expected: Sequence[str], seen: dict[str, impact.Unit]) -> list[str]:
    """Return which of the services that have to be active are not."""
    return [
        f"{name} is {seen[name].active}" if name in seen else f"{name} is unknown"
        for name in expected
        if name not in seen or seen[name].active not in {"active", "reloading"}
    ]


def wait(expected: Sequence[str], health: Health) -> list[str]:
    """Wait until everything is well and stays so for `settle_s`; return what is not after `timeout_s`.

    A service that dies and is started again by systemd within that time counts as ill: between two
    deaths it looks well.
    """
    wanted = sorted({*expected, *(_full(name) for name in health.services)})
    began = time.monotonic()
    well_since: float | None = None
    starts: dict[str, tuple[str, str]] = {}
    while True:
        seen = impact.units(wanted)
        problems = problems_of(wanted, seen) or problems_outside(health)
        now = time.monotonic()
        again = {name: (unit.invocation, unit.restarts) for name, unit in seen.items()}
        if problems:
            well_since = None
        elif well_since is None or again != starts:
            if well_since is not None:
                problems = [f"{name} keeps restarting" for name in again if again[name] != starts.get(name)]
            well_since = now
        elif now - well_since >= health.settle_s:
            return []
        starts = again
        if now - began >= health.timeout_s + health.settle_s:
            return problems or ["the services did not settle"]
        time.sleep(POLL_S)


def _full(name: str) -> str:
    return name if "." in name else f"{name}.service"
