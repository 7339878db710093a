"""One server of a topology: its connection, what it is, and the few questions a change needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from redis import exceptions as errors

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.redis.parse import Histogram, fields, histograms, pairs, text, whole
from courtkeeper.redis.server import (
    Client,
    Server,
    ServerSettings,
    connect,
    explained,
    facts,
    parse_info,
    replies,
)

PURPOSE = "tuning"
_ATOMIC = (7, 0, 0)  # since when one CONFIG SET takes several pairs, all of them or none


class Node:
    """A server we are connected to. Every method raises CourtkeeperError in one sentence."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.client: Client = connect(settings, purpose=PURPOSE)
        self.info: dict[str, str] = {}
        self.server: Server
        self.look()

    def __repr__(self) -> str:
        return self.where

    @property
    def where(self) -> str:
        """`127.0.0.1:6379`, for messages and for the journal."""
        return self.settings.socket or self.settings.at(self.settings.host, self.settings.port).where

    def look(self) -> Server:
        """Ask what the server is, and keep it."""
        self.info = parse_info(self.ask("INFO"))
        self.server = facts(self.info)
        if self.server.loading:
            raise CourtkeeperError(
                f"the server {self.where} is still loading its data: wait until it is done"
            )
        return self.server

    def ask(self, *words: str | int) -> Any:  # noqa: ANN401 - a reply is what the command makes of it
        """Do one command and return its reply, as bytes."""
        with explained(self.settings):
            (reply,) = replies(self.client, [words])
            if isinstance(reply, errors.RedisError):
                raise reply
            return reply

    def refusal(self, *words: str | int) -> str:
        """Do a command that should be refused and return the server's words; '' where it was done."""
        with explained(self.settings):
            (reply,) = replies(self.client, [words])
            if isinstance(reply, errors.NoPermissionError | errors.BusyLoadingError):
                raise reply
            return " ".join(str(reply).split()) if isinstance(reply, errors.RedisError) else ""

    def config(self, names: Iterable[str] = ("*",)) -> dict[str, str]:
        """Return parameters and their values; among them secrets: never show it as it is."""
        reply = self.ask("CONFIG", "GET", *names)
        return {name.lower(): text(value) for name, value in pairs(reply)}

    def set(self, values: Mapping[str, str]) -> None:
        """Set parameters, all or none."""
        self.ask("CONFIG", "SET", *(word for pair in values.items() for word in pair))

    def rewrites(self) -> int:
        """Return how often this process has written its file: Sentinel has it written as well."""
        line = parse_info(self.ask("INFO", "commandstats")).get("cmdstat_config|rewrite", "")
        row = fields(line, ",", "=")
        return whole(row.get("calls")) - whole(row.get("failed_calls")) - whole(row.get("rejected_calls"))

    def load(self) -> tuple[dict[str, str], dict[str, Histogram]]:
        """Return INFO and LATENCY HISTOGRAM of one moment; the latter is empty where it is refused."""
        with explained(self.settings):
            info, latencies = replies(self.client, [("INFO",), ("LATENCY", "HISTOGRAM")])
            if isinstance(info, errors.RedisError):
                raise info
            return parse_info(info), histograms(latencies)

    def used_memory(self) -> int:
        """Return the bytes that count against maxmemory."""
        held, free = (whole(self.info.get(n)) for n in ("used_memory", "mem_not_counted_for_evict"))
        return max(0, held - free)

    def must_be_tunable(self) -> None:
        """Raise ConfigurationError for a server whose CONFIG SET is not atomic."""
        if self.server.api < _ATOMIC:
            raise ConfigurationError(
                f"the server {self.where} is {self.server.title}: only since 7.0 are several parameters set "
                "all or none; bring it up to date first"
            )

    def again(self) -> None:
        """Connect anew, after the connection was lost."""
        self.close()
        self.client = connect(self.settings, purpose=PURPOSE)
        self.look()

    def close(self) -> None:
        """Let the connection go."""
        with suppress(errors.RedisError, OSError):
            self.client.close()
