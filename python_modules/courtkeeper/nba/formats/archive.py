"""Season archives in the "nbastats" format: one CSV a game with the columns of `playbyplayv2`.

They carry events only; date, teams, final score and the teams' box lines come from the
season's `leaguegamelog`. Neither names the arena or the players' lines.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any, Final

from courtkeeper.nba.formats.cdn import person
from courtkeeper.nba.formats.common import one_line, optional_int, period, plain_clock_ms
from courtkeeper.nba.model import (
    Event,
    Game,
    GameData,
    PayloadError,
    Player,
    StatLine,
    Team,
    check_game_id,
    is_team_id,
)

COLUMNS: Final = (
    "GAME_ID",
    "EVENTNUM",
    "EVENTMSGTYPE",
    "EVENTMSGACTIONTYPE",
    "PERIOD",
    "PCTIMESTRING",
    "HOMEDESCRIPTION",
    "NEUTRALDESCRIPTION",
    "VISITORDESCRIPTION",
    "SCORE",
    "PLAYER1_ID",
    "PLAYER1_NAME",
    "PLAYER1_TEAM_ID",
    "PLAYER2_ID",
    "PLAYER2_NAME",
    "PLAYER3_ID",
    "PLAYER3_NAME",
)
# EVENTMSGTYPE: https://github.com/swar/nba_api, "playbyplayv2" in its documentation.
_TYPES = {
    3: "freethrow",
    4: "rebound",
    5: "turnover",
    6: "foul",
    7: "violation",
    8: "substitution",
    9: "timeout",
    10: "jumpball",
    11: "ejection",
    12: "period",
    13: "period",
    18: "instantreplay",
}
_MADE, _MISSED, _FREE_THROW, _TURNOVER, _PERIOD_START, _PERIOD_END = 1, 2, 3, 5, 12, 13
_REGULATION_MINUTES, _OVERTIME_MINUTES = 240, 25
_MAX_MEMBER_BYTES = 16 * 1024 * 1024  # a game is about 100 kB


class SeasonLog:
    """The games of a season as `leaguegamelog` lists them: two rows a game, one a team."""

    def __init__(self, payload: bytes) -> None:
        """Read the log. Raises PayloadError where it has not the log's shape."""
        self._rows: dict[str, list[dict[str, Any]]] = {}
        for row in _result_rows(payload):
            self._rows.setdefault(str(row.get("GAME_ID")), []).append(row)
        for game_id in self._rows:
            try:
                date.fromisoformat(self._day(game_id))
            except ValueError as error:
                raise PayloadError(f"the game log's row for {game_id[:20]}: {one_line(error)}") from error

    def __contains__(self, game_id: str) -> bool:
        """Tell whether the log lists `game_id`."""
        return game_id in self._rows

    def between(self, first: date, last: date) -> set[str]:
        """Ids of the games played from `first` to `last`, both included."""
        return {i for i in self._rows if first.isoformat() <= self._day(i) <= last.isoformat()}

    def span(self, game_ids: Iterable[str]) -> tuple[date, date]:
        """The first and last day of those of the games that the log lists.

        Raises PayloadError where it lists none of them.
        """
        days = sorted(self._day(i) for i in game_ids if i in self._rows)
        if not days:
            raise PayloadError("the game log lists none of the archive's games")
        return date.fromisoformat(days[0]), date.fromisoformat(days[-1])

    def _day(self, game_id: str) -> str:
        return str(self._rows[game_id][0].get("GAME_DATE"))

    def game(self, game_id: str) -> tuple[Game, dict[int, StatLine]]:
        """The game and its teams' official lines. Raises PayloadError where a row is missing or odd."""
        rows = self._rows.get(game_id, [])
        home = [r for r in rows if " vs. " in str(r.get("MATCHUP"))]
        away = [r for r in rows if " @ " in str(r.get("MATCHUP"))]
        if len(home) != 1 or len(away) != 1:
            raise PayloadError(f"the game log has no home and away row for game {game_id}")
        try:
            return _game(game_id, home[0], away[0]), {int(r["TEAM_ID"]): _line(r) for r in rows}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise PayloadError(f"the game log's rows for {game_id}: {one_line(error)}") from error


def _result_rows(payload: bytes) -> Iterator[dict[str, Any]]:
    try:
        result = json.loads(payload)["resultSets"][0]
        headers, rows = result["headers"], result["rowSet"]
        for row in rows:
            yield dict(zip(headers, row, strict=True))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise PayloadError(
            f"not a game log (resultSets with headers and rowSet): {one_line(error)}"
        ) from error


def _game(game_id: str, home: dict[str, Any], away: dict[str, Any]) -> Game:
    minutes = int(home["MIN"])
    return Game(
        game_id=check_game_id(game_id),
        game_date=date.fromisoformat(home["GAME_DATE"]),
        status="final" if home["WL"] else "scheduled",
        home=_team(home),
        away=_team(away),
        home_score=int(home["PTS"]),
        away_score=int(away["PTS"]),
        # The log rounds minutes a little (239, 241), so the nearest number of overtimes counts.
        periods=period(4 + round((minutes - _REGULATION_MINUTES) / _OVERTIME_MINUTES)),
    )


def _team(row: dict[str, Any]) -> Team:
    # The log has the full name only ("Golden State Warriors", "Portland Trail Blazers").
    city, _, name = str(row["TEAM_NAME"]).rpartition(" ")
    if name == "Blazers":
        city, name = city.removesuffix(" Trail"), "Trail Blazers"
    return Team(int(row["TEAM_ID"]), city, name, str(row["TEAM_ABBREVIATION"]))


def _line(row: dict[str, Any]) -> StatLine:
    columns = ("PTS", "FGM", "FGA", "FG3M", "FG3A", "FTM", "FTA", "REB", "AST", "STL", "BLK")
    return StatLine(*(int(row[c]) for c in columns))


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (game id, CSV bytes) from an archive (`.tar.xz`, `.tar.gz`, `.tar`), one game at a time.

    Raises PayloadError where the file is no such archive, holds no game, or is cut short.
    """
    found = False
    try:
        with tarfile.open(path, mode="r|*") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if member.isfile() and name.suffix == ".csv":
                    found = True
                    yield check_game_id(name.stem), _read_member(archive, member)
    except (tarfile.TarError, EOFError, OSError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise PayloadError(f"{path.name} is not a readable archive: {one_line(error)}") from error
    if not found:
        raise PayloadError(f"{path.name} holds no game (expected one CSV a game, named by its id)")


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _MAX_MEMBER_BYTES:
        raise PayloadError(f"{member.name} is too large for one game ({member.size >> 20} MiB)")
    stream = archive.extractfile(member)
    return stream.read() if stream else b""


def parse(game_id: str, payload: bytes, log: SeasonLog, *, payloads: tuple[str, ...] = ()) -> GameData:
    """Read one game of an archive. Raises PayloadError where it is malformed or not in the log."""
    game, team_lines = log.game(game_id)
    rows = list(_csv_rows(game_id, payload))
    if not rows:
        raise PayloadError(f"{game_id}.csv holds no events")
    try:
        events = [_event(row, order, game) for order, row in enumerate(rows)]
        people = _people(rows)
    except (TypeError, ValueError, OverflowError) as error:
        raise PayloadError(f"{game_id}.csv: {one_line(error)}") from error
    return GameData(
        game=game,
        events=events,
        team_lines=team_lines,
        player_lines=[],
        people=people,
        source="archive-v2",
        payloads=payloads,
        arena_carried=False,
    )


def _csv_rows(game_id: str, payload: bytes) -> Iterator[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(payload.decode("utf-8"), newline=""))
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or [])]
        if missing:
            raise PayloadError(f"{game_id}.csv lacks the column {missing[0]} of the nbastats format")
        for row in reader:
            if any(row[c] is None for c in COLUMNS):
                raise PayloadError(f"{game_id}.csv, line {reader.line_num}: the line is cut short")
            if row["GAME_ID"].zfill(10) != game_id:
                raise PayloadError(
                    f"{game_id}.csv, line {reader.line_num}: an event of {row['GAME_ID'][:20]}"
                )
            yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise PayloadError(f"{game_id}.csv: {one_line(error)}") from error


def _event(row: dict[str, str], order: int, game: Game) -> Event:
    kind = int(row["EVENTMSGTYPE"])
    text = row["HOMEDESCRIPTION"] or row["VISITORDESCRIPTION"] or row["NEUTRALDESCRIPTION"]
    event_type, made, points = _type(kind, row)
    home_score, away_score = _score(row["SCORE"])
    return Event(
        event_id=int(row["EVENTNUM"]),
        sequence=order,
        period=period(int(row["PERIOD"])),
        clock_ms=plain_clock_ms(row["PCTIMESTRING"]),
        event_type=event_type,
        sub_type={_PERIOD_START: "start", _PERIOD_END: "end"}.get(kind, row["EVENTMSGACTIONTYPE"]),
        team_id=_event_team(row, game),
        player_id=person(_number(row["PLAYER1_ID"])),
        assist_player_id=person(_number(row["PLAYER2_ID"])) if kind == _MADE else None,
        steal_player_id=person(_number(row["PLAYER2_ID"])) if kind == _TURNOVER else None,
        block_player_id=person(_number(row["PLAYER3_ID"])) if kind == _MISSED else None,
        made=made,
        points=points if made else 0,
        home_score=home_score,
        away_score=away_score,
        description=text,
    )


def _type(kind: int, row: dict[str, str]) -> tuple[str, bool | None, int]:
    """The cdn event type, whether it went in, and what it is worth."""
    text = f"{row['HOMEDESCRIPTION']} {row['VISITORDESCRIPTION']}"
    if kind in (_MADE, _MISSED):
        value = 3 if "3PT" in text else 2
        return f"{value}pt", kind == _MADE, value
    if kind == _FREE_THROW:
        return "freethrow", "MISS" not in text, 1
    return _TYPES.get(kind, f"type{kind}"), None, 0


def _event_team(row: dict[str, str], game: Game) -> int | None:
    team_id = _number(row["PLAYER1_TEAM_ID"]) or _number(row["PLAYER1_ID"])
    return team_id if team_id in (game.home.team_id, game.away.team_id) else None


def _score(text: str) -> tuple[int | None, int | None]:
    """Home and away score from `25 - 40`, which names the visitors first."""
    away, separator, home = text.partition(" - ")
    return (optional_int(home), optional_int(away)) if separator else (None, None)


def _number(text: str) -> int:
    """An id from the archive's mixed notations (`1610612741.0`, `2200`, empty)."""
    number = int(float(text)) if text else 0
    return number if not is_team_id(number) or number < 2**40 else 0


def _people(rows: list[dict[str, str]]) -> list[Player]:
    named: dict[int, str] = {}
    for row in rows:
        for i in "123":
            number = person(_number(row[f"PLAYER{i}_ID"]))
            if number:
                named[number] = row[f"PLAYER{i}_NAME"] or named.get(number, "")
    return [Player(i, named[i]) for i in sorted(named)]
