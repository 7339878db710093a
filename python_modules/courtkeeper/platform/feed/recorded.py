"""Recorded responses, served byte for byte.

File names are built only from what `addresses` has already checked digit by digit, so no
request can reach a file outside the directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from courtkeeper.platform.feed.addresses import Address, Endpoint
from courtkeeper.platform.feed.corrections import Change, correct_payload

_CDN = "cdn.nba.com/static/json"
_STATS = "stats.nba.com/stats"


class RecordedSource:
    """The payloads under `<directory>/recorded`."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / "recorded"

    def payload(self, address: Address, now: datetime, changes: Mapping[str, Change]) -> bytes | None:  # noqa: ARG002
        """Return the recorded body, with `changes` (by game id) applied; None where none was recorded.

        A recording does not depend on the clock: `now` is part of the sources' common signature.
        """
        body = self._body(address)
        if body is None or not changes:
            return body
        return self._corrected(address, body, changes)

    def _body(self, address: Address) -> bytes | None:
        name = _file_name(address)
        if address.endpoint is Endpoint.CDN_SCHEDULE:
            # The one recorded schedule carries its season in its name.
            names = sorted((self._root / _CDN / "staticData").glob("scheduleLeagueV2*.json"))
            return names[-1].read_bytes() if names else None
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def _corrected(self, address: Address, body: bytes, changes: Mapping[str, Change]) -> bytes:
        payload: dict[str, Any] = msgspec.json.decode(body)
        touched = False
        for game_id, change in changes.items():
            if address.game_id and address.game_id != game_id:
                continue
            reference = self._playbyplay(game_id)
            if reference is not None:
                touched |= correct_payload(address.endpoint, payload, reference, change)
        return msgspec.json.encode(payload) if touched else body

    def _playbyplay(self, game_id: str) -> dict[str, Any] | None:
        """Return the game's play-by-play in either shape: it says which event a change is about."""
        for endpoint in (Endpoint.CDN_PLAYBYPLAY, Endpoint.PLAYBYPLAY):
            body = self._body(Address(endpoint, game_id=game_id))
            if body is not None:
                decoded: dict[str, Any] = msgspec.json.decode(body)
                return decoded
        return None


def _file_name(address: Address) -> str:
    """Return the path of the recorded file below `recorded/`."""
    match address.endpoint:
        case Endpoint.CDN_PLAYBYPLAY:
            return f"{_CDN}/liveData/playbyplay/playbyplay_{address.game_id}.json"
        case Endpoint.CDN_BOXSCORE:
            return f"{_CDN}/liveData/boxscore/boxscore_{address.game_id}.json"
        case Endpoint.CDN_SCOREBOARD:
            return f"{_CDN}/liveData/scoreboard/todaysScoreboard_00.json"
        case Endpoint.CDN_SCHEDULE:
            return f"{_CDN}/staticData/scheduleLeagueV2.json"
        case Endpoint.PLAYERS:
            return f"{_STATS}/commonallplayers.json"
        case Endpoint.SCOREBOARD:
            return f"{_STATS}/scoreboardv3_{address.day}.json"
        case Endpoint.SCHEDULE | Endpoint.GAMELOG:
            return f"{_STATS}/{address.endpoint.value}_{address.season}.json"
        case _:
            return f"{_STATS}/{address.endpoint.value}_{address.game_id}.json"
