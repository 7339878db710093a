"""What the feed can break on purpose. One struct for a fault's parameters, one function for its effect.

===================== ==========================================================================
kind                  what a client sees, and the parameters with their defaults
===================== ==========================================================================
`block_page`          403 with an HTML page.
`rate_limit`          429. `retry_after` (1): seconds, an HTTP date, or null for no header;
                      `as_date` (false): write the seconds as an HTTP date.
`server_error`        A 5xx answer: `status` (500).
`hang`                Nothing for `seconds` (120), then 504.
`truncated`           JSON that ends in the middle: `fraction` (0.5) of it; `mismatch` (false):
                      announce the whole length and close early.
`empty_object`        `{}` with status 200.
`missing_game`        404 for a game's payloads.
`html_200`            An HTML page with status 200.
`slow`                The body in pieces of `chunk_bytes` (4096), `delay_s` (0.1) apart.
`events_missing`      A play-by-play with events left out: exactly one of `fraction` (drawn by
                      `seed`), `period`, and `numbers`: [first, last] `actionNumber`.
`events_out_of_order` A play-by-play listed in another order (by `seed`), identities intact.
`wrong_score`         An official score that the events do not bear out: `side` (home) off `by` (1)
                      in box score, scoreboards, schedules and log, never in the events.
`late_correction`     First the game as it was, later corrected, alike in play-by-play, box score,
                      scoreboards, schedules and log: `change` (three_to_two, assist_withdrawn or
                      event_deleted), `after_serves` (null), `corrected` (false). Needs
                      `match.game_id`.
===================== ==========================================================================

Every fault has `match` (`path`: substring or regular expression over path and query, `game_id`)
and `times` (how often it strikes; null: always). `late_correction` switches to the corrected version
when play-by-play and box score have each been served `after_serves` times, on `POST /__feed/correct`,
or at once with `corrected: true`: never between the two payloads of one pass. It has no use for `times`
and `match.path`.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Annotated, Any, Literal, get_args

import msgspec
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse

from courtkeeper.platform.feed.addresses import (
    BOXSCORES,
    PLAYBYPLAYS,
    SCHEDULES,
    SCOREBOARDS,
    Address,
    Endpoint,
)
from courtkeeper.platform.feed.corrections import Change

MAX_HANG_S = 120.0

BLOCK_PAGE = (
    "<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD><BODY><H1>Access Denied</H1>\n"
    "You don't have permission to access this resource on this server.<P>\nReference #18.0\n"
    "</BODY></HTML>\n"
)
MAINTENANCE_PAGE = (
    "<!DOCTYPE html><html><head><title>NBA</title></head><body><h1>We'll be right back</h1></body></html>\n"
)

Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Fraction = Annotated[float, msgspec.Meta(gt=0, le=1)]
Header = Annotated[str, msgspec.Meta(pattern=r"\A([!-~]+( [!-~]+)*)?\Z")]  # one line of plain text


class Match(msgspec.Struct, forbid_unknown_fields=True):
    """Which requests a fault is about. Empty means any."""

    path: str = ""
    game_id: str = ""


class _Fault(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    match: Match = msgspec.field(default_factory=Match)
    times: Positive | None = None


class BlockPage(_Fault, tag="block_page"):
    """403 with an HTML page."""


class RateLimit(_Fault, tag="rate_limit"):
    """429; `retry_after` in seconds or as an HTTP date."""

    retry_after: Annotated[int, msgspec.Meta(ge=0, le=10**9)] | Header | None = 1
    as_date: bool = False


class ServerError(_Fault, tag="server_error"):
    """A 5xx answer."""

    status: Annotated[int, msgspec.Meta(ge=500, le=599)] = 500


class Hang(_Fault, tag="hang"):
    """No answer for `seconds`."""

    seconds: Seconds = MAX_HANG_S


class Truncated(_Fault, tag="truncated"):
    """Only `fraction` of the body; with `mismatch` the announced length is the whole one."""

    fraction: Fraction = 0.5
    mismatch: bool = False


class EmptyObject(_Fault, tag="empty_object"):
    """`{}`."""


class MissingGame(_Fault, tag="missing_game"):
    """404 for a game's payloads."""


class Html200(_Fault, tag="html_200"):
    """An HTML page with status 200."""


class Slow(_Fault, tag="slow"):
    """The body in pieces of `chunk_bytes`, `delay_s` apart."""

    chunk_bytes: Positive = 4096
    delay_s: Seconds = 0.1


class EventsMissing(_Fault, tag="events_missing"):
    """Events left out: a seeded `fraction`, a `period`, or the `actionNumber`s of a range."""

    fraction: Fraction | None = None
    period: Positive | None = None
    numbers: tuple[int, int] | None = None
    seed: int = 0


class EventsOutOfOrder(_Fault, tag="events_out_of_order"):
    """Events listed in a seeded other order."""

    seed: int = 0


class WrongScore(_Fault, tag="wrong_score"):
    """The official score of `side` off by `by` points."""

    side: Literal["home", "away"] = "home"
    by: int = 1


class LateCorrection(_Fault, tag="late_correction"):
    """A statistic that is corrected between two serves."""

    change: Change = Change.THREE_TO_TWO
    after_serves: Positive | None = None
    corrected: bool = False


Fault = (
    BlockPage
    | RateLimit
    | ServerError
    | Hang
    | Truncated
    | EmptyObject
    | MissingGame
    | Html200
    | Slow
    | EventsMissing
    | EventsOutOfOrder
    | WrongScore
    | LateCorrection
)


def check_faults(faults: list[Fault]) -> str:
    """Return the first thing wrong with `faults` beyond their shape, as one sentence, or an empty string."""
    for index, fault in enumerate(faults):
        problem = _problem(fault)
        if problem:
            return f"faults[{index}]: {problem}"
    return ""


def _problem(fault: Fault) -> str:
    try:
        re.compile(fault.match.path)
    except re.error as error:
        return f"match.path {fault.match.path!r} is no regular expression: {error}."
    if fault.match.game_id and not re.fullmatch(r"[0-9]{10}", fault.match.game_id):
        return f"match.game_id {fault.match.game_id!r} is not a game id: write its 10 digits."
    if isinstance(fault, EventsMissing):
        chosen = [fault.fraction, fault.period, fault.numbers]
        if sum(value is not None for value in chosen) != 1:
            return "events_missing needs exactly one of fraction, period and numbers."
    if isinstance(fault, LateCorrection) and not fault.match.game_id:
        return "late_correction needs match.game_id: a correction is about one game."
    if isinstance(fault, WrongScore) and fault.by == 0:
        return "wrong_score with by 0 changes nothing: write 1 or -1."
    return ""


# Answers that need no payload.


async def _block_page(_: Fault) -> Response:
    return HTMLResponse(BLOCK_PAGE, status_code=403)


async def _rate_limit(fault: Fault) -> Response:
    assert isinstance(fault, RateLimit)  # noqa: S101 (narrows the type; the registry pairs them)
    after = fault.retry_after
    if fault.as_date and isinstance(after, int):
        after = format_datetime(datetime.now(UTC) + timedelta(seconds=after), usegmt=True)
    headers = {} if after is None else {"Retry-After": str(after)}
    return PlainTextResponse("Too Many Requests\n", status_code=429, headers=headers)


async def _server_error(fault: Fault) -> Response:
    assert isinstance(fault, ServerError)  # noqa: S101
    return HTMLResponse("<html><body>An error occurred.</body></html>\n", status_code=fault.status)


async def _hang(fault: Fault) -> Response:
    assert isinstance(fault, Hang)  # noqa: S101
    await asyncio.sleep(fault.seconds)
    return PlainTextResponse("Gateway Timeout\n", status_code=504)


async def _empty_object(_: Fault) -> Response:
    return Response(b"{}", media_type="application/json")


async def _missing_game(_: Fault) -> Response:
    return PlainTextResponse("Not found\n", status_code=404)


async def _html_200(_: Fault) -> Response:
    return HTMLResponse(MAINTENANCE_PAGE)


ANSWERS: dict[type, Callable[[Fault], Awaitable[Response]]] = {
    BlockPage: _block_page,
    RateLimit: _rate_limit,
    ServerError: _server_error,
    Hang: _hang,
    EmptyObject: _empty_object,
    MissingGame: _missing_game,
    Html200: _html_200,
}


# Ways to spoil the delivery of a payload.


def _truncated(fault: Fault, body: bytes) -> Response:
    assert isinstance(fault, Truncated)  # noqa: S101
    part = body[: int(len(body) * fault.fraction)]
    if not fault.mismatch:
        return Response(part, media_type="application/json")
    # The announced length is never reached: the server closes, as a dropped connection does.
    headers = {"content-length": str(len(body))}
    return StreamingResponse(
        _pieces(part, len(part) or 1, 0.0), media_type="application/json", headers=headers
    )


def _slow(fault: Fault, body: bytes) -> Response:
    assert isinstance(fault, Slow)  # noqa: S101
    pieces = _pieces(body, fault.chunk_bytes, fault.delay_s)
    return StreamingResponse(
        pieces, media_type="application/json", headers={"content-length": str(len(body))}
    )


async def _pieces(body: bytes, size: int, delay_s: float) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
        await asyncio.sleep(delay_s)


DELIVERIES: dict[type, Callable[[Fault, bytes], Response]] = {Truncated: _truncated, Slow: _slow}


# Ways to spoil the data. Each changes the decoded payload and says whether it did.

Payload = dict[str, Any]


def _events_missing(fault: Fault, address: Address, payload: Payload) -> bool:
    assert isinstance(fault, EventsMissing)  # noqa: S101
    if address.endpoint not in PLAYBYPLAYS:
        return False
    actions: list[dict[str, Any]] = payload["game"]["actions"]
    rng = Random(f"{fault.seed}:{address.game_id}")  # noqa: S311 (not for secrets)
    kept = [action for action in actions if not _missing(fault, action, rng)]
    payload["game"]["actions"] = kept
    return len(kept) < len(actions)


def _missing(fault: EventsMissing, action: dict[str, Any], rng: Random) -> bool:
    if fault.fraction is not None:
        return rng.random() < fault.fraction
    if fault.period is not None:
        return bool(action["period"] == fault.period)
    first, last = fault.numbers or (0, -1)
    return bool(first <= action["actionNumber"] <= last)


def _events_out_of_order(fault: Fault, address: Address, payload: Payload) -> bool:
    assert isinstance(fault, EventsOutOfOrder)  # noqa: S101
    if address.endpoint not in PLAYBYPLAYS:
        return False
    rng = Random(f"{fault.seed}:{address.game_id}")  # noqa: S311 (not for secrets)
    payload["game"]["actions"].sort(key=lambda _: rng.random())
    return True


def _wrong_score(fault: Fault, address: Address, payload: Payload) -> bool:
    assert isinstance(fault, WrongScore)  # noqa: S101
    game_id = fault.match.game_id
    endpoint = address.endpoint
    if endpoint is Endpoint.GAMELOG:
        return _wrong_log(fault, payload)
    if endpoint in SCOREBOARDS or endpoint in SCHEDULES:
        games = [game for game in games_of(endpoint, payload) if game_id in ("", game["gameId"])]
    elif endpoint in BOXSCORES or endpoint is Endpoint.SUMMARY:
        games = [next(payload[key] for key in payload if key != "meta")]
    else:
        return False
    for game in games:
        _add_points(game[f"{fault.side}Team"], fault.by)
    return bool(games)


def _add_points(team: dict[str, Any], points: int) -> None:
    if "score" in team:
        team["score"] += points
    if "points" in team.get("statistics", {}):
        team["statistics"]["points"] += points


def _wrong_log(fault: WrongScore, payload: Payload) -> bool:
    """Change the PTS of one side; in the log the home side's match-up says `vs.`."""
    table = payload["resultSets"][0]
    column = table["headers"].index
    marker = " vs. " if fault.side == "home" else " @ "
    touched = False
    for row in table["rowSet"]:
        if fault.match.game_id in ("", row[column("GAME_ID")]) and marker in row[column("MATCHUP")]:
            row[column("PTS")] += fault.by
            touched = True
    return touched


def games_of(endpoint: Endpoint, payload: Payload) -> list[dict[str, Any]]:
    """Return the games listed in a scoreboard or a schedule."""
    if endpoint in SCOREBOARDS:
        games: list[dict[str, Any]] = payload["scoreboard"]["games"]
        return games
    return [game for day in payload["leagueSchedule"]["gameDates"] for game in day["games"]]


ALTERATIONS: dict[type, Callable[[Fault, Address, Payload], bool]] = {
    EventsMissing: _events_missing,
    EventsOutOfOrder: _events_out_of_order,
    WrongScore: _wrong_score,
}

KINDS: tuple[str, ...] = tuple(str(kind.__struct_config__.tag) for kind in get_args(Fault))


class _Active:
    """One fault of the running server: how often it struck and, for a correction, what was served."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.used = 0
        self.corrected = isinstance(fault, LateCorrection) and fault.corrected
        self.serves: Counter[str] = Counter()

    def ready(self, address: Address | None, url: str) -> bool:
        """Whether this fault strikes a request for `address` at `url` (path and query)."""
        fault = self.fault
        if fault.times is not None and self.used >= fault.times:
            return False
        path = fault.match.path
        if path and path not in url and not re.search(path, url):
            return False
        return self._about(address)

    def _about(self, address: Address | None) -> bool:
        wanted = self.fault.match.game_id
        asked = address.game_id if address else ""
        if isinstance(self.fault, MissingGame):
            return bool(asked) and wanted in ("", asked)
        if type(self.fault) in ALTERATIONS:
            # A list of games holds the wanted game too; the alteration picks it out.
            return not asked or wanted in ("", asked)
        return wanted in ("", asked)


class FaultBoard:
    """The faults in force. Not thread-safe: used from the server's event loop only."""

    def __init__(self, faults: list[Fault]) -> None:
        self._active = [_Active(fault) for fault in faults]

    def replace(self, faults: list[Fault]) -> None:
        """Forget the faults in force, with their counts, and take these."""
        self._active = [_Active(fault) for fault in faults]

    def correct(self, game_id: str = "") -> int:
        """Publish the corrected version of `game_id` (empty: of every game); return how many switched."""
        waiting = [
            active
            for active in self._active
            if isinstance(active.fault, LateCorrection)
            and not active.corrected
            and game_id in ("", active.fault.match.game_id)
        ]
        for active in waiting:
            active.corrected = True
        return len(waiting)

    def answer(self, address: Address | None, url: str) -> tuple[str, Awaitable[Response]] | None:
        """Return kind and answer of the first fault that needs no payload, if one strikes."""
        for active in self._active:
            answer = ANSWERS.get(type(active.fault))
            if answer is not None and active.ready(address, url):
                active.used += 1
                return kind_of(active.fault), answer(active.fault)
        return None

    def changes(self) -> Mapping[str, Change]:
        """Return the corrections published so far, by game id."""
        return {
            active.fault.match.game_id: active.fault.change
            for active in self._active
            if isinstance(active.fault, LateCorrection) and active.corrected
        }

    def alter(self, address: Address, url: str, body: bytes) -> tuple[list[str], bytes]:
        """Return the kinds that struck and the body with their changes."""
        struck: list[str] = []
        payload: Payload | None = None
        for active in self._active:
            alteration = ALTERATIONS.get(type(active.fault))
            if alteration is None or not active.ready(address, url):
                continue
            payload = msgspec.json.decode(body) if payload is None else payload
            if alteration(active.fault, address, payload):
                active.used += 1
                struck.append(kind_of(active.fault))
        return struck, msgspec.json.encode(payload) if struck else body

    def deliver(self, address: Address, url: str, body: bytes) -> tuple[str, Response]:
        """Return kind (empty: none struck) and the response that carries `body`."""
        for active in self._active:
            delivery = DELIVERIES.get(type(active.fault))
            if delivery is not None and active.ready(address, url):
                active.used += 1
                return kind_of(active.fault), delivery(active.fault, body)
        return "", Response(body, media_type="application/json")

    def served(self, address: Address) -> None:
        """Count a served payload towards the corrections that wait for it."""
        for active in self._active:
            fault = active.fault
            if not isinstance(fault, LateCorrection) or fault.match.game_id != address.game_id:
                continue
            active.serves["events"] += address.endpoint in PLAYBYPLAYS
            active.serves["box"] += address.endpoint in BOXSCORES
            if fault.after_serves and min(active.serves.values()) >= fault.after_serves:
                active.corrected = True


def kind_of(fault: Fault) -> str:
    """Return the name of a fault's kind, as it is written in the configuration."""
    return str(fault.__struct_config__.tag)
