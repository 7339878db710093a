"""Serving the dashboard, in the foreground or beside the scheduler."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Self

import uvicorn

from courtkeeper.findings import CourtkeeperError
from courtkeeper.web.access import Gate
from courtkeeper.web.app import build
from courtkeeper.web.site import Site

_STOP_S = 3
_LOG = logging.getLogger("uvicorn.error")


class Server:
    """A server in a thread of its own; a context manager that stops it at the end."""

    def __init__(self, site: Site, gate: Gate, say: Callable[[str], None]) -> None:
        """Prepare it; `gate` is what `Access.check` returned, and `say` takes sentences for a person."""
        self._say = say
        self._site = site
        self._access = access = gate.access
        self._server = uvicorn.Server(
            uvicorn.Config(
                build(site, gate),
                host="127.0.0.1" if access.host == "localhost" else access.host,
                port=access.port,
                log_config=None,
                access_log=False,  # an address may hold what a person looks for; nobody asked for a log of it
                proxy_headers=False,  # who is asking is decided by guard.py, from the connection itself
                server_header=False,
                timeout_graceful_shutdown=_STOP_S,
                ssl_certfile=access.certificate,
                ssl_keyfile=access.key,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="courtkeeper-web", daemon=True)
        self._trouble = ""
        self._complaints = _Complaints(self)

    @property
    def port(self) -> int:
        """The port it listens on, also where 0 was asked for."""
        sockets = [socket for server in self._server.servers for socket in server.sockets]
        return int(sockets[0].getsockname()[1]) if sockets else self._access.port

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return replace(self._access, port=self.port).url

    def __enter__(self) -> Self:
        """Start, and return once it listens. Raises CourtkeeperError where it cannot."""
        _LOG.addHandler(self._complaints)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.02)
        if not self._server.started:
            raise CourtkeeperError(
                f"The dashboard cannot listen on {self._access.host} port {self._access.port}"
                f"{f' ({self._trouble})' if self._trouble else ''}: end what uses it, or give --port."
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.should_exit = True
        self._site.undoing.stop()
        self._thread.join(_STOP_S * 3)
        _LOG.removeHandler(self._complaints)

    def heard(self, sentence: str) -> None:
        """Take what the server complains about."""
        if self._server.started:
            self._say(sentence)
        else:
            self._trouble = sentence

    def _serve(self) -> None:
        try:
            self._server.run()
        except SystemExit:  # uvicorn's way to say that it cannot listen
            return


class _Complaints(logging.Handler):
    """Hands what uvicorn logs as an error to the dashboard."""

    def __init__(self, server: Server) -> None:
        super().__init__(logging.ERROR)
        self._server = server

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record: its sentence, and of an exception its kind and place."""
        self._server.heard(self.format(record))
