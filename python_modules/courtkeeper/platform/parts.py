"""The four parts of the platform, each with the same few verbs, so that the supervisor knows no part."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import courtkeeper
from courtkeeper.platform import processes
from courtkeeper.platform.files import Layout, write_whole
from courtkeeper.platform.ports import HOST
from courtkeeper.platform.postgres import ADMIN, Postgres, major_version
from courtkeeper.platform.processes import Identity
from courtkeeper.platform.state import Secrets
from courtkeeper.platform.valkey import Valkey

PORT_NAMES = ("postgres", "cache", "feed", "api")


class Part(ABC):
    """One server of the platform."""

    name: str
    title: str
    log: Path
    start_timeout_s: float = 30.0

    @property
    def subject(self) -> str:
        """Its title as a sentence starts with it."""
        return self.title[0].upper() + self.title[1:]

    @property
    @abstractmethod
    def port(self) -> int:
        """The port it listens on (127.0.0.1)."""

    @abstractmethod
    def move(self, port: int) -> None:
        """Listen on another port from the next start on."""

    @property
    def address(self) -> str:
        """Where a person finds it."""
        return f"{HOST}:{self.port}"

    @abstractmethod
    def wanted(self) -> str:
        """All that a running process must have been started with. Secret: only its digest is kept."""

    @property
    def fingerprint(self) -> str:
        """A digest of `wanted`: a process with another one is restarted."""
        return sha256(self.wanted().encode()).hexdigest()

    def stray(self) -> Identity | None:
        """Return a process that is certainly this part though nobody recorded it; None if there is none."""
        return None

    @abstractmethod
    def start(self) -> Identity:
        """Write its configuration and start it; it may not answer yet. Raises CourtkeeperError."""

    @abstractmethod
    def check(self, pid: int) -> str:
        """Ask it; return an empty string if it, as process `pid`, does its work, else one sentence."""

    @abstractmethod
    def stop(self, identity: Identity) -> bool:
        """Stop it, by force if it must be; return whether it is gone."""


class PostgresPart(Part):
    """The database."""

    name = "postgres"
    title = "Postgres"
    start_timeout_s = Postgres.start_timeout_s

    def __init__(self, server: Postgres, secrets: Secrets, progress: Callable[[str], None]) -> None:
        self.server = server
        self.log = server.log
        self._secrets = secrets
        self._progress = progress

    @property
    def port(self) -> int:
        return self.server.port

    def move(self, port: int) -> None:
        self.server.port = port

    def wanted(self) -> str:
        return f"{self.server.bin_dir}\n{self.server.data}\n{self.server.configuration}"

    def stray(self) -> Identity | None:
        return self.server.running()

    def start(self) -> Identity:
        if not self.server.initialised:
            self._progress(f"Making a database cluster (Postgres {major_version(self.server.bin_dir)})")
            self.server.initialise(self._secrets.database_admin_password)
        return self.server.start()

    def check(self, pid: int) -> str:  # noqa: ARG002 - the password already tells it from another server
        from courtkeeper.platform import database  # takes half a second to import: start the rest first

        dsn = database.Address(HOST, self.port).dsn(
            ADMIN, self._secrets.database_admin_password, "postgres", timeout_s=2
        )
        reason = database.answers(dsn)
        if "password authentication failed" in reason:
            return database.WRONG_PASSWORD
        return f"Postgres does not answer: {reason}" if reason else ""

    def stop(self, identity: Identity) -> bool:
        return self.server.stop(identity)


class CachePart(Part):
    """The cache."""

    name = "cache"
    title = "Valkey"

    def __init__(self, server: Valkey) -> None:
        self.server = server
        self.log = server.log

    @property
    def port(self) -> int:
        return self.server.port

    def move(self, port: int) -> None:
        self.server.port = port

    def wanted(self) -> str:
        return self.server.wanted()

    def stray(self) -> Identity | None:
        return self.server.running()

    def start(self) -> Identity:
        return self.server.start()

    def check(self, pid: int) -> str:  # noqa: ARG002 - the password already tells it from another server
        return self.server.check()

    def stop(self, identity: Identity) -> bool:
        return self.server.stop(identity)


class PythonPart(Part):
    """A server of our own: `python -m <module> --config <file>`, with a health page that names its pid."""

    module: str
    health_path: str

    def __init__(self, layout: Layout, port: int) -> None:
        self.log = layout.logs / f"{self.name}.log"
        self.config = layout.base / f"{self.name}.json"
        self._directory = layout.base
        self._port = port

    @property
    def port(self) -> int:
        return self._port

    def move(self, port: int) -> None:
        self._port = port

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self._port}"

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """What its configuration file holds."""

    def wanted(self) -> str:
        return f"{self._argv}\n{self._configuration_text()}"

    def stray(self) -> Identity | None:
        return next(iter(processes.processes_with_arguments(self._arguments)), None)

    def start(self) -> Identity:
        write_whole(self.config, self._configuration_text().encode(), 0o600)
        # This very copy of the library, also where it is not installed but on PYTHONPATH.
        library = str(Path(courtkeeper.__file__).parent.parent)
        search = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
        return processes.spawn(
            self._argv, log=self.log, directory=self._directory, environment={"PYTHONPATH": search}
        )

    def check(self, pid: int) -> str:
        try:
            status, body = _get(self.port, self.health_path)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{self.subject} does not answer: {error}."
        if not isinstance(body, dict) or body.get("pid") != pid:
            return f"Something else than {self.title} answers at {self.address}."
        if status != http.client.OK:
            return f"{self.subject} is not well: {body.get('error', f'HTTP {status}')}"
        return ""

    def stop(self, identity: Identity) -> bool:
        return processes.stop(identity, [(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])

    @property
    def _argv(self) -> list[str]:
        # -P: nothing in the working directory is imported by accident.
        return [sys.executable, "-P", *self._arguments]

    @property
    def _arguments(self) -> list[str]:
        return ["-m", self.module, "--config", str(self.config)]

    def _configuration_text(self) -> str:
        return json.dumps(self.configuration(), indent=2) + "\n"


class FeedPart(PythonPart):
    """The feed server: recorded or simulated responses of the NBA's hosts."""

    name = "feed"
    title = "the feed"
    module = "courtkeeper.platform.feed"
    health_path = "/__feed/health"

    def __init__(
        self, layout: Layout, port: int, *, recorded_dir: Path | None, first_night: date, seed: int
    ) -> None:
        super().__init__(layout, port)
        self._recorded_dir = recorded_dir
        self._first_night = first_night
        self._seed = seed

    @property
    def kind(self) -> str:
        """`recorded` or `simulated`."""
        return "recorded" if self._recorded_dir else "simulated"

    def configuration(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "host": HOST,
            "port": self.port,
            "recorded_dir": str(self._recorded_dir) if self._recorded_dir else None,
            "seed": self._seed,
            "first_night": self._first_night.isoformat(),
            "games_per_night": 11,
            "faults": self._faults(),
        }

    def _faults(self) -> object:
        """Faults that a person wrote into the file stay: that is how they are injected."""
        try:
            return json.loads(self.config.read_bytes()).get("faults", [])
        except (OSError, ValueError, AttributeError, RecursionError):
            return []


class ApiPart(PythonPart):
    """The reference API."""

    name = "api"
    title = "the API"
    module = "courtkeeper.platform.api"
    health_path = "/health"

    def __init__(self, layout: Layout, port: int, *, postgres: Part, cache: Part, secrets: Secrets) -> None:
        super().__init__(layout, port)
        self._postgres = postgres
        self._cache = cache
        self._secrets = secrets

    def configuration(self) -> dict[str, Any]:
        return {
            "host": HOST,
            "port": self.port,
            "database": {
                "host": HOST,
                "port": self._postgres.port,
                "database": "nba",
                "user": "platform_api",
                "password": self._secrets.database_api_password,
            },
            "cache": {
                "host": HOST,
                "port": self._cache.port,
                "database": 0,
                "password": self._secrets.cache_password,
            },
        }


def _get(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(HOST, port, timeout=3.0)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
