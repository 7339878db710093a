"""What a request means, and that none can mean a file outside the recordings. Configuration too."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.platform.feed.__main__ import main
from courtkeeper.platform.feed.addresses import Address, BadAddressError, Endpoint, parse
from courtkeeper.platform.feed.config import load
from courtkeeper.platform.feed.recorded import RecordedSource

NOW = datetime(2026, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (
            "/static/json/liveData/playbyplay/playbyplay_0022500775.json",
            {},
            Address(Endpoint.CDN_PLAYBYPLAY, game_id="0022500775"),
        ),
        (
            "/static/json/liveData/boxscore/boxscore_0022500775.json",
            {},
            Address(Endpoint.CDN_BOXSCORE, game_id="0022500775"),
        ),
        ("/static/json/liveData/scoreboard/todaysScoreboard_00.json", {}, Address(Endpoint.CDN_SCOREBOARD)),
        ("/static/json/staticData/scheduleLeagueV2.json", {}, Address(Endpoint.CDN_SCHEDULE)),
        (
            "/stats/playbyplayv3",
            {"GameID": "0022200552", "EndPeriod": "0"},
            Address(Endpoint.PLAYBYPLAY, game_id="0022200552", league=""),
        ),
        (
            "/stats/scoreboardv3",
            {"GameDate": "2025-11-05", "LeagueID": "00"},
            Address(Endpoint.SCOREBOARD, day=date(2025, 11, 5)),
        ),
        (
            "/stats/scoreboardv3",
            {"GameDate": "11/05/2025", "LeagueID": "00"},
            Address(Endpoint.SCOREBOARD, day=date(2025, 11, 5)),
        ),
        (
            "/stats/scheduleleaguev2",
            {"Season": "2024-25", "LeagueID": "00"},
            Address(Endpoint.SCHEDULE, season="2024-25"),
        ),
        ("/stats/commonallplayers", {"LeagueID": "00"}, Address(Endpoint.PLAYERS)),
    ],
)
def test_parse(path, query, expected):
    assert parse(path, query) == expected


@pytest.mark.parametrize(
    "endpoint", ["scoreboardv3", "scheduleleaguev2", "leaguegamelog", "commonallplayers"]
)
@pytest.mark.parametrize("query", [{}, {"LeagueID": ""}])
def test_without_a_league_id_there_is_nothing(endpoint, query):
    assert parse(f"/stats/{endpoint}", {**query, "GameDate": "2025-11-05", "Season": "2024-25"}).empty


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/stats/playbyplayv2", {"GameID": "0022200552"}, 404),
        ("/stats/cdn playbyplay", {"GameID": "0022200552"}, 404),
        ("/stats/playbyplayv3", {}, 400),
        ("/stats/playbyplayv3", {"GameID": "22200552"}, 400),
        ("/stats/playbyplayv3", {"GameID": "002220055\u0662"}, 400),
        ("/stats/playbyplayv3", {"GameID": "0022200552\n"}, 400),
        ("/stats/scoreboardv3", {"LeagueID": "00"}, 400),
        ("/stats/scoreboardv3", {"LeagueID": "00", "GameDate": "2025-13-05"}, 400),
        ("/stats/leaguegamelog", {"LeagueID": "00", "Season": "2015"}, 400),
        ("/static/json/liveData/playbyplay/boxscore_0022500775.json", {}, 404),
        ("/static/json/liveData/playbyplay/playbyplay_0022500775.json\n", {}, 404),
        ("/", {}, 404),
    ],
)
def test_what_cannot_be_understood(path, query, status):
    with pytest.raises(BadAddressError) as raised:
        parse(path, query)
    assert raised.value.status == status


PIECES = st.sampled_from(
    ["..", "../", "/", "\\", "%2e%2e", "%00", "\x00", "liveData", "playbyplay", "playbyplay_", "0022500775",
     ".json", "scoreboardv3_", "2025-11-05", "secret", "static", "json", "stats", "\n", "~", "etc/passwd"]
)  # fmt: skip
HOSTILE = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=8).map("".join))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A directory of recordings with something secret all around them."""
    root = tmp_path_factory.mktemp("feed") / "nba"
    stats, cdn = (
        root / "recorded/stats.nba.com/stats",
        root / "recorded/cdn.nba.com/static/json/liveData/playbyplay",
    )
    stats.mkdir(parents=True)
    cdn.mkdir(parents=True)
    for place in (root, root.parent, root / "recorded", stats.parent, stats, cdn):
        (place / "secret").write_text("secret")
        (place / "secret.json").write_text("secret")
    (stats / "playbyplayv3_0022200552.json").write_text("public")
    return root


@given(
    st.sampled_from(["/static/json/", "/stats/", "/static/json/liveData/playbyplay/", ""]), HOSTILE, HOSTILE
)
def test_no_request_reaches_another_file(tree, prefix, path, value):
    query = dict.fromkeys(("GameID", "GameDate", "Season", "LeagueID"), value)
    for asked in (path, "playbyplayv3", "scoreboardv3", "leaguegamelog", "boxscoresummaryv3"):
        try:
            address = parse(prefix + asked, query)
        except BadAddressError:
            continue
        if not address.empty:
            assert RecordedSource(tree).payload(address, NOW, {}) in (None, b"public")


def write(tmp_path, **config):
    path = tmp_path / "feed.json"
    path.write_text(json.dumps({"kind": "simulated", "port": 8000, "first_night": "2026-02-01", **config}))
    return path


def test_a_good_configuration(tmp_path):
    faults = [{"kind": "hang", "seconds": 3, "times": 2, "match": {"path": "boxscore"}}]
    config = load(write(tmp_path, seed=4, games_per_night=15, now="2026-02-12T12:00:00+00:00", faults=faults))
    assert config.first_night == date(2026, 2, 1)
    assert config.faults[0].seconds == 3


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"kind": "live"}, "kind"),
        ({"port": 0}, "port"),
        ({"colour": "red"}, "colour"),
        ({"host": "0.0.0.0"}, "loopback"),  # noqa: S104
        ({"first_night": None}, "first_night"),
        ({"first_night": "yesterday"}, "first_night"),
        ({"games_per_night": 16}, "games_per_night"),
        ({"now": "2026-02-12T12:00:00"}, "offset"),
        ({"kind": "recorded"}, "recorded_dir"),
        ({"kind": "recorded", "recorded_dir": "/nowhere"}, "/nowhere"),
        ({"faults": [{"kind": "earthquake"}]}, "faults[0]"),
        ({"faults": [{"kind": "hang", "minutes": 3}]}, "minutes"),
        ({"faults": [{"kind": "hang"}, {"kind": "hang", "times": 0}]}, "faults[1]"),
        ({"faults": [{"kind": "server_error", "status": 404}]}, "status"),
        ({"faults": [{"kind": "hang", "match": {"path": "("}}]}, "match.path"),
        ({"faults": [{"kind": "hang", "match": {"game_id": "7"}}]}, "game_id"),
        ({"faults": [{"kind": "events_missing"}]}, "exactly one"),
        ({"faults": [{"kind": "events_missing", "period": 1, "fraction": 0.1}]}, "exactly one"),
        ({"faults": [{"kind": "late_correction"}]}, "match.game_id"),
        ({"faults": [{"kind": "wrong_score", "by": 0}]}, "by 0"),
    ],
)
def test_a_bad_configuration_is_one_sentence_and_exit_code_2(tmp_path, capsys, config, words):
    path = write(tmp_path, **config)
    with pytest.raises(ConfigurationError):
        load(path)
    assert main(["--config", str(path)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.startswith(str(path))
    assert words in message


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "simulated"}'])
def test_a_broken_file(tmp_path, capsys, content):
    path = tmp_path / "feed.json"
    path.write_text(content)
    assert main(["--config", str(path)]) == 2
    assert capsys.readouterr().err.startswith(str(path))


def test_a_missing_file(tmp_path, capsys):
    assert main(["--config", str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
