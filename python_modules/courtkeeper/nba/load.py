"""Storing one game: everything in one transaction, changing only what differs.

A game's rows become equal to what its payloads say (insert, update, delete) or stay as they
were; in check mode the same statements run and are rolled back, so the counts are the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from courtkeeper.database import Connection
from courtkeeper.nba.database import sql
from courtkeeper.nba.model import STATISTICS, Event, Game, GameData, PayloadError, Player, PlayerLine

_EVENT_COLUMNS = Event.__struct_fields__
# Late corrections withdraw a few events of some five hundred.
_LEAST_SHARE_LEFT = 0.9
# Nobody's game is older: any box score renames a person first met in an event.
_NEVER = "-infinity"


class Counts(msgspec.Struct):
    """Rows changed: of events, statistics and the game's own row together."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    @property
    def any(self) -> bool:
        """Tell whether anything differed."""
        return bool(self.inserted or self.updated or self.deleted)

    def add(self, row: Sequence[Any] | None) -> None:
        """Add an (inserted, updated, deleted) row of a merge."""
        inserted, updated, deleted = row or (0, 0, 0)
        self.inserted += inserted
        self.updated += updated
        self.deleted += deleted


class Issue(msgspec.Struct, frozen=True):
    """One thing wrong with a game, for `data_quality_issues`."""

    issue_type: str
    severity: str
    description: str


class Stored(msgspec.Struct):
    """What storing a game changed.

    `was_loaded`: good events stood there before. `kept`: they stay, because they came from a
    source that carries more (named there).
    """

    counts: Counts
    was_loaded: bool
    issues_changed: int = 0
    kept: str = ""


class GameStore:
    """Writes games through one connection.

    `cached`: there is a cache that has to forget what changes. `check` rolls every transaction back.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        now: datetime,
        cached: bool,
        check: bool,
        trace: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._cached = cached
        self._now = now
        self._check = check
        self._trace = trace
        connection.execute(sql("staging"))
        connection.commit()

    def load(self, data: GameData) -> Stored:
        """Store a good game and close its open issues.

        Raises PayloadError where the payload repeats an event or the database refuses a value.
        """
        game = data.game
        _refuse_repeated_events(data)
        try:
            with self._transaction():
                before = self._stored(game.game_id)
                stored = Stored(Counts(), before.loaded)
                if before.loaded:
                    if _carries(before.source) > _carries(data.source):
                        stored.kept = before.source
                        return stored
                    self._refuse_to_lose(data, before)
                self._names(data)
                self._connection.execute("SELECT ensure_season_partition(%s::smallint)", [game.season])
                self._upsert_game("upsert_game", game, data.source, data.simulated, stored.counts)
                self._merge_rows(data, stored.counts)
                stored.issues_changed = self._close_issues(game.game_id, still_open=[], judged=True)
                if stored.counts.any:
                    self._connection.execute(
                        "UPDATE games SET loaded_at = %s WHERE game_id = %s", [self._now, game.game_id]
                    )
                    self._announce(game, before.game_date)
                self._trace(f"before commit of {game.game_id}")
        except _REFUSALS as error:
            raise PayloadError(f"the database refuses it: {_primary(error)}") from error
        self._trace(f"after commit of {game.game_id}")
        return stored

    def refuse(
        self,
        game: Game,
        issues: Iterable[Issue],
        *,
        judged: bool,
        source: str,
        simulated: bool,
        payloads: Sequence[str],
    ) -> Stored:
        """Record why a game was not stored; what is stored of it stays untouched.

        `judged`: there was a payload to judge, so issues that it no longer has are closed. The game
        itself becomes known if it was not (so that the platform can say that its events are
        missing), unless the database refuses even that.
        """
        with self._transaction():
            stored = Stored(Counts(), self._stored(game.game_id).loaded)
            self._make_known(game, source, simulated, stored.counts)
            kept = []
            for issue in issues:
                kept.append(issue.issue_type)
                stored.issues_changed += self._open_issue(game, issue, payloads, simulated)
            stored.issues_changed += self._close_issues(game.game_id, still_open=kept, judged=judged)
            self._trace(f"before commit of {game.game_id}")
        self._trace(f"after commit of {game.game_id}")
        return stored

    def is_loaded(self, game_id: str) -> bool:
        """Tell whether good events of this game are stored."""
        with self._transaction():
            return self._stored(game_id).loaded

    def _make_known(self, game: Game, source: str, simulated: bool, counts: Counts) -> None:
        if not (game.home.team_id and game.away.team_id and game.game_date) or game.home_score is None:
            return
        try:
            with self._connection.transaction():
                self._upsert_teams(game)
                self._upsert_game("known_game", game, source, simulated, counts)
        except _REFUSALS:
            return  # its issue says what is wrong with it
        if counts.any:
            self._announce(game, None)

    def _transaction(self) -> AbstractContextManager[psycopg.Transaction]:
        return self._connection.transaction(force_rollback=self._check)

    def _stored(self, game_id: str) -> _Before:
        row = self._connection.execute(
            "SELECT loaded_at IS NOT NULL, source, game_date, simulated FROM games"
            " WHERE game_id = %s FOR UPDATE",
            [game_id],
        ).fetchone()
        return _Before(*row) if row else _Before(False, "", None, False)

    def _refuse_to_lose(self, data: GameData, before: _Before) -> None:
        """Refuse what would make a stored game poorer than any correction does. Raises PayloadError."""
        if data.simulated and not before.simulated:
            raise PayloadError("a simulated game never replaces a real one")
        row = self._connection.execute(
            "SELECT count(*) FROM play_events WHERE season = %s AND game_id = %s",
            [data.game.season, data.game.game_id],
        ).fetchone()
        stored_events = int(row[0]) if row else 0
        if before.source == data.source and len(data.events) < _LEAST_SHARE_LEFT * stored_events:
            raise PayloadError(
                f"{len(data.events)} events came where {stored_events} are stored: "
                "no correction withdraws so many"
            )

    def _names(self, data: GameData) -> None:
        self._upsert_teams(data.game)
        named_on = str(data.game.game_date)
        boxed = {line.player.player_id: line.player for line in data.player_lines}
        seen = [p for p in data.people if p.player_id not in boxed]
        self._upsert_players([(p, named_on) for p in boxed.values()] + [(p, _NEVER) for p in seen])

    def _upsert_teams(self, game: Game) -> None:
        # Always in the order of their ids, so that two writers cannot wait for each other.
        teams = sorted((game.home, game.away), key=lambda t: t.team_id)
        renamed = self._connection.execute(
            sql("upsert_teams"),
            {
                "ids": [t.team_id for t in teams],
                "cities": [t.city for t in teams],
                "names": [t.name for t in teams],
                "tricodes": [t.tricode for t in teams],
                "named_on": game.game_date,
            },
        ).fetchall()
        self._announce_renamed("teams", [row[0] for row in renamed])

    def _upsert_players(self, named: list[tuple[Player, str]]) -> None:
        named.sort(key=lambda pair: pair[0].player_id)
        renamed = self._connection.execute(
            sql("upsert_players"),
            {
                "ids": [p.player_id for p, _ in named],
                "names": [p.display_name for p, _ in named],
                "first_names": [p.first_name for p, _ in named],
                "family_names": [p.family_name for p, _ in named],
                "named_on": [day for _, day in named],
            },
        ).fetchall()
        self._announce_renamed("players", [row[0] for row in renamed])

    def _announce_renamed(self, what: str, ids: list[int]) -> None:
        """Every cached page that carries a name is stale when the name changes."""
        if ids and self._cached:
            self._connection.execute(sql(f"announce_renamed_{what}"), {"ids": ids, "now": self._now})

    def _upsert_game(self, statement: str, game: Game, source: str, simulated: bool, counts: Counts) -> None:
        row = self._connection.execute(
            sql(statement),
            {
                **{
                    f: getattr(game, f)
                    for f in ("game_id", "season", "season_type", "game_date", "starts_at")
                },
                **{
                    f: getattr(game, f)
                    for f in ("status", "home_score", "away_score", "periods", "attendance")
                },
                "home_team_id": game.home.team_id,
                "away_team_id": game.away.team_id,
                "arena": game.arena or None,
                "source": source,
                "simulated": simulated,
            },
        ).fetchone()
        if row:
            counts.add((1, 0, 0) if row[0] else (0, 1, 0))

    def _merge_rows(self, data: GameData, counts: Counts) -> None:
        scope = {"season": data.game.season, "game_id": data.game.game_id}
        key = (data.game.season, data.game.game_id)
        self._copy(
            "staged_events",
            ("season", "game_id", *_EVENT_COLUMNS),
            ((*key, *msgspec.structs.astuple(event)) for event in data.events),
        )
        self._copy(
            "staged_player_stats",
            (
                "game_id",
                "player_id",
                "team_id",
                "starter",
                "played",
                "seconds",
                "turnovers",
                "fouls",
                *STATISTICS,
            ),
            (_player_row(data.game.game_id, line) for line in data.player_lines),
        )
        self._copy(
            "staged_team_stats",
            ("game_id", "team_id", *STATISTICS),
            (
                (data.game.game_id, team_id, *msgspec.structs.astuple(line))
                for team_id, line in data.team_lines.items()
            ),
        )
        for statement in ("merge_events", "merge_player_stats", "merge_team_stats"):
            self._trace(f"{statement} of {data.game.game_id}")
            counts.add(self._connection.execute(sql(statement), scope).fetchone())

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        # Names are ours, never the payload's.
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def _announce(self, game: Game, day_before: date | None) -> None:
        """Note in the same transaction that the cache has to forget this game (on both its days)."""
        if not self._cached:
            return
        for day in {game.game_date, day_before} - {None}:
            self._connection.execute(
                "INSERT INTO cache_outbox (game_id, game_date, created_at) VALUES (%s, %s, %s)",
                [game.game_id, day, self._now],
            )

    def _open_issue(self, game: Game, issue: Issue, payloads: Sequence[str], simulated: bool) -> int:
        cursor = self._connection.execute(
            sql("open_issue"),
            {
                "game_id": game.game_id,
                "issue_type": issue.issue_type,
                "severity": issue.severity,
                "description": issue.description.replace("\0", "\ufffd"),
                "payloads": list(payloads),
                "simulated": simulated,
                "now": self._now,
            },
        )
        return len(cursor.fetchall())

    def _close_issues(self, game_id: str, *, still_open: list[str], judged: bool) -> int:
        cursor = self._connection.execute(
            sql("close_issues"),
            {"game_id": game_id, "still_open": still_open, "judged": judged, "now": self._now},
        )
        return len(cursor.fetchall())


class _Before(msgspec.Struct, frozen=True):
    """How a game stood before: loaded or not, from which source, on which day, real or simulated."""

    loaded: bool
    source: str
    game_date: date | None
    simulated: bool


# What the database answers to values that it cannot hold; psycopg itself cannot send some text.
_REFUSALS = (psycopg.DataError, psycopg.IntegrityError, errors.CardinalityViolation, UnicodeEncodeError)


def _carries(source: str) -> int:
    """How much a source carries: the cdn all, version 3 no attendance, archives no player lines."""
    return ("archive-v2", "v3", "cdn").index(source) if source in ("archive-v2", "v3", "cdn") else -1


def _player_row(game_id: str, line: PlayerLine) -> tuple[Any, ...]:
    return (
        game_id,
        line.player.player_id,
        line.team_id,
        line.starter,
        line.played,
        line.seconds,
        line.turnovers,
        line.fouls,
        *msgspec.structs.astuple(line.stats),
    )


def _refuse_repeated_events(data: GameData) -> None:
    seen: set[int] = set()
    for event in data.events:
        if event.event_id in seen:
            raise PayloadError(f"event {event.event_id} stands twice in the play-by-play")
        seen.add(event.event_id)


def _primary(error: psycopg.Error | UnicodeEncodeError) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else ""
    return primary or " ".join(str(error).split())[:160]
