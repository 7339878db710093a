"""The reference API over a real Postgres and a real Valkey."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import redis

from courtkeeper.platform.api.app import build
from courtkeeper.platform.api.cache import COUNTERS, Outcome, game_key
from courtkeeper.platform.api.cache import Cache as ApiCache
from courtkeeper.platform.api.config import ApiConfig, Cache, Database
from support import postgres as bare
from support import valkey as bare_valkey

HOME, AWAY = 1610612766, 1610612737
GAME, DAY = "0022500775", "2026-02-11"

Ask = Callable[[httpx.AsyncClient], Awaitable[Any]]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bare_valkey.Server]:
    """A Valkey for the API alone."""
    with bare_valkey.valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def cache(valkey: bare_valkey.Server) -> Iterator[redis.Redis]:
    """A client of the API's empty cache."""
    with redis.Redis(host=valkey.host, port=valkey.port, password=valkey.password) as client:
        client.flushall()
        yield client


@pytest.fixture
def config(
    postgres: bare.Server,
    database_dsn: str,
    valkey: bare_valkey.Server,
    cache: redis.Redis,
) -> ApiConfig:
    """The API's configuration, over a database with one loaded game and an empty cache."""
    name = str(psycopg.conninfo.conninfo_to_dict(database_dsn)["dbname"])
    with psycopg.connect(database_dsn) as connection:
        load(connection)
    return ApiConfig(
        host="127.0.0.1",
        port=1,
        database=Database(
            host=postgres.host, port=postgres.port, database=name, user="platform_api",
            password=postgres.api_password,
        ),
        cache=Cache(host=valkey.host, port=valkey.port, password=valkey.password),
    )  # fmt: skip


def load(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO teams (team_id, city, name, tricode, named_on) VALUES"
        " (%s, 'Charlotte', 'Hornets', 'CHA', '2026-02-11'),"
        " (%s, 'Atlanta', 'Hawks', 'ATL', '2026-02-11')",
        [HOME, AWAY],
    )
    connection.execute("INSERT INTO players VALUES (1, 'L. Ball', 'LaMelo', 'Ball', '2026-02-11')")
    connection.execute("SELECT ensure_season_partition(2025::smallint)")
    connection.execute(
        "INSERT INTO games VALUES"
        " (%s, 2025, 'regular', %s, '2026-02-12T00:00Z', 'final', %s, %s, 110, 107, 4,"
        " 'Spectrum Center', 18000, 'recorded/cdn', false, now())",
        [GAME, DAY, HOME, AWAY],
    )
    for event_id, sequence in ((4, 40000), (2, 50000), (7, 30000)):
        connection.execute(
            "INSERT INTO play_events (season, game_id, event_id, sequence, period, clock_ms, event_type,"
            " team_id, player_id, points) VALUES (2025, %s, %s, %s, 1, 720000, '2pt', %s, 1, 2)",
            [GAME, event_id, sequence, HOME],
        )
    connection.execute(
        "INSERT INTO player_game_stats VALUES"
        " (%s, 1, %s, true, true, 2000, 20, 8, 15, 2, 5, 2, 2, 5, 7, 1, 0, 3, 2)",
        [GAME, HOME],
    )
    for team_id, points in ((HOME, 110), (AWAY, 107)):
        connection.execute(
            "INSERT INTO team_game_stats VALUES (%s, %s, %s, 40, 90, 10, 30, 20, 25, 44, 25, 7, 4)",
            [GAME, team_id, points],
        )


def with_api(config: ApiConfig, ask: Ask) -> Any:
    """Run `ask` with a client of the application, started as a server starts it."""

    async def session() -> Any:
        app = build(config)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://api", timeout=20) as client,
        ):
            return await ask(client)

    return asyncio.run(session())


def get(config: ApiConfig, path: str) -> httpx.Response:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get(path)

    response: httpx.Response = with_api(config, ask)
    return response


def counted(metrics: str, result: str) -> float:
    line = next(x for x in metrics.splitlines() if f'cache_requests_total{{result="{result}"}}' in x)
    return float(line.split()[1])


class TestPayloads:
    def test_games_of_a_day(self, config: ApiConfig) -> None:
        body = get(config, f"/games?date={DAY}").json()
        assert (body["date"], body["simulated"], len(body["games"])) == (DAY, False, 1)
        shown = body["games"][0]
        assert (shown["game_id"], shown["away"], shown["home"]) == (GAME, "ATL", "CHA")
        assert (shown["away_score"], shown["home_score"], shown["status"]) == (107, 110, "final")

    def test_a_day_without_games(self, config: ApiConfig) -> None:
        assert get(config, "/games?date=2026-07-01").json()["games"] == []

    def test_a_game(self, config: ApiConfig) -> None:
        body = get(config, f"/games/{GAME}").json()
        assert body["home"] == {
            "team_id": HOME, "tricode": "CHA", "city": "Charlotte", "name": "Hornets", "score": 110
        }  # fmt: skip
        assert body["starts_at"] == "2026-02-12T00:00:00+00:00"
        assert body["simulated"] is False

    def test_events_are_in_the_order_of_the_game(self, config: ApiConfig) -> None:
        body = get(config, f"/games/{GAME}/events").json()
        assert [shown["event_id"] for shown in body["events"]] == [7, 4, 2]

    def test_a_box_score(self, config: ApiConfig) -> None:
        body = get(config, f"/games/{GAME}/box").json()
        assert [(t["tricode"], t["points"]) for t in body["teams"]] == [("ATL", 107), ("CHA", 110)]
        assert body["players"][0]["name"] == "L. Ball"

    def test_a_game_without_events_or_box(self, config: ApiConfig, database_dsn: str) -> None:
        with psycopg.connect(database_dsn) as connection:
            for table in ("play_events", "player_game_stats", "team_game_stats"):
                connection.execute(f"DELETE FROM {table}")
        assert get(config, f"/games/{GAME}/events").json()["events"] == []
        body = get(config, f"/games/{GAME}/box").json()
        assert (body["teams"], body["players"]) == ([], [])

    def test_simulated_games_say_so(self, config: ApiConfig, database_dsn: str) -> None:
        with psycopg.connect(database_dsn) as connection:
            connection.execute("UPDATE games SET simulated = true")

        async def ask(client: httpx.AsyncClient) -> list[Any]:
            paths = (f"/games?date={DAY}", *(f"/games/{GAME}{what}" for what in ("", "/events", "/box")))
            return [(await client.get(path)).json()["simulated"] for path in paths]

        assert with_api(config, ask) == [True] * 4


REFUSALS = [
    ("/games", 400, "The day is missing: ask /games?date=YYYY-MM-DD."),
    ("/games?date=yesterday", 400, "'yesterday' is no day: write it as YYYY-MM-DD."),
    ("/games?date=20260211", 400, "'20260211' is no day: write it as YYYY-MM-DD."),
    ("/games?date=2026-02-30", 400, "'2026-02-30' is no day: write it as YYYY-MM-DD."),
    ("/games/75", 400, "'75' is no game id: it has ten digits, such as 0022500775."),
    ("/games/00225007७5", 400, "'00225007७5' is no game id: it has ten digits, such as 0022500775."),
    ("/games/0022500775'--/box", 400, None),
    ("/games/0022509999", 404, "Game 0022509999 is not known here."),
    ("/games/0022509999/events", 404, "Game 0022509999 is not known here."),
    ("/players", 404, "There is nothing at /players."),
]


class TestRefusals:
    def test_one_sentence(self, config: ApiConfig) -> None:
        async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
            return [await client.get(path) for path, _, _ in REFUSALS]

        for (path, status, sentence), response in zip(REFUSALS, with_api(config, ask), strict=True):
            assert response.status_code == status, path
            assert set(response.json()) == {"error"}
            assert sentence in {None, response.json()["error"]}

    def test_nothing_is_written(self, config: ApiConfig) -> None:
        async def ask(client: httpx.AsyncClient) -> httpx.Response:
            return await client.delete(f"/games/{GAME}")

        response = with_api(config, ask)
        assert response.status_code == 405
        assert response.json()["error"] == "DELETE is not possible here: this API only reads."
        assert "GET" in response.headers["allow"]

    def test_an_unknown_game_is_not_cached(self, config: ApiConfig, cache: redis.Redis) -> None:
        get(config, "/games/0022509999")
        assert list(cache.scan_iter()) == []


class TestCaching:
    def test_a_payload_is_read_once(self, config: ApiConfig, cache: redis.Redis) -> None:
        async def ask(client: httpx.AsyncClient) -> tuple[Any, Any, str]:
            first = (await client.get(f"/games/{GAME}")).json()
            second = (await client.get(f"/games/{GAME}")).json()
            return first, second, (await client.get("/metrics")).text

        first, second, metrics = with_api(config, ask)
        assert first == second
        assert (counted(metrics, "miss"), counted(metrics, "hit")) == (1, 1)
        assert list(cache.scan_iter("api:game*")) == [f"api:game:{GAME}:game".encode()]
        assert 0 < cache.ttl(f"api:game:{GAME}:game") <= config.cache_ttl_s

    def test_the_keys_are_those_of_the_contract(self, config: ApiConfig, cache: redis.Redis) -> None:
        async def ask(client: httpx.AsyncClient) -> None:
            for path in (
                f"/games?date={DAY}",
                f"/games/{GAME}",
                f"/games/{GAME}/events",
                f"/games/{GAME}/box",
            ):
                assert (await client.get(path)).status_code == 200

        with_api(config, ask)
        assert sorted(key.decode() for key in cache.scan_iter("api:game*")) == [
            f"api:game:{GAME}:box", f"api:game:{GAME}:events", f"api:game:{GAME}:game", f"api:games:{DAY}"
        ]  # fmt: skip

    def test_hits_and_misses_are_counted_by_pattern(self, config: ApiConfig, cache: redis.Redis) -> None:
        async def ask(client: httpx.AsyncClient) -> None:
            for path in (f"/games/{GAME}", f"/games/{GAME}", f"/games?date={DAY}", "/games/0022509999"):
                await client.get(path)

        for _ in range(2):  # an API that starts anew counts on
            with_api(config, ask)
        assert cache.hgetall(COUNTERS) == {
            b"hit:api:game:*:game": b"3",
            b"miss:api:game:*:game": b"1",
            b"hit:api:games:*": b"1",
            b"miss:api:games:*": b"1",
        }
        assert cache.ttl(COUNTERS) == -1

    def test_counts_are_written_while_it_serves(self, config: ApiConfig, cache: redis.Redis) -> None:
        async def ask(client: httpx.AsyncClient) -> None:
            await client.get(f"/games/{GAME}")
            deadline = time.monotonic() + 120
            while not cache.hget(COUNTERS, "miss:api:game:*:game"):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)

        with_api(config, ask)

    def test_an_invalidation_is_seen_at_once(
        self, config: ApiConfig, cache: redis.Redis, database_dsn: str
    ) -> None:
        async def ask(client: httpx.AsyncClient) -> list[int]:
            seen = [(await client.get(f"/games/{GAME}")).json()["home"]["score"]]
            with psycopg.connect(database_dsn) as connection:
                connection.execute("UPDATE games SET home_score = 112")
            seen.append((await client.get(f"/games/{GAME}")).json()["home"]["score"])
            invalidate(cache)
            seen.append((await client.get(f"/games/{GAME}")).json()["home"]["score"])
            return seen

        assert with_api(config, ask) == [110, 110, 112]

    def test_a_slow_reader_does_not_put_back_what_was_invalidated(
        self, config: ApiConfig, cache: redis.Redis
    ) -> None:
        async def scenario() -> tuple[bytes | None, Outcome, bytes | None, Outcome]:
            async def slow() -> bytes:
                invalidate(cache)  # after it has read the old row, before it stores
                return b"old"

            async def fresh() -> bytes:
                return b"new"

            store = ApiCache(config.cache, ttl_s=60)
            try:
                first = await store.fetch(game_key(GAME, "game"), slow)
                assert cache.get(f"api:game:{GAME}:game") is None
                return *first, *await store.fetch(game_key(GAME, "game"), fresh)
            finally:
                await store.close()

        assert asyncio.run(scenario()) == (b"old", Outcome.REFUSED, b"new", Outcome.MISS)
        assert cache.get(f"api:game:{GAME}:game") == b"new"

    def test_a_reader_that_fails_leaves_a_clean_connection(
        self, config: ApiConfig, cache: redis.Redis
    ) -> None:
        async def scenario() -> tuple[bytes | None, Outcome]:
            async def broken() -> bytes:
                raise RuntimeError("no")

            async def fresh() -> bytes:
                return b"new"

            store = ApiCache(config.cache, ttl_s=60)
            try:
                with pytest.raises(RuntimeError):
                    await store.fetch(game_key(GAME, "game"), broken)
                invalidate(cache)  # must not matter to the next one, which watches anew
                return await store.fetch(game_key(GAME, "game"), fresh)
            finally:
                await store.close()

        assert asyncio.run(scenario()) == (b"new", Outcome.MISS)

    def test_it_stops_counting_whatever_it_is_doing(
        self, config: ApiConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("courtkeeper.platform.api.cache._COUNT_EVERY_S", 0.0)

        async def scenario() -> None:
            for step in range(30):
                store = ApiCache(config.cache, ttl_s=60)
                counting = asyncio.create_task(store.keep_counting())
                try:
                    for _ in range(step % 10):
                        await store.fetch(game_key(GAME, "game"), body)
                    store.stop_counting()
                    async with asyncio.timeout(60):
                        await counting
                finally:
                    await store.close()

        async def body() -> bytes:
            return b"body"

        asyncio.run(scenario())

    def test_many_readers_at_once(self, config: ApiConfig) -> None:
        async def ask(client: httpx.AsyncClient) -> set[int]:
            answers = await asyncio.gather(*(client.get(f"/games/{GAME}/events") for _ in range(40)))
            return {answer.status_code for answer in answers}

        assert with_api(config, ask) == {200}


class TestWithoutTheCache:
    def test_the_api_answers_from_the_database_and_recovers(
        self, config: ApiConfig, valkey: bare_valkey.Server, cache: redis.Redis
    ) -> None:
        async def ask(client: httpx.AsyncClient) -> None:
            assert (await client.get(f"/games/{GAME}")).status_code == 200
            valkey.stop()
            for _ in range(2):
                start = time.monotonic()
                assert (await client.get(f"/games/{GAME}")).json()["home"]["score"] == 110
                assert time.monotonic() - start < 20
            assert (await client.get("/health")).status_code == 200
            detailed = await client.get("/health/detailed")
            assert detailed.status_code == 200
            assert detailed.json()["checks"]["cache"]["status"] == "warn"
            assert counted((await client.get("/metrics")).text, "error") == 2
            valkey.start()
            await asyncio.sleep(1.1)  # the rest it gives a cache that did not answer
            cache.flushall()
            await client.get(f"/games/{GAME}")
            assert cache.exists(f"api:game:{GAME}:game")

        try:
            with_api(config, ask)
        finally:
            valkey.stop()
            valkey.start()

    def test_a_wrong_password_is_as_good_as_no_cache(self, config: ApiConfig) -> None:
        config.cache.password = "wrong"
        assert get(config, f"/games/{GAME}").status_code == 200


class TestWithoutTheDatabase:
    @pytest.fixture
    def mortal(self, tmp_path: Path) -> Iterator[bare.Server]:
        """A server of its own, to be taken away."""
        with bare.postgres_server(tmp_path) as server:
            with psycopg.connect(server.dsn) as connection:
                load(connection)
            yield server

    @pytest.mark.slow
    def test_503_then_200_again(self, config: ApiConfig, mortal: bare.Server) -> None:
        config.database = Database(
            host=mortal.host, port=mortal.port, database="nba", user="platform_api",
            password=mortal.api_password,
        )  # fmt: skip

        async def ask(client: httpx.AsyncClient) -> None:
            assert (await client.get("/health")).status_code == 200
            assert (await client.get(f"/games/{GAME}")).status_code == 200
            identity = mortal.postgres.running()
            assert identity
            mortal.postgres.stop(identity)
            answer = await client.get(f"/games/{GAME}/box")
            assert answer.status_code == 503
            assert answer.json() == {"error": "The database does not answer: try again in a moment."}
            assert "retry-after" in answer.headers
            assert (await client.get("/health")).status_code == 503
            detailed = await client.get("/health/detailed")
            assert detailed.status_code == 503
            assert detailed.json()["checks"]["freshness"]["status"] == "unknown"
            assert (await client.get(f"/games/{GAME}")).status_code == 200  # cached
            assert (await client.get("/metrics")).status_code == 200
            mortal.postgres.start()
            start = time.monotonic()
            while (await client.get(f"/games/{GAME}/box")).status_code != 200:
                assert time.monotonic() - start < 120

        with_api(config, ask)

    @pytest.mark.slow
    def test_from_the_start(self, config: ApiConfig) -> None:
        config.database.port = 1
        assert get(config, f"/games?date={DAY}").status_code == 503

    def test_a_database_without_the_schema(self, config: ApiConfig) -> None:
        config.database.database = "template1"
        answer = get(config, f"/games/{GAME}")
        assert (answer.status_code, answer.json()["error"]) == (
            503, "The database has no schema, or an older one: migrate it first."
        )  # fmt: skip


class TestHealth:
    def freshness(self, config: ApiConfig) -> Any:
        return get(config, "/health/detailed").json()["checks"]["freshness"]

    def finish(self, dsn: str, hours_ago: int, status: str = "finished") -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "INSERT INTO refresh_runs (run_id, started_at, finished_at, source, status) VALUES"
                " (gen_random_uuid(), now() - make_interval(hours => %(hours)s + 1),"
                " now() - make_interval(hours => %(hours)s), 'x', %(status)s)",
                {"hours": hours_ago, "status": status},
            )

    def test_only_a_finished_refresh_is_fresh(self, config: ApiConfig, database_dsn: str) -> None:
        self.finish(database_dsn, 3)
        for hours, status in ((2, "failed"), (1, "incomplete"), (0, "interrupted")):
            self.finish(database_dsn, hours, status)
            found = self.freshness(config)
            assert (found["status"], found["newest_refresh"]) == ("warn", status)
            assert status in found["summary"]
            assert "finished did 3 h ago" in found["summary"]
        self.finish(database_dsn, -1, "running")  # not known yet how this one ends
        assert self.freshness(config)["newest_refresh"] == "interrupted"
        self.finish(database_dsn, -2)
        assert self.freshness(config)["status"] == "ok"

    def test_freshness(self, config: ApiConfig, database_dsn: str) -> None:
        assert self.freshness(config)["status"] == "unknown"
        self.finish(database_dsn, 48)
        assert self.freshness(config)["summary"] == "The last refresh finished 48 h ago."
        assert self.freshness(config)["status"] == "warn"
        self.finish(database_dsn, 2)
        fresh = self.freshness(config)
        assert (fresh["status"], fresh["newest_final_game"]) == ("ok", DAY)
        for severity, expected in (("warn", "warn"), ("crit", "crit")):
            with psycopg.connect(database_dsn) as connection:
                connection.execute(
                    "INSERT INTO data_quality_issues (game_id, issue_type, severity, description, opened_at)"
                    " VALUES (%s, %s, %s, '', now())",
                    [GAME, severity, severity],
                )
            assert self.freshness(config)["status"] == expected
        assert self.freshness(config)["open_issues"] == {"warn": 1, "crit": 1}

    def test_every_check_has_a_status_and_a_latency(self, config: ApiConfig) -> None:
        checks = get(config, "/health/detailed").json()["checks"]
        assert set(checks) == {"database", "cache", "freshness"}
        for check in checks.values():
            assert check["summary"].endswith(".")
            assert check["latency_ms"] >= 0

    def test_metrics(self, config: ApiConfig) -> None:
        async def ask(client: httpx.AsyncClient) -> str:
            await client.get(f"/games/{GAME}")
            await client.get("/games/75")
            await client.get("/nowhere")
            return (await client.get("/metrics")).text

        text = with_api(config, ask)
        for route, status in (("/games/{game_id}", 200), ("/games/{game_id}", 400), ("unknown", 404)):
            labels = f'method="GET",route="{route}",status="{status}"'
            assert f"courtkeeper_api_requests_total{{{labels}}} 1.0" in text
        assert 'courtkeeper_api_request_duration_seconds_bucket{le="0.25",route="/games/{game_id}"} ' in text
        assert "courtkeeper_api_database_connections " in text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "is no configuration of the API"),
        ('{"host": 1}', "is no configuration"),
    ],
)
def test_a_wrong_configuration(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = tmp_path / "api.json"
    if content is not None:
        path.write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "courtkeeper.platform.api", "--config", str(path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def invalidate(cache: redis.Redis) -> None:
    """What the refresh does after its commit (docs/design.md, cache keys)."""
    with cache.pipeline() as pipe:
        pipe.incr(f"api:generation:{GAME}")
        pipe.unlink(*(f"api:game:{GAME}:{what}" for what in ("game", "events", "box")))
        pipe.execute()


def test_the_example_of_the_configuration_round_trips(config: ApiConfig, tmp_path: Path) -> None:
    import msgspec

    from courtkeeper.platform.api.config import load as load_config

    path = tmp_path / "api.json"
    path.write_text(json.dumps(msgspec.to_builtins(config)))
    assert load_config(path) == config
