"""Every fault the feed can inject, end to end: what the database holds afterwards, and what is said.

The rule behind all of them: a good game is never replaced by a bad one, a bad one is never stored as
good and never dropped, and the next run on a healed feed ends where a clean run ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from courtkeeper.findings import CourtkeeperError, Status
from courtkeeper.nba.cache import CacheSettings
from courtkeeper.platform.feed.faults import KINDS
from support import nba
from support.damage import file_of, unreadable
from support.examples import few_fast
from support.feed import Feed, feed_server
from support.platform import wait_until
from support.postgres import drop_database, fresh_database
from support.valkey import valkey_server

VICTIM = nba.SIMULATED_GAMES[1]


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    with feed_server(tmp_path_factory.mktemp("feed"), **nba.SIMULATED) as server:
        yield server


@pytest.fixture(autouse=True)
def _healed(feed: Feed) -> Iterator[None]:
    feed.set_faults([])
    yield
    feed.set_faults([])


@pytest.fixture(scope="module")
def clean(feed: Feed, postgres, tmp_path_factory) -> Iterator[dict]:
    """What a single clean run leaves."""
    dsn = fresh_database(postgres)
    feed.set_faults([])
    result = nba.run(nba.settings(dsn, feed.url, tmp_path_factory.mktemp("clean")))
    assert nba.bad(result) == []
    yield nba.snapshot(dsn)
    drop_database(postgres, dsn)


def _of(fault: dict, game_id: str = VICTIM, path: str = "") -> dict:
    return {**fault, "match": {"game_id": game_id, "path": path}}


def _loaded(dsn: str) -> list[str]:
    return [r[0] for r in nba.rows(dsn, "SELECT game_id FROM games WHERE loaded_at IS NOT NULL ORDER BY 1")]


def _issues(dsn: str, *, is_open: bool = True) -> list[tuple[str, str]]:
    condition = "closed_at IS NULL" if is_open else "closed_at IS NOT NULL"
    return nba.rows(
        dsn, f"SELECT game_id, issue_type FROM data_quality_issues WHERE {condition} ORDER BY 1, 2"
    )


def _without_history(snapshot: dict) -> dict:
    """All but the closed issues, which remember that something was wrong once."""
    return {
        **snapshot,
        "data_quality_issues": [i for i in snapshot["data_quality_issues"] if not i["closed_at"]],
    }


TRANSPORT = {
    "block page on one game": ({"kind": "block_page", "times": 1}, None),
    "rate limit, then well": ({"kind": "rate_limit", "retry_after": 0, "times": 2}, None),
    "5xx, then well": ({"kind": "server_error", "status": 502, "times": 3}, None),
    "hang, then well": ({"kind": "hang", "seconds": 60, "times": 1}, None),
    "truncated, then well": ({"kind": "truncated", "mismatch": True, "times": 2}, None),
    "HTML with 200, then well": ({"kind": "html_200", "times": 1}, None),
    "5xx for good": ({"kind": "server_error", "status": 503}, "not_fetched"),
    "truncated for good": ({"kind": "truncated"}, "not_fetched"),
    "cut connection for good": ({"kind": "truncated", "mismatch": True}, "not_fetched"),
    "hang for good": ({"kind": "hang", "seconds": 60}, "not_fetched"),
    "rate limit for an hour": ({"kind": "rate_limit", "retry_after": 3600}, "not_fetched"),
    "block page for good": ({"kind": "block_page"}, "not_fetched"),
    "HTML with 200 for good": ({"kind": "html_200"}, "not_fetched"),
    "trickle for good": ({"kind": "slow", "chunk_bytes": 64, "delay_s": 0.3}, "not_fetched"),
    "empty object": ({"kind": "empty_object"}, "missing"),
    "missing game": ({"kind": "missing_game"}, "missing"),
}


@pytest.mark.parametrize("name", few_fast(TRANSPORT))
def test_a_game_that_cannot_be_had(name, feed, clean, database_dsn, tmp_path):
    fault, kind = TRANSPORT[name]
    feed.set_faults([_of(fault)])
    settings = nba.settings(database_dsn, feed.url, tmp_path, feed={"timeout_s": 0.7, "attempts": 4})
    result = nba.run(settings)
    if kind is None:
        assert nba.bad(result) == []
        assert nba.snapshot(database_dsn) == clean
        return

    lost = [g for g in nba.SIMULATED_GAMES if g not in _loaded(database_dsn)]
    assert VICTIM in lost
    assert [f.subject for f in nba.by_id(result, f"nba.game.{kind}")] == lost
    assert _issues(database_dsn) == [(g, kind) for g in lost]
    # The game is known as Final and as lacking its events; nothing of it is stored as good.
    assert nba.rows(database_dsn, "SELECT count(*) FROM play_events WHERE game_id = %s", VICTIM) == [(0,)]
    flagged = nba.rows(database_dsn, "SELECT game_id FROM verify_data_integrity() ORDER BY 1")
    assert flagged == [(g,) for g in lost]

    feed.set_faults([])
    healed = nba.run(settings)
    assert nba.bad(healed) == []
    assert _without_history(nba.snapshot(database_dsn)) == clean
    assert _issues(database_dsn, is_open=False) == [(g, kind) for g in lost]


@pytest.mark.parametrize("name", few_fast(n for n, (_, kind) in TRANSPORT.items() if kind))
def test_a_stored_game_survives_a_feed_that_fails(name, feed, clean, database_dsn, tmp_path):
    settings = nba.settings(database_dsn, feed.url, tmp_path, feed={"timeout_s": 0.7, "attempts": 2})
    nba.run(settings)
    feed.set_faults([_of(TRANSPORT[name][0])])
    result = nba.run(settings)
    assert nba.snapshot(database_dsn) == clean
    assert not result.changed
    (finding, *_) = nba.by_id(result, "nba.game.not_rechecked")
    assert finding.status is Status.UNKNOWN


BAD_GAMES = {
    "one period gone": ({"kind": "events_missing", "period": 3}, "completeness"),
    "a fifth of the events gone": ({"kind": "events_missing", "fraction": 0.2, "seed": 3}, "completeness"),
    "home score off by one": ({"kind": "wrong_score", "side": "home", "by": 1}, "completeness"),
    "away score off by two": ({"kind": "wrong_score", "side": "away", "by": -2}, "completeness"),
}


@pytest.mark.parametrize("name", few_fast(BAD_GAMES))
def test_a_bad_game_is_quarantined_with_its_reason(name, feed, clean, database_dsn, tmp_path):
    fault, issue = BAD_GAMES[name]
    feed.set_faults([_of(fault)])
    settings = nba.settings(database_dsn, feed.url, tmp_path)
    result = nba.run(settings)
    assert VICTIM not in _loaded(database_dsn)
    assert (VICTIM, issue) in _issues(database_dsn)
    (report,) = [g for g in result.details["games"] if g["game_id"] == VICTIM]
    assert report["outcome"] == "quarantined"
    assert report["reason"]
    kept = nba.rows(
        database_dsn, "SELECT DISTINCT unnest(payloads) FROM data_quality_issues WHERE game_id = %s", VICTIM
    )
    assert len(kept) == 2
    for (digest,) in kept:
        assert (tmp_path / "payloads" / digest[:2] / f"{digest}.zst").is_file()

    again = nba.run(settings)
    assert not again.changed  # the same bad game is no news

    feed.set_faults([])
    nba.run(settings)
    assert _without_history(nba.snapshot(database_dsn)) == clean


@pytest.mark.parametrize("name", few_fast(BAD_GAMES))
def test_a_bad_game_never_replaces_a_good_one(name, feed, clean, database_dsn, tmp_path):
    settings = nba.settings(database_dsn, feed.url, tmp_path)
    nba.run(settings)
    feed.set_faults([_of(BAD_GAMES[name][0])])
    result = nba.run(settings)
    after = nba.snapshot(database_dsn)
    assert {t: r for t, r in after.items() if t != "data_quality_issues"} == {
        t: r for t, r in clean.items() if t != "data_quality_issues"
    }
    (finding, *_) = [f for f in result.findings if f.subject == VICTIM]
    assert finding.status is Status.WARN
    assert "stands" in finding.applied


def test_events_out_of_order_are_put_in_order(feed, clean, database_dsn, tmp_path):
    feed.set_faults([_of({"kind": "events_out_of_order", "seed": 5})])
    result = nba.run(nba.settings(database_dsn, feed.url, tmp_path))
    assert nba.bad(result) == []
    assert nba.snapshot(database_dsn) == clean


CORRECTIONS = {
    "three_to_two": {"updated", "points"},
    "assist_withdrawn": {"updated"},
    "event_deleted": {"deleted"},
}


@pytest.mark.parametrize("change", few_fast(CORRECTIONS))
def test_a_late_correction_is_applied_as_updates_and_deletes(change, feed, clean, database_dsn, tmp_path):
    feed.set_faults([_of({"kind": "late_correction", "change": change})])
    settings = nba.settings(database_dsn, feed.url, tmp_path)
    assert nba.bad(nba.run(settings)) == []
    before = nba.snapshot(database_dsn)

    feed.correct(VICTIM)
    result = nba.run(settings)
    after = nba.snapshot(database_dsn)
    (report,) = [g for g in result.details["games"] if g["game_id"] == VICTIM]
    assert report["outcome"] == "corrected"
    assert nba.bad(result) == []
    differing = sum(a not in before["play_events"] for a in after["play_events"])
    assert 0 < differing + report["deleted"] < len(after["play_events"])  # not rewritten as a whole
    if "deleted" in CORRECTIONS[change]:
        assert len(after["play_events"]) == len(before["play_events"]) - report["deleted"]
        assert report["deleted"] >= 1
    else:
        assert report["updated"] >= 2
        assert report["inserted"] == report["deleted"] == 0
    if "points" in CORRECTIONS[change]:
        assert after["games"] != before["games"]
    others = [e for e in after["play_events"] if e["game_id"] != VICTIM]
    assert others == [e for e in before["play_events"] if e["game_id"] != VICTIM]
    assert not nba.run(settings).changed


def test_simulated_games_say_so_in_the_database(feed, clean):
    assert all(g["simulated"] for g in clean["games"])


def test_replay_needs_no_feed(feed, clean, database_dsn, tmp_path):
    nba.run(nba.settings(database_dsn, feed.url, tmp_path))
    with nba.admin(database_dsn) as connection:
        connection.execute("DELETE FROM play_events WHERE game_id = %s", [VICTIM])
    result = nba.run(nba.settings(database_dsn, "http://127.0.0.1:9", tmp_path, replay=True))
    assert nba.bad(result) == []
    assert nba.snapshot(database_dsn) == clean


def test_nobody_serves_the_feed(database_dsn, tmp_path):
    result = nba.run(nba.settings(database_dsn, "http://127.0.0.1:9", tmp_path, feed={"attempts": 1}))
    assert not result.changed
    assert Status.CRIT in {f.status for f in result.findings}
    assert Status.OK not in {f.status for f in result.findings}
    assert "nothing is known" in result.msg
    # A run that learnt nothing must not count as fresh data.
    assert nba.rows(database_dsn, "SELECT status FROM refresh_runs") == [("incomplete",)]


LISTS = "scoreboard|schedule"
LIST_FAULTS = [
    {"kind": "block_page"},
    {"kind": "rate_limit", "retry_after": 3600},
    {"kind": "server_error"},
    {"kind": "truncated"},
    {"kind": "empty_object"},
    {"kind": "html_200"},
]


@pytest.mark.parametrize("fault", few_fast(LIST_FAULTS), ids=lambda f: f["kind"])
def test_lists_that_cannot_be_had(fault, feed, clean, database_dsn, tmp_path):
    settings = nba.settings(database_dsn, feed.url, tmp_path, feed={"attempts": 2})
    nba.run(settings)
    feed.set_faults([{**fault, "match": {"path": LISTS}}])
    result = nba.run(settings)
    assert nba.snapshot(database_dsn) == clean
    assert not result.changed
    assert Status.OK not in {f.status for f in result.findings}
    assert nba.by_id(result, "nba.feed.day")[0].status is Status.CRIT
    assert nba.by_id(result, "nba.feed.list")


def test_every_fault_of_the_feed_is_tried_here():
    tried = {fault["kind"] for fault, _ in [*TRANSPORT.values(), *BAD_GAMES.values()]}
    assert tried | {"events_out_of_order", "late_correction"} == set(KINDS)


def test_when_the_feed_is_down_a_quarantine_stays_open(feed, database_dsn, tmp_path):
    settings = nba.settings(database_dsn, feed.url, tmp_path, feed={"attempts": 1})
    feed.set_faults([_of(BAD_GAMES["home score off by one"][0])])
    nba.run(settings)
    quarantined = _issues(database_dsn)
    feed.set_faults([_of({"kind": "server_error"})])
    nba.run(settings)
    assert set(_issues(database_dsn)) == {*quarantined, (VICTIM, "not_fetched")}


def test_a_run_that_breaks_off_says_what_it_had_done(feed, postgres, database_dsn, tmp_path):
    """The server ends our connection at the second game: the first stands and is reported."""

    def cut(step: str) -> None:
        if step == f"before commit of {nba.SIMULATED_GAMES[1]}":
            with nba.admin(postgres.admin_dsn) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'courtkeeper nba_refresh'"
                )

    with pytest.raises(CourtkeeperError, match="went away") as broken:
        nba.run(nba.settings(database_dsn, feed.url, tmp_path), trace=cut)
    partial = broken.value.partial
    assert partial is not None
    assert partial.changed
    assert [g["game_id"] for g in partial.details["games"]] == [nba.SIMULATED_GAMES[0]]
    assert len(partial.actions) == 1
    assert _loaded(database_dsn) == [nba.SIMULATED_GAMES[0]]


def test_a_file_that_the_server_may_not_read_is_no_right_of_the_role(feed, postgres, database_dsn, tmp_path):
    with (
        unreadable(file_of(postgres, postgres.admin_dsn_for(database_dsn), "games")),
        pytest.raises(CourtkeeperError, match=r"may not use its own files .*: mend owner") as broken,
    ):
        nba.run(nba.settings(database_dsn, feed.url, tmp_path))
    assert type(broken.value) is CourtkeeperError


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("40P01", "is busy .*: run again later"),  # a deadlock
        ("53200", "has not what a statement needs .*: raise that limit or free some"),  # out of memory
        ("53400", "has not what a statement needs .*: raise that limit or free some"),  # temp_file_limit
    ],
)
def test_a_server_that_refuses_a_statement_did_not_go_away(
    feed, postgres, database_dsn, tmp_path, state, told
):
    with nba.admin(postgres.admin_dsn_for(database_dsn)) as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON games FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    with pytest.raises(CourtkeeperError, match=told):
        nba.run(nba.settings(database_dsn, feed.url, tmp_path))


def test_a_cache_that_takes_nothing_says_why_and_is_told_when_it_does(
    feed, database_dsn, tmp_path, monkeypatch
):
    without_pauses = Retry(NoBackoff(), 0)
    monkeypatch.setattr("courtkeeper.nba.cache.redis.Redis", partial(redis.Redis, retry=without_pauses))
    with valkey_server(tmp_path) as server:
        client = redis.Redis(server.host, server.port, password=server.password)
        address = CacheSettings(host=server.host, port=server.port, password=server.password)

        def told(password: str = server.password) -> tuple[str, str]:
            cache = msgspec.structs.replace(address, password=password)
            (finding,) = nba.by_id(
                nba.run(nba.settings(database_dsn, feed.url, tmp_path, cache=cache)), "nba.cache.outbox"
            )
            assert (finding.status, finding.observed) == (Status.WARN, len(nba.SIMULATED_GAMES))
            assert finding.fix.endswith("; the next refresh works the outbox off.")
            return finding.summary, finding.fix

        for password in ("guessed", ""):
            assert "refuses the password" in told(password)[0]
        client.replicaof("127.0.0.1", "1")
        assert "Name its master" in told()[1]
        client.replicaof("NO", "ONE")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        assert "Raise its maxmemory" in told()[1]
        client.config_set("maxmemory", "0")
        client.execute_command("ACL", "SETUSER", "default", "-incrby")
        assert "Grant it by ACL SETUSER" in told()[1]
        client.execute_command("ACL", "SETUSER", "default", "+incrby")
        client.config_set("save", "3600 1")
        (server.valkey.home / "dump.rdb").mkdir()  # where a snapshot is to be
        client.set("unsaved", 1)
        client.bgsave()
        wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        assert "could not save its data" in told()[0]
        client.config_set("save", "")
        server.stop()
        assert "Start the cache" in told()[1]
        server.start()
        result = nba.run(nba.settings(database_dsn, feed.url, tmp_path, cache=address))
        assert nba.by_id(result, "nba.cache.outbox") == []
        assert nba.rows(database_dsn, "SELECT count(*) FROM cache_outbox") == [(0,)]
