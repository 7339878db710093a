"""Whatever arrives from outside, a parser gives a game or one sentence: nothing else."""

from __future__ import annotations

import copy
import io
import json
import tarfile
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from courtkeeper.nba import quality
from courtkeeper.nba.formats import archive, cdn, lists, v3
from courtkeeper.nba.model import Game, GameData, PayloadError, Team
from support import games
from support.examples import examples

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.just([]),
    st.just({}),
    st.sampled_from(["PT99M00.00S", "0022500002", "-1", "\u0000", "NaN", "1e400"]),
)
NOBODY = Team(0, "", "", "")
LISTED = Game(game_id="0022500001", game_date=date(2025, 10, 22), status="final", home=NOBODY, away=NOBODY)
BOARD = {
    "scoreboard": {
        "gameDate": "2025-10-22",
        "games": [
            {
                "gameId": "0022500001",
                "gameStatus": 3,
                "gameEt": "2025-10-22T19:00:00Z",
                "homeTeam": {"teamId": 1, "teamTricode": "CHA", "score": 3},
                "awayTeam": {"teamId": 2, "teamTricode": "ATL", "score": 1},
            }
        ],
    }
}
V3_PLAYS = {
    "game": {
        "gameId": "0022500001",
        "actions": [
            {"actionId": 1, "clock": "PT12M00.00S", "period": 1, "actionType": "period", "subType": "start"},
            {
                "actionId": 2,
                "clock": "PT11M00.00S",
                "period": 1,
                "actionType": "Made Shot",
                "isFieldGoal": 1,
                "shotValue": 3,
                "teamId": games.HOME,
                "personId": games.SCORER,
                "description": "Scorer 3PT (3 PTS) (Assistant 1 AST)",
            },
        ],
    }
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(p for key, child in children for p in _paths(child, (*path, key)))]


def _mutate(payload: Any, path: tuple[Any, ...], junk: Any) -> bytes:
    changed = copy.deepcopy(payload)
    if not path:
        return json.dumps(junk).encode()
    target = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = junk
    return json.dumps(changed).encode()


def _game_or_sentence(parse, *arguments) -> None:
    sentence = "none needed"
    try:
        parsed = parse(*arguments)
        if isinstance(parsed, GameData):
            quality.judge(parsed)
    except PayloadError as error:
        sentence = str(error)
    assert sentence.strip()
    assert "\n" not in sentence


PLAYS, BOX = games.plays(), games.box()
CASES = [
    (PLAYS, lambda b: cdn.parse(b, games.encode(BOX))),
    (BOX, lambda b: cdn.parse(games.encode(PLAYS), b)),
    (V3_PLAYS, lambda b: v3.parse(b, games.encode({"boxScoreTraditional": BOX["game"]}), LISTED)),
    (BOARD, lists.parse_scoreboard),
    ({"leagueSchedule": {"gameDates": [{"games": BOARD["scoreboard"]["games"]}]}}, lists.parse_schedule),
]


@pytest.mark.parametrize("case", range(len(CASES)))
@examples(150)
@given(data=st.data())
def test_one_broken_value(case, data):
    payload, parse = CASES[case]
    path = data.draw(st.sampled_from(_paths(payload)))
    _game_or_sentence(parse, _mutate(payload, path, data.draw(JUNK)))


@pytest.mark.parametrize(("case", "payload"), [(0, PLAYS), (2, V3_PLAYS)])
def test_a_number_of_a_game_that_ends_a_line(case, payload):
    _game_or_sentence(CASES[case][1], _mutate(payload, ("game", "gameId"), "\n"))


@pytest.mark.parametrize("case", range(len(CASES)))
@examples(50)
@given(junk=st.one_of(st.binary(max_size=200), st.text().map(str.encode)))
def test_any_bytes(case, junk):
    _game_or_sentence(CASES[case][1], junk)


@examples(50)
@given(cut=st.integers(min_value=0, max_value=2000))
def test_cut_short(cut):
    _game_or_sentence(CASES[0][1], games.encode(PLAYS)[:cut])


LOG_COLUMNS = ["GAME_ID", "GAME_DATE", "MATCHUP", "WL", "MIN", "TEAM_ID", "TEAM_NAME", "TEAM_ABBREVIATION"]
LOG_STATISTICS = ["PTS", "FGM", "FGA", "FG3M", "FG3A", "FTM", "FTA", "REB", "AST", "STL", "BLK"]
LOG_ROWS = [
    ["0021500001", "2015-10-27", matchup, "W", 240, team, "City Team", "ABC", *[1] * len(LOG_STATISTICS)]
    for matchup, team in (("A vs. B", 1610612737), ("B @ A", 1610612738))
]
LOG = json.dumps({"resultSets": [{"headers": LOG_COLUMNS + LOG_STATISTICS, "rowSet": LOG_ROWS}]}).encode()
CSV_ROW = ["0021500001", "2", "1", "1", "1", "11:47", "", "", "Beal 3PT", "3 - 0", "5", "A", "", "6", "B"]


def _csv(rows: list[list[str]]) -> bytes:
    lines = [",".join(archive.COLUMNS), *(",".join([*row, "0", ""]) for row in rows)]
    return "\n".join(lines).encode()


@examples(100)
@given(column=st.integers(0, 14), junk=st.text(max_size=12), short=st.booleans())
@example(column=11, junk=",", short=False)  # a name where the second person's id belongs
def test_archive_rows(column, junk, short):
    row = list(CSV_ROW)
    row[column] = junk
    payload = _csv([row])
    log = archive.SeasonLog(LOG)
    _game_or_sentence(lambda b: archive.parse("0021500001", b, log), payload[:-3] if short else payload)


@examples(100)
@given(data=st.data())
def test_game_logs(data):
    payload = json.loads(LOG)
    path = data.draw(st.sampled_from(_paths(payload)))
    _game_or_sentence(
        lambda b: archive.SeasonLog(b).game("0021500001"), _mutate(payload, path, data.draw(JUNK))
    )


def _tar(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"a,b\n"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no archive at all", "not a readable archive"),
        (b"", "not a readable archive"),
        (_tar(["x/0021500001.csv"])[:90], "not a readable archive"),
        (_tar(["readme.txt"]), "holds no game"),
        (_tar(["../../etc/passwd.csv"]), "not a game id"),
    ],
)
def test_archives_of_the_wrong_shape(tmp_path, content, sentence):
    path = tmp_path / "archive.tar.xz"
    path.write_bytes(content)
    with pytest.raises(PayloadError, match=sentence):
        list(archive.members(path))


def test_a_csv_of_another_format_names_the_missing_column():
    with pytest.raises(PayloadError, match=r"lacks the column GAME_ID of the nbastats format"):
        archive.parse("0021500001", b"a,b\n1,2\n", archive.SeasonLog(LOG))
