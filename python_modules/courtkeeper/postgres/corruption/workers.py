"""Reading pieces by several connections at once, until all are read or the time is up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from courtkeeper import database
from courtkeeper.database import Connection, DatabaseSettings
from courtkeeper.findings import CourtkeeperError
from courtkeeper.postgres.corruption.pieces import Piece
from courtkeeper.postgres.refusal import is_lost, words

_POLL_S = 0.5
# What a server says when it reads a page, a chunk or a transaction's state that cannot be.
_DAMAGE = (errors.DataCorrupted, errors.IndexCorrupted, errors.IoError, errors.UndefinedFile)


class Ending(Enum):
    """How a piece ended, if not well: the reason that a person reads."""

    READ = ""
    DAMAGED = "damaged"
    LOCKED = "locked by somebody else"
    TIME = "not reached in the time"
    TOO_BIG = "bigger than the whole time"
    REFUSED = "not read"


class Outcome(msgspec.Struct, frozen=True):
    """What came of one piece. `problems` are (block or None, sentence of the server)."""

    piece: Piece
    ending: Ending
    problems: tuple[tuple[int | None, str], ...] = ()


class Workers:
    """Reads `pieces` in their order by `jobs` connections, for `budget_s` seconds from `run` on."""

    def __init__(
        self,
        settings: DatabaseSettings,
        pieces: Sequence[Piece],
        *,
        jobs: int,
        budget_s: float,
        lock_timeout_s: float,
    ) -> None:
        self._settings = settings
        self._waiting = deque(pieces)
        self.total = len(pieces)
        self._jobs = min(jobs, len(pieces))
        self._budget_s = budget_s
        self._lock_timeout_s = lock_timeout_s
        self._locked: set[int] = set()
        self._connected = False
        self._lost: psycopg.Error | None = None
        self._refused: CourtkeeperError | None = None
        self._guard = threading.Lock()
        self._deadline = 0.0
        self.outcomes: list[Outcome] = []

    def run(self, each: Callable[[int], None]) -> Exception | None:
        """Read; call `each(done)` now and then. Returns what ended the reading early, None if nothing did.

        Where the time is up, what is left is among `outcomes` as Ending.TIME.
        """
        self._deadline = time.monotonic() + self._budget_s
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._jobs)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_POLL_S)
                    each(len(self.outcomes))
        except BaseException:  # interrupted: the readers stop after the piece they are at
            self._stop()
            raise
        self.outcomes += [Outcome(piece, Ending.TIME) for piece in self._waiting]
        # One reader that finds no room (max_connections) is no reason to stop the others.
        return self._lost or (None if self._connected else self._refused)

    def _stop(self) -> None:
        self._deadline = 0.0

    def _work(self) -> None:
        try:
            if self._left_s() <= 0:
                return
            with self._connect() as connection:
                self._connected = True
                while (left := self._left_s()) > 0 and (piece := self._next()):
                    self._done(self._read(connection, piece, left))
        except CourtkeeperError as error:
            self._refused = error
        except psycopg.Error as error:
            self._lost = error
            self._stop()

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()

    def _connect(self) -> Connection:
        connection = database.connect(
            self._settings,
            purpose="postgres_integrity corruption",
            lock_timeout_s=self._lock_timeout_s,
            statement_timeout_s=max(self._budget_s, 1),
            catalog_only=True,
        )
        connection.autocommit = True
        connection.execute("SET default_transaction_read_only = on")
        return connection

    def _next(self) -> Piece | None:
        with self._guard:
            return self._waiting.popleft() if self._waiting else None

    def _done(self, outcome: Outcome) -> None:
        with self._guard:
            self.outcomes.append(outcome)

    def _read(self, connection: Connection, piece: Piece, left_s: float) -> Outcome:
        if piece.relation.oid in self._locked:  # its other pieces need not wait for the lock as well
            return Outcome(piece, Ending.LOCKED)
        try:
            connection.execute(f"SET statement_timeout = {max(1, int(left_s * 1000))}".encode())
            rows = connection.execute(piece.statement()).fetchall()
        except errors.LockNotAvailable:
            self._locked.add(piece.relation.oid)
            return Outcome(piece, Ending.LOCKED)
        except errors.QueryCanceled:
            # It had most of the time: it will not end next time either, and must not keep others waiting.
            whole = left_s > self._budget_s / 2
            return Outcome(piece, Ending.TOO_BIG if whole else Ending.TIME)
        except _DAMAGE as error:
            return Outcome(piece, Ending.DAMAGED, ((None, _sentence(error)),))
        except psycopg.Error as error:
            # An error that ends the session, or that no server has sent, is not about this piece.
            if is_lost(error, connection):
                self._waiting_again(piece)
                raise
            return Outcome(piece, Ending.REFUSED, ((None, words(error)),))
        problems = tuple(_problem(row) for row in rows if piece.function.name == "verify_heapam")
        return Outcome(piece, Ending.DAMAGED if problems else Ending.READ, problems)

    def _waiting_again(self, piece: Piece) -> None:
        with self._guard:
            self._waiting.appendleft(piece)


def _sentence(error: psycopg.Error) -> str:
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return f"{error.diag.message_primary or error}{detail}"


def _problem(row: tuple[Any, ...]) -> tuple[int | None, str]:
    block, offset, _attribute, message = row
    where = f"tuple ({block},{offset}): " if offset is not None else ""
    return block, f"{where}{message}"
