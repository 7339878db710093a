"""The upkeep of one cache: read, decide, work in small batches, remember."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from redis import exceptions as errors

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status, by_severity
from courtkeeper.redis import keyspace, parse
from courtkeeper.redis.keyspace import Keyspace, SampleSettings
from courtkeeper.redis.parse import whole
from courtkeeper.redis.server import (
    Client,
    Command,
    ServerSettings,
    connect,
    explained,
    facts,
    parse_info,
    replies,
)
from courtkeeper.redis.upkeep import counters, judge, keys, memory, persistence, rates, walk
from courtkeeper.redis.upkeep.judge import Judged
from courtkeeper.redis.upkeep.pace import NoWritesError, Pace, PutOffError
from courtkeeper.redis.upkeep.said import Done, finding
from courtkeeper.redis.upkeep.settings import UpkeepSettings
from courtkeeper.redis.upkeep.state import Memory, Reading, State

Progress = Callable[[int, int, str], None]

_STEPS = ("hit rates", "a sample of the keys", "every key", "memory", "the append-only file", "the snapshot")


def upkeep(
    server: ServerSettings,
    told: UpkeepSettings | None = None,
    *,
    check_mode: bool = False,
    progress: Progress = lambda _done, _total, _text: None,
    now: Callable[[], float] = time.time,
) -> Result:
    """Look after one server's cache as `told`.

    With `check_mode` nothing is changed, and `actions` are those that would be done. A replica is only looked
    at. Raises ConfigurationError where the request or the user is wrong, CourtkeeperError where the server
    cannot be reached; where it is lost on the way, what was done before is the error's `partial`.
    """
    told = told or UpkeepSettings()
    kept = Memory(told.state_directory, server.where)
    with kept.alone() as alone:
        if not alone:
            text = f"Nothing was done on {server.where}: another upkeep of it is at work."
            found = finding("alone", server.where, Status.SKIPPED, text, "wait for it to end")
            return Result(findings=[found], msg=text)
        client = connect(server, purpose="cache_upkeep")
        try:
            run = _Run(server, told, client, kept, progress, now, check_mode=check_mode)
            try:
                with explained(server, "looking after its cache"):
                    return run.result()
            except CourtkeeperError as error:
                if run.begun:
                    error.partial = run.partial()
                raise
        finally:
            client.close()


class _Run:
    """One run; what it has done so far stays readable when it ends in the middle."""

    def __init__(
        self,
        server: ServerSettings,
        told: UpkeepSettings,
        client: Client,
        kept: Memory,
        progress: Progress,
        now: Callable[[], float],
        *,
        check_mode: bool,
    ) -> None:
        self.server, self.told, self.client, self.kept = server, told, client, kept
        self.progress, self.now, self.check_mode = progress, now, check_mode
        self.began = time.monotonic()
        self.subject = server.where
        self.pace = Pace(
            client,
            budget_ms=told.latency_budget_ms,
            share=told.share,
            batch=told.batch,
            patience_s=told.patience_s,
            deadline=time.perf_counter() + told.window_s,
        )
        self.so_far = Result()
        self.found: list[Judged] = []
        self.walk: walk.Walk | None = None
        self.sample: Keyspace | None = None
        self.notable = keys.Notable(told)
        self.freed = 0
        self.expired: int | None = None
        self.judged = False
        self.begun = False

    def result(self) -> Result:
        """Do it all and return what was found and done."""
        self.info = parse_info(self._ask("INFO", "everything"))
        self.facts = facts(self.info)
        if self.facts.mode == "sentinel":
            raise ConfigurationError(
                f"the server {self.subject} is a Sentinel and keeps no keys: name a server that it watches"
            )
        self.begun = True
        state = self.kept.read()
        if self.kept.damaged:
            self._say(judge.forgotten(self.subject, self.kept.path))
        self.pace.begin()
        self._read_rates(state)
        try:
            self._look_at_keys()
            self._walk(state)
        except NoWritesError as error:
            self._put_off(error)
            self._background()
        except PutOffError as error:
            self._put_off(error)
        else:
            self._background()
        # Read again at the end, so that our own look-ups are not counted next time.
        stats = parse_info(self._ask("INFO", "stats"))
        self.expired = max(0, whole(stats.get("expired_keys")) - whole(self.info.get("expired_keys")))
        self._judge()
        self._memory_alert()
        self._remember(state, stats)
        return self.finished()

    @property
    def changing(self) -> bool:
        """Whether anything may be changed: not in check mode, and never on a replica."""
        return not self.check_mode and not self.replica

    @property
    def replica(self) -> bool:
        return self.facts.role == "replica"

    @property
    def database(self) -> int:
        return self.server.database

    # What is known before anything is done

    def _read_rates(self, state: State) -> None:
        """Read the counters, and judge the patterns whose hits the application counts."""
        self._tell(0)
        self.counters, problems = counters.read(self.client, self.told.counters)
        self.so_far.findings += problems
        hits, misses = whole(self.info.get("keyspace_hits")), whole(self.info.get("keyspace_misses"))
        least = self.told.least_requests
        self.whole_cache = rates.of_server(
            hits, misses, self.facts.run_id, state.readings, least_requests=least
        )
        if not self.told.wants("hit_rates") and not self.told.wants("removal"):
            return
        for declared in self.told.patterns:
            rate = rates.measured(
                self.counters,
                state.readings,
                declared.glob,
                least_requests=least,
                after=state.removed.get(declared.pattern, 0.0),
            )
            self.found.append(judge.judged(declared, rate, self.told))

    # What is seen and done

    def _look_at_keys(self) -> None:
        """Take the bounded sample, at our pace."""
        if not self.told.sample_keys or not (self.told.wants("keys") or self.told.wants("hit_rates")):
            return
        self._tell(1)
        here = parse.databases(self.info).get(self.database)
        if here is None:
            return
        self.sample = keyspace.take(
            self.client,
            SampleSettings(
                keys=self.told.sample_keys,
                pause_ratio=1 / self.told.share - 1,
                budget_s=self.told.window_s / 4,
            ),
            self.info,
            {},
            {self.database: here},
            see=self.notable.see,
            pause=self.pace.pause,
        )

    def _walk(self, state: State) -> None:
        """Go over every key: remove, limit, and let the server free what is past its time."""
        told = self.told
        remove = {one.declared.pattern for one in self.found if one.removed(told)}
        remove = remove if told.wants("removal") else set()
        limit = {one.pattern for one in told.patterns if one.ttl_s} if told.wants("ttl") else set()
        if self.replica or not (remove or limit or told.wants("expired")):
            return
        self._tell(2)
        since = self.whole_cache.since
        self.walk = walk.Walk(
            patterns=[one for one in told.patterns if one.pattern in remove | limit],
            remove=frozenset(remove),
            limit=frozenset(limit) if self.facts.api >= walk.EXPIRE_NX_SINCE else frozenset(),
            never=told.never,
            interval_s=self.now() - since if since else float(self.facts.uptime_s),
            change=self.changing,
            cursor=state.cursor if state.run_id == self.facts.run_id else 0,
        )
        walk.go(self.walk, self.client, self.pace, lambda text: self._tell(2, text))

    def _background(self) -> None:
        """Let the server do what it does beside its work: give memory back, rewrite, save."""
        if self.replica:
            return
        told = self.told
        if told.wants("memory_purge"):
            self._tell(3)
            self.pace.pause(0)
            purged = memory.purge(self.client, self.subject, told, check_mode=self.check_mode)
            self.freed = purged.freed
            self._did(Done(purged.finding, purged.action if self.check_mode or purged.freed else ""))
        watch = persistence.Watch(
            settings=told,
            subject=self.subject,
            directory=self._setting("dir") or "",
            check_mode=self.check_mode,
            tell=lambda text: self.progress(4, len(_STEPS), text),
            now=self.now,
        )
        if told.wants("aof_rewrite"):
            self._tell(4)
            self._did(persistence.aof_rewrite(self.client, watch))
        if told.wants("snapshot"):
            self._tell(5)
            self._did(persistence.snapshot(self.client, watch, self._setting("save")))

    # What is to be said

    def _judge(self) -> None:
        """Say what the patterns are like, and what was done about them."""
        self.judged = True
        told = self.told
        seen = self.walk.seen if self.walk else {}
        for number, one in enumerate(self.found):
            here = seen.get(one.declared.pattern)
            if here and self.walk and self.walk.whole:
                one = judge.guessed(one, here, self.sample, self.told.never, self.whole_cache, self.now())
                self.found[number] = one
            if told.wants("hit_rates"):
                self._say(judge.rate_finding(one, told))
        if told.wants("hit_rates"):
            self._say(judge.cache_finding(self.whole_cache, self.subject, told))
        if self.walk:
            self._judge_walk(self.walk)
        if self.replica:
            self._say(judge.only_looked(self.info, self.subject))
        if self.sample and told.wants("keys"):
            self.so_far.findings += self.notable.findings(self.sample, self.subject)
        if self.sample and told.wants("ttl"):
            ends = [one.glob for one in told.patterns if one.ttl_s]
            self.so_far.findings += keys.advice(self.sample, self.database, told, ends)

    def _judge_walk(self, walked: walk.Walk) -> None:
        told, ended = self.told, walked.cursor == 0
        for one in self.found:
            pattern = one.declared.pattern
            if pattern in walked.remove:
                seen = walked.seen[pattern]
                self._did(judge.removal(one, seen, check_mode=self.check_mode, whole=ended))
        for declared in walked.patterns:
            if told.wants("ttl") and declared.ttl_s and declared.pattern not in walked.remove:
                can = self.facts.api >= walk.EXPIRE_NX_SINCE
                seen = walked.seen[declared.pattern]
                for done in judge.limits(declared, seen, check_mode=self.check_mode, can=can):
                    self._did(done)
        if told.wants("expired") and self.expired is not None:
            text = (
                f"{self.expired:,} keys past their time were freed while {walked.keys:,} keys were looked at "
                "(counted by the server, its own expiry included)."
            )
            self._say(finding("expired", self.subject, Status.OK, text, observed=self.expired, unit="keys"))

    def _memory_alert(self) -> None:
        if self.told.wants("memory"):
            info = parse_info(self._ask("INFO", "memory"))
            self._say(memory.alert(info, self.subject, self.told))

    def _put_off(self, error: PutOffError) -> None:
        self._say(judge.put_off(self.subject, str(error), self.walk.keys if self.walk else 0))

    def _remember(self, state: State, stats: Mapping[str, str]) -> None:
        """Keep this run's readings for the next one, and where the walk was broken off."""
        if self.check_mode:
            return
        at = self.now()
        state.add(
            Reading(
                at=at,
                run_id=self.facts.run_id,
                hits=whole(stats.get("keyspace_hits")),
                misses=whole(stats.get("keyspace_misses")),
                counters=self.counters,
            ),
            self.told.keep_readings,
        )
        declared = {one.pattern for one in self.told.patterns}
        state.removed = {name: when for name, when in state.removed.items() if name in declared}
        if self.walk:
            state.cursor, state.run_id = self.walk.cursor, self.facts.run_id
            if not self.walk.cursor and self.changing:
                state.removed |= dict.fromkeys(sorted(self.walk.remove), at)
        self.kept.write(state)

    def partial(self) -> Result:
        """Return what was found and done before the server was lost, or refused to go on."""
        if not self.judged:
            self._judge()
        return self.finished()

    def finished(self) -> Result:
        """Return what was found and done so far."""
        result = self.so_far
        result.findings = by_severity(result.findings)
        result.changed = bool(result.actions)
        seen = self.walk.seen.values() if self.walk else ()
        result.metrics = {
            "keys_looked_at": self.walk.keys if self.walk else 0,
            "keys_removed": sum(one.removed for one in seen),
            "keys_given_ttl": sum(one.limited for one in seen),
            "keys_expired": self.expired or 0,
            "bytes_purged": self.freed,
            "batches": self.pace.batches,
            "backoffs": self.pace.backoffs,
            "paused_s": round(self.pace.paused_s, 3),
            "round_trip_p99_ms": round(self.pace.p99_ms, 3),
            "duration_s": round(time.monotonic() - self.began, 3),
        }
        result.details["cache_upkeep"] = {"patterns": [_row(one) for one in self.found]}
        verb = "to do" if self.check_mode else "done"
        bad = sum(1 for one in result.findings if one.status in (Status.WARN, Status.CRIT))
        result.msg = f"{len(result.actions)} actions {verb} on {self.subject}; {bad} findings need attention"
        return result

    # Helpers

    def _say(self, found: Finding) -> None:
        self.so_far.findings.append(found)

    def _did(self, done: Done | None) -> None:
        if done is None:
            return
        self._say(done.finding)
        if done.action:
            self.so_far.actions.append(done.action)

    def _tell(self, step: int, text: str = "") -> None:
        self.progress(step, len(_STEPS), f"{_STEPS[step]}{f': {text}' if text else ''}")

    def _ask(self, *command: str) -> Any:  # noqa: ANN401 - as the server answers
        wanted: list[Command] = [command]
        (answer,) = replies(self.client, wanted)
        if isinstance(answer, errors.RedisError):
            raise answer
        return answer

    def _setting(self, name: str) -> str | None:
        """Return a value of CONFIG GET; None where it is refused."""
        (answer,) = replies(self.client, [("CONFIG", "GET", name)])
        return None if isinstance(answer, errors.RedisError) else parse.config(answer).get(name)


def _row(one: Judged) -> dict[str, Any]:
    """A pattern for the report: `how` its rate is known, and the rate where it is."""
    row: dict[str, Any] = {"pattern": one.declared.pattern, "how": one.how}
    if one.rate:
        row |= {"hits": one.rate.hits, "misses": one.rate.misses, "hit_rate": round(one.rate.share, 4)}
    return row
