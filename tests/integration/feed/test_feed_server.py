"""The feed server over HTTP: the real hosts' manners, every fault, the log."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from support.feed import FEED_HEADERS, ROOT, box_from_cdn, box_from_payload, feed_server, recorded_dir
from support.platform import wait_until

CDN = "/static/json/liveData"
GAME = "0022501951"  # 8 February 2026, the first slot
OTHER = "0022501952"
PLAYBYPLAY = f"{CDN}/playbyplay/playbyplay_{GAME}.json"
BOX = f"{CDN}/boxscore/boxscore_{GAME}.json"
SCOREBOARD = f"{CDN}/scoreboard/todaysScoreboard_00.json"
SETTINGS = {"seed": 7, "first_night": "2026-02-06", "now": "2026-02-09T15:00:00+00:00"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with feed_server(tmp_path_factory.mktemp("feed"), **SETTINGS) as feed:
        yield feed


@pytest.fixture
def feed(server):
    server.set_faults([])
    server.clear_log()
    server.set_now(SETTINGS["now"])
    return server


def actions(response):
    return response.json()["game"]["actions"]


# The manners of the hosts


def test_health(feed):
    assert httpx.get(f"{feed.url}/__feed/health").json() == {"kind": "simulated", "pid": feed.pid}


def test_cdn_refuses_without_a_referer(feed):
    for headers in (
        {},
        {"Referer": "https://example.org/"},
        {"Referer": "https://www.nba.com.evil.example/"},
    ):
        response = feed.get(PLAYBYPLAY, headers=headers)
        assert response.status_code == 403
        assert response.headers["content-type"].startswith("text/html")
        assert "Access Denied" in response.text


@pytest.mark.parametrize("missing", ["Referer", "User-Agent"])
def test_stats_hangs_for_clients_it_dislikes(feed, missing):
    headers = {name: value for name, value in FEED_HEADERS.items() if name != missing}
    begun = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        feed.get(f"/stats/playbyplayv3?GameID={GAME}", headers=headers, timeout=0.4)
    assert time.monotonic() - begun >= 0.4
    assert feed.get(f"/stats/playbyplayv3?GameID={GAME}").status_code == 200


def test_stats_without_a_league_id_answers_with_nothing(feed):
    assert feed.get("/stats/scoreboardv3?GameDate=2026-02-08").json() == {}
    assert feed.get("/stats/scoreboardv3?GameDate=2026-02-08&LeagueID=").json() == {}
    games = feed.get("/stats/scoreboardv3?LeagueID=00&GameDate=02/08/2026").json()["scoreboard"]["games"]
    assert len(games) == 11


def test_unknown_things(feed):
    assert feed.get(f"{CDN}/playbyplay/playbyplay_0022509999.json").status_code == 404
    assert feed.get("/stats/playbyplayv2?GameID=0022200552").status_code == 404
    assert feed.get("/stats/playbyplayv3").status_code == 400
    assert feed.get("/").status_code == 404
    assert feed.get("/__feed/other").status_code == 404


def test_every_payload_says_simulated(feed):
    for path in (
        PLAYBYPLAY, BOX, SCOREBOARD, "/static/json/staticData/scheduleLeagueV2.json",
        f"/stats/playbyplayv3?GameID={GAME}", f"/stats/boxscoretraditionalv3?GameID={GAME}",
        f"/stats/boxscoresummaryv3?GameID={GAME}", "/stats/scoreboardv3?GameDate=2026-02-08&LeagueID=00",
        "/stats/scheduleleaguev2?LeagueID=00&Season=2025-26",
        "/stats/leaguegamelog?LeagueID=00&Season=2025-26",
        "/stats/commonallplayers?LeagueID=00",
    ):  # fmt: skip
        response = feed.get(path)
        assert response.status_code == 200, path
        assert response.headers["content-type"] == "application/json"
        assert response.json()["meta"]["source"] == "simulated"


def test_the_log_shows_pace_and_headers(feed):
    feed.get(PLAYBYPLAY)
    feed.get(f"/stats/playbyplayv3?GameID={GAME}&EndPeriod=0")
    first, second = feed.log()
    assert (first["path"], first["query"], first["status"], first["fault"]) == (PLAYBYPLAY, "", 200, "")
    assert (second["path"], second["query"]) == ("/stats/playbyplayv3", f"GameID={GAME}&EndPeriod=0")
    assert first["headers"]["referer"] == "https://www.nba.com/"
    assert first["headers"]["user-agent"].startswith("Mozilla/5.0")
    assert 0 < second["time"] - first["time"] < 30


def test_the_clock_can_be_moved(feed):
    feed.set_now("2026-02-09T00:30:00+00:00")
    game = feed.get(BOX).json()["game"]
    assert game["gameStatus"] == 2
    assert box_from_cdn(actions(feed.get(PLAYBYPLAY))) == box_from_payload(game)
    with pytest.raises(ValueError, match="offset"):
        feed.set_now("2026-02-09T00:30:00")
    feed.set_now("2026-02-08T20:00:00+00:00")
    assert feed.get(PLAYBYPLAY).status_code == 404


@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "0001-01-01T00:00:00+00:00", "soon"]
)
def test_a_moment_that_no_calendar_has(feed, moment):
    answer = httpx.post(f"{feed.url}/__feed/now", json={"now": moment})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("now must be an ISO time")
    assert feed.get(BOX).status_code == 200


# Faults


def test_block_page_for_some_requests_only(feed):
    feed.set_faults([{"kind": "block_page", "match": {"path": "/boxscore/"}, "times": 2}])
    assert [feed.get(BOX).status_code for _ in range(3)] == [403, 403, 200]
    feed.set_faults([{"kind": "block_page", "match": {"path": "playby.*_00225.*json$"}}])
    response = feed.get(PLAYBYPLAY)
    assert response.status_code == 403
    assert "text/html" in response.headers["content-type"]
    assert feed.get(BOX).status_code == 200
    assert [entry["fault"] for entry in feed.log()][-2:] == ["block_page", ""]


def test_rate_limit(feed):
    feed.set_faults([{"kind": "rate_limit", "retry_after": 7, "times": 1}])
    response = feed.get(BOX)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert feed.get(BOX).status_code == 200
    feed.set_faults([{"kind": "rate_limit", "retry_after": 60, "as_date": True}])
    moment = parsedate_to_datetime(feed.get(BOX).headers["retry-after"])
    assert 50 <= moment.timestamp() - time.time() <= 61
    feed.set_faults([{"kind": "rate_limit", "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}])
    assert feed.get(BOX).headers["retry-after"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    feed.set_faults([{"kind": "rate_limit", "retry_after": None}])
    assert "retry-after" not in feed.get(BOX).headers


def test_server_error_for_one_game(feed):
    feed.set_faults([{"kind": "server_error", "status": 503, "match": {"game_id": GAME}}])
    assert feed.get(BOX).status_code == 503
    assert feed.get(f"/stats/playbyplayv3?GameID={GAME}").status_code == 503
    assert feed.get(f"{CDN}/boxscore/boxscore_{OTHER}.json").status_code == 200
    assert feed.get(SCOREBOARD).status_code == 200


def test_hang(feed):
    feed.set_faults([{"kind": "hang", "seconds": 60, "times": 1}, {"kind": "hang", "seconds": 0.3}])
    with pytest.raises(httpx.ReadTimeout):
        feed.get(BOX, timeout=0.4)
    begun = time.monotonic()
    assert feed.get(BOX).status_code == 504
    assert time.monotonic() - begun >= 0.3


def test_truncated(feed):
    whole = feed.get(BOX).content
    feed.set_faults([{"kind": "truncated", "fraction": 0.25}])
    part = feed.get(BOX)
    assert part.status_code == 200
    assert part.content == whole[: len(whole) // 4]
    with pytest.raises(json.JSONDecodeError):
        part.json()
    feed.set_faults([{"kind": "truncated", "mismatch": True}])
    with pytest.raises(httpx.RemoteProtocolError):
        feed.get(BOX)


def test_empty_object_missing_game_and_html(feed):
    feed.set_faults([{"kind": "empty_object"}])
    assert feed.get(PLAYBYPLAY).json() == {}
    feed.set_faults([{"kind": "missing_game", "match": {"game_id": GAME}}])
    assert feed.get(PLAYBYPLAY).status_code == 404
    assert feed.get(f"/stats/boxscoretraditionalv3?GameID={GAME}").status_code == 404
    assert feed.get(SCOREBOARD).status_code == 200
    feed.set_faults([{"kind": "html_200"}])
    response = feed.get(PLAYBYPLAY)
    assert response.status_code == 200
    assert "text/html" in response.headers["content-type"]
    assert "<html>" in response.text


def test_slow(feed):
    whole = feed.get(BOX).content
    feed.set_faults([{"kind": "slow", "chunk_bytes": len(whole) // 4, "delay_s": 0.2}])
    begun = time.monotonic()
    assert feed.get(BOX).content == whole
    assert time.monotonic() - begun >= 0.55


def test_events_missing(feed):
    whole = actions(feed.get(PLAYBYPLAY))
    feed.set_faults([{"kind": "events_missing", "fraction": 0.1, "seed": 3}])
    first, second = actions(feed.get(PLAYBYPLAY)), actions(feed.get(PLAYBYPLAY))
    assert first == second
    assert 0.8 * len(whole) < len(first) < len(whole)
    assert [a for a in whole if a in first] == first
    feed.set_faults([{"kind": "events_missing", "period": 2}])
    assert {a["period"] for a in actions(feed.get(PLAYBYPLAY))} == {a["period"] for a in whole} - {2}
    feed.set_faults([{"kind": "events_missing", "numbers": [100, 200]}])
    kept = actions(feed.get(f"/stats/playbyplayv3?GameID={GAME}"))
    assert kept
    assert not [a for a in kept if 100 <= a["actionNumber"] <= 200]
    assert feed.get(BOX).status_code == 200


def test_events_out_of_order(feed):
    whole = actions(feed.get(PLAYBYPLAY))
    feed.set_faults([{"kind": "events_out_of_order", "match": {"game_id": GAME}}])
    shuffled = actions(feed.get(PLAYBYPLAY))
    assert shuffled != whole
    assert sorted(shuffled, key=lambda a: a["orderNumber"]) == whole


def scores(feed):
    """Return the (home, away) scores of the game wherever one stands."""
    listed = next(g for g in feed.get(SCOREBOARD).json()["scoreboard"]["games"] if g["gameId"] == GAME)
    day = feed.get("/stats/scoreboardv3?GameDate=2026-02-08&LeagueID=00").json()["scoreboard"]["games"]
    schedule = feed.get("/static/json/staticData/scheduleLeagueV2.json").json()["leagueSchedule"]["gameDates"]
    box = feed.get(BOX).json()["game"]
    box3 = feed.get(f"/stats/boxscoretraditionalv3?GameID={GAME}").json()["boxScoreTraditional"]
    summary = feed.get(f"/stats/boxscoresummaryv3?GameID={GAME}").json()["boxScoreSummary"]
    log = feed.get("/stats/leaguegamelog?LeagueID=00&Season=2025-26").json()["resultSets"][0]["rowSet"]
    points = {row[1]: row[26] for row in log if row[4] == GAME}
    games = [
        listed, box, summary,
        next(g for g in day if g["gameId"] == GAME),
        next(g for each in schedule for g in each["games"] if g["gameId"] == GAME),
    ]  # fmt: skip
    sides = ("homeTeam", "awayTeam")
    found = {tuple(game[side]["score"] for side in sides) for game in games}
    found.add(tuple(box[side]["statistics"]["points"] for side in sides))
    found.add(tuple(box3[side]["statistics"]["points"] for side in sides))
    found.add(tuple(points[box[side]["teamId"]] for side in sides))
    return found


def events_score(feed):
    last = actions(feed.get(PLAYBYPLAY))[-1]
    return int(last["scoreHome"]), int(last["scoreAway"])


def test_wrong_score_everywhere_but_in_the_events(feed):
    home, away = events_score(feed)
    assert scores(feed) == {(home, away)}
    feed.set_faults([{"kind": "wrong_score", "match": {"game_id": GAME}, "side": "away", "by": -1}])
    assert scores(feed) == {(home, away - 1)}
    assert events_score(feed) == (home, away)
    other = feed.get(f"{CDN}/boxscore/boxscore_{OTHER}.json").json()["game"]
    listed = next(g for g in feed.get(SCOREBOARD).json()["scoreboard"]["games"] if g["gameId"] == OTHER)
    assert (
        listed["awayTeam"]["score"] == other["awayTeam"]["score"] == other["awayTeam"]["statistics"]["points"]
    )


def consistent(feed):
    return box_from_cdn(actions(feed.get(PLAYBYPLAY))) == box_from_payload(feed.get(BOX).json()["game"])


def test_late_correction_after_a_post(feed):
    before = events_score(feed)
    feed.set_faults([{"kind": "late_correction", "match": {"game_id": GAME}}])
    assert events_score(feed) == before
    assert scores(feed) == {before}
    assert consistent(feed)
    assert feed.correct(OTHER) == 0
    assert feed.correct() == 1
    assert sum(events_score(feed)) == sum(before) - 1
    assert scores(feed) == {events_score(feed)}
    assert consistent(feed)
    assert feed.correct() == 0


@pytest.mark.parametrize("change", ["three_to_two", "assist_withdrawn", "event_deleted"])
def test_late_correction_after_serves_never_splits_a_pass(feed, change):
    original = feed.get(PLAYBYPLAY).json(), feed.get(BOX).json()
    fault = {"kind": "late_correction", "match": {"game_id": GAME}, "change": change, "after_serves": 2}
    feed.set_faults([fault])
    for _ in range(2):
        # A retry of one payload does not bring the switch forward.
        feed.get(PLAYBYPLAY)
        assert (feed.get(PLAYBYPLAY).json(), feed.get(BOX).json()) == original
    assert consistent(feed)
    corrected = feed.get(PLAYBYPLAY).json(), feed.get(BOX).json()
    assert corrected[0] != original[0]
    assert corrected[1] != original[1]
    feed.set_faults([{**fault, "corrected": True}])
    assert (feed.get(PLAYBYPLAY).json(), feed.get(BOX).json()) == corrected


def test_faults_combine(feed):
    feed.set_faults(
        [
            {"kind": "wrong_score", "match": {"game_id": GAME}},
            {"kind": "server_error", "times": 1},
            {"kind": "slow", "delay_s": 0.01},
        ]
    )
    whole = events_score_of(feed.get(BOX))
    assert whole is None
    assert events_score_of(feed.get(BOX)) is not None
    assert [entry["fault"] for entry in feed.log()] == ["server_error", "wrong_score,slow"]


def events_score_of(response):
    return response.json()["game"]["homeTeam"]["score"] if response.status_code == 200 else None


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ([{"kind": "earthquake"}], "earthquake"),
        ([{"kind": "late_correction"}], "match.game_id"),
        ([{"kind": "hang", "seconds": -1}], "seconds"),
        ([{"kind": "rate_limit", "retry_after": "1\r\nX: y"}], "retry_after"),
        ([{"kind": "rate_limit", "retry_after": "1\n"}], "retry_after"),
        ([{"kind": "rate_limit", "retry_after": 10**12, "as_date": True}], "retry_after"),
        ({"kind": "hang"}, "array"),
    ],
)
def test_a_bad_fault_changes_nothing(feed, faults, words):
    feed.set_faults([{"kind": "server_error"}])
    with pytest.raises(ValueError, match=words):
        feed.set_faults(faults)
    assert feed.get(BOX).status_code == 500


# The process


def test_the_same_seed_is_the_same_bytes_from_another_process(feed, tmp_path):
    paths = [PLAYBYPLAY, BOX, SCOREBOARD, "/stats/leaguegamelog?LeagueID=00&Season=2025-26"]
    with feed_server(tmp_path, **SETTINGS) as again:
        for path in reversed(paths):
            assert again.get(path).content == feed.get(path).content


def test_a_signal_ends_it_even_while_a_request_hangs(tmp_path):
    with feed_server(tmp_path, **SETTINGS) as feed:
        feed.set_faults([{"kind": "hang", "seconds": 100}])
        with socket.create_connection(("127.0.0.1", int(feed.url.rsplit(":", 1)[1]))) as client:
            lines = [
                f"GET {BOX} HTTP/1.1",
                "Host: x",
                *(f"{k}: {v}" for k, v in FEED_HEADERS.items()),
                "",
                "",
            ]
            client.sendall("\r\n".join(lines).encode())
            wait_until(feed.log)
            begun = time.monotonic()
            os.kill(feed.pid, signal.SIGTERM)
            while _alive(feed.url):
                assert time.monotonic() - begun < 60
                time.sleep(0.05)


def _alive(url):
    try:
        httpx.get(f"{url}/__feed/health", timeout=1.0)
    except httpx.HTTPError:
        return False
    return True


def test_a_taken_port_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = tmp_path / "feed.json"
        settings = {"kind": "simulated", "first_night": "2026-02-01", "port": taken.getsockname()[1]}
        path.write_text(json.dumps(settings))
        done = subprocess.run(
            [sys.executable, "-m", "courtkeeper.platform.feed", "--config", str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "python_modules")},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Choose another port" in done.stderr


# Recorded responses

RECORDED = "recorded/cdn.nba.com/static/json/liveData"
STATS = "recorded/stats.nba.com/stats"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    directory = recorded_dir()
    if directory is None:
        pytest.skip("no recorded responses (set COURTKEEPER_RECORDED)")
    with feed_server(tmp_path_factory.mktemp("feed"), kind="recorded", recorded_dir=str(directory)) as feed:
        yield feed, directory


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{CDN}/playbyplay/playbyplay_0022500775.json", f"{RECORDED}/playbyplay/playbyplay_0022500775.json"),
        (f"{CDN}/boxscore/boxscore_0022500776.json", f"{RECORDED}/boxscore/boxscore_0022500776.json"),
        (SCOREBOARD, f"{RECORDED}/scoreboard/todaysScoreboard_00.json"),
        (
            "/static/json/staticData/scheduleLeagueV2.json",
            "recorded/cdn.nba.com/static/json/staticData/scheduleLeagueV2_preseason_2025-26.json",
        ),
        ("/stats/playbyplayv3?GameID=0022200552", f"{STATS}/playbyplayv3_0022200552.json"),
        ("/stats/boxscoretraditionalv3?GameID=0022200552", f"{STATS}/boxscoretraditionalv3_0022200552.json"),
        ("/stats/scoreboardv3?GameDate=11/05/2025&LeagueID=00", f"{STATS}/scoreboardv3_2025-11-05.json"),
        ("/stats/scheduleleaguev2?LeagueID=00&Season=2024-25", f"{STATS}/scheduleleaguev2_2024-25.json"),
        ("/stats/leaguegamelog?Season=2015-16&LeagueID=00", f"{STATS}/leaguegamelog_2015-16.json"),
        ("/stats/commonallplayers?LeagueID=00&Season=2025-26", f"{STATS}/commonallplayers.json"),
    ],
)
def test_recorded_byte_for_byte(recorded, path, name):
    feed, directory = recorded
    feed.set_faults([])
    response = feed.get(path)
    assert response.status_code == 200
    assert response.content == (directory / name).read_bytes()


@pytest.mark.recorded
def test_recorded_knows_nothing_else(recorded):
    feed, _ = recorded
    feed.set_faults([])
    for path in (
        f"{CDN}/playbyplay/playbyplay_0022500777.json",  # Final on the scoreboard, never recorded
        f"{CDN}/boxscore/boxscore_0022500857.json",
        "/stats/boxscoresummaryv3?GameID=0022200552",
        "/stats/scoreboardv3?GameDate=2025-11-06&LeagueID=00",
        "/stats/leaguegamefinder?LeagueID=00&Season=2023-24",
    ):
        assert feed.get(path).status_code == 404, path
    assert feed.get("/stats/scoreboardv3?GameDate=2025-11-05").json() == {}


@pytest.mark.recorded
def test_recorded_paths_cannot_leave_the_directory(recorded):
    feed, _ = recorded
    feed.set_faults([])
    port = int(feed.url.rsplit(":", 1)[1])
    tries = [
        "/static/json/../../../MANIFEST.tsv",
        "/static/json/%2e%2e/%2e%2e/%2e%2e/MANIFEST.tsv",
        "/static/json/liveData/playbyplay/playbyplay_..%2f..%2f0022500775.json",
        "/static/json/liveData/playbyplay/..%2fboxscore%2fboxscore_0022500775.json",
        "/static/json/liveData/playbyplay/playbyplay_0022500775.json%00.txt",
        "//static/json/staticData/scheduleLeagueV2_preseason_2025-26.json",
        "/stats/../../../MANIFEST.tsv",
        "/stats/leaguegamelog?LeagueID=00&Season=../../../MANIFEST",
        "/stats/scoreboardv3?LeagueID=00&GameDate=2025-11-05/../x",
        "/stats/playbyplayv3?GameID=../../../MANIFEST.tsv",
    ]
    for path in tries:
        # A raw socket: httpx would tidy the path up.
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in FEED_HEADERS.items())]
            client.sendall(("\r\n".join([*lines, "Connection: close", "", ""])).encode())
            answer = client.makefile("rb").read()
        assert answer.split(b" ", 2)[1] in {b"404", b"400"}, path
        assert b"nba-movement-data" not in answer


@pytest.mark.recorded
def test_data_faults_work_on_recorded_payloads(recorded):
    feed, _ = recorded
    game_id = "0022500775"
    play, box = f"{CDN}/playbyplay/playbyplay_{game_id}.json", f"{CDN}/boxscore/boxscore_{game_id}.json"
    feed.set_faults([{"kind": "wrong_score", "match": {"game_id": game_id}}])
    assert feed.get(box).json()["game"]["homeTeam"]["score"] == 111
    assert feed.get(SCOREBOARD).json()["scoreboard"]["games"][0]["homeTeam"]["score"] == 111
    assert feed.get(SCOREBOARD).json()["scoreboard"]["games"][1]["homeTeam"]["score"] == 138
    feed.set_faults([{"kind": "events_missing", "period": 4}, {"kind": "events_out_of_order"}])
    assert {a["period"] for a in actions(feed.get(play))} == {1, 2, 3}
    feed.set_faults([{"kind": "late_correction", "match": {"game_id": game_id}, "after_serves": 1}])
    assert feed.get(box).json()["game"]["awayTeam"]["score"] == 107
    assert actions(feed.get(play))[-1]["scoreAway"] == "107"
    assert actions(feed.get(play))[-1]["scoreAway"] == "106"
    assert feed.get(box).json()["game"]["awayTeam"]["score"] == 106
    assert feed.get(SCOREBOARD).json()["scoreboard"]["games"][0]["awayTeam"]["score"] == 106
