"""`up`, `status` and `down`: one tiny supervisor over the four parts.

It does not stay: `up` starts what is missing and returns, and who wants a part mended runs `up` again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.platform import postgres, processes
from courtkeeper.platform.files import Layout, exclusive, require_directory
from courtkeeper.platform.parts import PORT_NAMES, ApiPart, CachePart, FeedPart, Part, PostgresPart
from courtkeeper.platform.ports import HOST, free_port, is_free
from courtkeeper.platform.postgres import ADMIN, Postgres
from courtkeeper.platform.state import (
    ApiState,
    CacheState,
    DamagedError,
    FeedState,
    Health,
    PartStatus,
    PlatformStatus,
    PostgresState,
    Record,
    Records,
    Secrets,
    Settings,
    State,
    T,
    new_secrets,
    read,
    write,
)
from courtkeeper.platform.valkey import Valkey

FeedKind = Literal["auto", "recorded", "simulated"]
Progress = Callable[[str], None]

RECORDED_VARIABLE = "COURTKEEPER_RECORDED"
_RECORDED_SCOREBOARD = "recorded/cdn.nba.com/static/json/liveData/scoreboard/todaysScoreboard_00.json"
# Where the data of a checkout goes that Postgres's own user cannot enter (only as root).
_ELSEWHERE = Path("/var/lib/courtkeeper")
_WHOSE = "The Postgres of the courtkeeper checkout {}\n"
_HUNG_S = 5.0  # a running part that has not answered for so long is restarted
_ROUNDS = 3  # a port may be taken between our choosing and our listening


class Outcome(msgspec.Struct):
    """What `bring_up` found or made; `actions` is empty if everything was up already."""

    state: State
    actions: list[str]


class _PortTakenError(Exception):
    """Somebody else got the port first."""


def up(
    root: Path,
    *,
    feed_kind: FeedKind = "auto",
    recorded_dir: Path | None = None,
    postgres_bin: Path | None = None,
    progress: Progress = lambda _: None,
) -> State:
    """Start the platform of checkout `root`, or mend what is missing, and return its state.

    Idempotent; two at once wait for each other. `recorded_dir` holds `recorded/`; `postgres_bin` is kept for
    later starts. Raises ConfigurationError (nothing was started) or CourtkeeperError.
    """
    return bring_up(
        root,
        feed_kind=feed_kind,
        recorded_dir=recorded_dir,
        postgres_bin=postgres_bin,
        progress=progress,
    ).state


def bring_up(
    root: Path,
    *,
    feed_kind: FeedKind = "auto",
    recorded_dir: Path | None = None,
    postgres_bin: Path | None = None,
    progress: Progress = lambda _: None,
    parts: Collection[str] = PORT_NAMES,
    now: datetime | None = None,
) -> Outcome:
    """Do what `up` does and also tell what was done. `parts` leaves some out, `now` is the clock (tests)."""
    processes.require_linux()
    layout = Layout(require_directory(root, "The platform's root"))
    night = (now or datetime.now(UTC)).astimezone(ZoneInfo("America/New_York")).date() - timedelta(days=1)
    recorded = _recorded_dir(layout.root, feed_kind, recorded_dir)
    recorded_night = _recorded_night(recorded) if recorded else None
    with _in_words(), _alone(layout, progress, create=True):
        supervisor = _Supervisor(layout, progress)
        supervisor.configure(recorded, postgres_bin, night, parts)
        return supervisor.up(recorded_night or night)


def status(root: Path) -> PlatformStatus:
    """Ask every part of the platform of checkout `root` how it is; changes nothing.

    Raises ConfigurationError if the platform is another user's.
    """
    processes.require_linux()
    layout = Layout(root)
    if not layout.settings.exists():
        return PlatformStatus(root=str(layout.root), parts=[_never_started(name) for name in PORT_NAMES])
    layout.require_owner()
    with _in_words():
        return PlatformStatus(root=str(layout.root), parts=_Supervisor(layout, lambda _: None).status())


def down(root: Path, *, remove_data: bool = False, progress: Progress = lambda _: None) -> list[str]:
    """Stop every process of the platform of checkout `root`; return what was done, nothing if all was down.

    `remove_data` also removes `var/platform` and what Postgres keeps elsewhere. Raises CourtkeeperError if a
    process cannot be stopped, ConfigurationError if the platform is another user's.
    """
    processes.require_linux()
    layout = Layout(root)
    if not layout.base.exists():
        return []
    with _in_words(), _alone(layout, progress):
        supervisor = _Supervisor(layout, progress, damaged=True)
        actions = supervisor.down()
        if remove_data:
            actions += supervisor.remove_data()
        return actions


@contextmanager
def _in_words() -> Iterator[None]:
    """Say what the operating system refuses in one sentence, such as a directory where a file should be."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise CourtkeeperError(f"{place}{error.strerror or error}. Mend that, and run this again.") from error


@contextmanager
def _alone(layout: Layout, progress: Progress, *, create: bool = False) -> Iterator[None]:
    """Hold the lock of the platform's directory, which is ours or is refused."""
    if create:
        layout.create()
    layout.require_owner()
    with exclusive(layout.lock, lambda: progress("Waiting for another `courtkeeper platform` to finish")):
        yield


class _Supervisor:
    """One command's work on one checkout, under its lock.

    `damaged`: go on without a settings.json that cannot be read, which is enough to stop and to remove.
    """

    def __init__(self, layout: Layout, progress: Progress, *, damaged: bool = False) -> None:
        self._layout = layout
        self._progress = progress
        self._actions: list[str] = []
        self._started: set[str] = set()
        self._settings = _adopt_settings(layout, damaged=damaged)
        self._records = _adopt_records(layout)
        self._parts: list[Part] = []
        self._secrets = Secrets("", "", "", "")  # enough to stop what runs

    # -- setting up -----------------------------------------------------------------------------

    def configure(
        self, recorded: Path | None, postgres_bin: Path | None, night: date, names: Collection[str]
    ) -> None:
        """Decide everything that is decided once, and name the parts to run."""
        settings = self._settings
        if postgres_bin:
            settings.postgres_bin = str(require_directory(postgres_bin, "--postgres-bin"))
        bin_dir = Path(settings.postgres_bin) if settings.postgres_bin else postgres.wheel_bin_dir()
        postgres.major_version(bin_dir)  # refuses what is no Postgres before anything is made
        settings.first_night = settings.first_night or night
        for name in PORT_NAMES:
            if name not in settings.ports:
                settings.ports[name] = free_port(avoid=settings.ports.values())
        account = processes.unprivileged_account()
        home = postgres.place_home(self._home() or self._layout.base / "postgres", self._elsewhere, account)
        settings.postgres_home = self._portable(home)
        secrets = self._read_secrets()
        self._secrets = secrets or new_secrets()
        parts = self._build(self._secrets, home, postgres.reachable_bin_dir(bin_dir, home, account), recorded)
        server = parts[0].server
        if server.initialised:
            server.require_same_major()
        if not secrets:
            self._renew_secrets(parts[0])
        write(self._layout.settings, settings)
        self._parts = [part for part in parts if part.name in names]

    def _build(
        self, secrets: Secrets, home: Path, bin_dir: Path, recorded: Path | None
    ) -> tuple[PostgresPart, CachePart, FeedPart, ApiPart]:
        layout, settings = self._layout, self._settings
        server = Postgres(
            home=home,
            log=layout.logs / "postgres.log",
            port=settings.ports["postgres"],
            bin_dir=bin_dir,
            account=processes.unprivileged_account(),
        )
        valkey = Valkey(
            home=layout.base / "cache",
            log=layout.logs / "cache.log",
            port=settings.ports["cache"],
            password=secrets.cache_password,
        )
        database, cache = PostgresPart(server, secrets, self._progress), CachePart(valkey)
        first_night = settings.first_night or date.min
        feed = FeedPart(
            layout, settings.ports["feed"], recorded_dir=recorded, first_night=first_night, seed=settings.seed
        )
        api = ApiPart(layout, settings.ports["api"], postgres=database, cache=cache, secrets=secrets)
        return database, cache, feed, api

    def _home(self) -> Path | None:
        """Return where Postgres keeps everything; None if that was never decided."""
        stored = self._settings.postgres_home
        return self._layout.base / stored if stored else None  # an absolute path wins over the base

    def _portable(self, home: Path) -> str:
        return home.name if home.parent == self._layout.base else str(home)

    def _elsewhere(self) -> Path:
        _ELSEWHERE.mkdir(mode=0o755, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f"{self._layout.root.name[:40]}-", dir=_ELSEWHERE))
        place.chmod(0o755)
        (place / "README").write_text(_WHOSE.format(self._layout.root), encoding="utf-8")
        self._did(
            f"Postgres runs as `nobody`, who cannot enter {self._layout.base}: its files are in {place}"
        )
        return place / "postgres"

    def _read_secrets(self) -> Secrets | None:
        """Return the passwords; None if they are lost or were never made."""
        path = self._layout.secrets
        try:
            found = read(path, Secrets)
        except DamagedError:
            return None
        if found and path.stat().st_mode & 0o077:
            path.chmod(0o600)
            self._did(f"{path} was open to other users: now it is not")
        return found

    def _renew_secrets(self, database: PostgresPart) -> None:
        """Write the new passwords; data that still want the old ones get theirs first.

        The other roles', the cache's and the API's follow when these are started.
        """
        path = self._layout.secrets
        if database.server.initialised:
            if identity := self._running(database):
                self._stop(database, identity)
            database.server.set_password(self._secrets.database_admin_password)
            self._did(f"{path} was lost: all passwords are new, the data are the same")
        if path.exists():
            path.rename(path.with_name(f"{path.name}.damaged-{time.time_ns()}"))
        write(path, self._secrets, 0o600)

    # -- up -------------------------------------------------------------------------------------

    def up(self, night: date) -> Outcome:
        for final in [False] * (_ROUNDS - 1) + [True]:
            try:
                self._start_all()
                break
            except _PortTakenError as taken:
                if final:
                    raise CourtkeeperError(f"Somebody else takes every port we choose for {taken}.") from None
        return Outcome(self._write_state(night), self._actions)

    def _start_all(self) -> None:
        for part in self._parts:
            self._clear(part)
        for part in self._parts:  # every port is settled now, so every configuration is
            self._start_if_needed(part)
        for part in self._parts:
            self._await(part)
            if isinstance(part, PostgresPart):
                self._prepare_database(part)

    def _clear(self, part: Part) -> None:
        """Let a part that is not running have a port that is free."""
        record = self._records.parts.get(part.name)
        if record and processes.is_alive(record.identity):
            return
        if stray := part.stray():
            self._progress(f"{part.subject} was left running: stopping it")
            self._stop(part, stray)
        if not is_free(part.port):
            old = part.port
            part.move(free_port(avoid=self._settings.ports.values()))
            self._settings.ports[part.name] = part.port
            write(self._layout.settings, self._settings)
            self._did(f"port {old} is taken by somebody else: {part.title} moves to {part.port}")

    def _start_if_needed(self, part: Part) -> None:
        record = self._records.parts.get(part.name)
        running = record is not None and processes.is_alive(record.identity)
        if record and running and record.fingerprint == part.fingerprint:
            return
        if record and running:
            self._progress(f"{part.subject} runs with an older configuration: restarting it")
            self._stop(part, record.identity)
        self._start(part)

    def _start(self, part: Part) -> None:
        identity = part.start()
        self._records.parts[part.name] = Record(identity, part.fingerprint)
        self._write_records()
        self._started.add(part.name)
        self._actions.append(f"started {part.title} (pid {identity.pid}) at {part.address}")

    def _await(self, part: Part) -> None:
        deadline = time.monotonic() + (part.start_timeout_s if part.name in self._started else _HUNG_S)
        while True:
            identity = self._records.parts[part.name].identity
            reason = part.check(identity.pid)
            if not reason:
                break
            if not processes.is_alive(identity):
                self._explain_end(part)
            if time.monotonic() > deadline:
                if part.name in self._started:
                    raise CourtkeeperError(f"{reason} Its log is {part.log}.")
                self._progress(f"{part.subject} runs but does not answer: restarting it")
                self._stop(part, identity)
                self._start(part)
                deadline = time.monotonic() + part.start_timeout_s
            time.sleep(0.02)
        if part.name in self._started:
            self._progress(f"{part.subject} is up at {part.address}")

    def _explain_end(self, part: Part) -> None:
        if not is_free(part.port):
            raise _PortTakenError(part.title)
        line = processes.last_line(part.log)
        raise CourtkeeperError(f"{part.subject} ended while starting: {line} Its log is {part.log}.")

    def _prepare_database(self, part: PostgresPart) -> None:
        from courtkeeper.platform import database  # see PostgresPart.check

        secrets = self._secrets
        passwords = database.Passwords(
            secrets.database_admin_password, secrets.database_password, secrets.database_api_password
        )
        for action in database.ensure(database.Address(HOST, part.port), passwords):
            self._did(action)

    def _write_state(self, night: date) -> State:
        state = State(version=1)
        for part in self._parts:
            pid = self._records.parts[part.name].identity.pid
            if isinstance(part, PostgresPart):
                state.postgres = PostgresState(
                    host=HOST,
                    port=part.port,
                    database="nba",
                    user="courtkeeper",
                    admin_user=ADMIN,
                    bin=str(part.server.bin_dir),
                    data=str(part.server.data),
                    pid=pid,
                )
            elif isinstance(part, CachePart):
                state.cache = CacheState(host=HOST, port=part.port, database=0, pid=pid)
            elif isinstance(part, FeedPart):
                state.feed = FeedState(kind=part.kind, url=part.address, pid=pid, date=night)
            else:
                state.api = ApiState(url=part.address, pid=pid)
        if write(self._layout.state, state) and not self._actions:
            self._did(f"state.json was out of date: the night to refresh is {night}")
        return state

    # -- status and down ------------------------------------------------------------------------

    def status(self) -> list[PartStatus]:
        self._secrets = read(self._layout.secrets, Secrets) or self._secrets
        return [self._status(part) for part in self._known_parts()]

    def _status(self, part: Part) -> PartStatus:
        record = self._records.parts.get(part.name)
        identity = record.identity if record and processes.is_alive(record.identity) else None
        if identity is None:
            health, summary = (
                Health.DOWN,
                f"{part.subject} is not running: `courtkeeper platform up` starts it.",
            )
            if record:
                summary = (
                    f"{part.subject} has died: `courtkeeper platform up` mends it. Its log is {part.log}."
                )
        elif reason := part.check(identity.pid):
            health, summary = Health.DEGRADED, reason
        else:
            health, summary = Health.UP, f"{part.subject} answers."
        return PartStatus(
            name=part.name,
            status=health,
            pid=identity.pid if identity else None,
            address=part.address,
            summary=summary,
        )

    def down(self) -> list[str]:
        # The state is the claim that the platform is up: it goes first.
        with suppress(IsADirectoryError):
            self._layout.state.unlink(missing_ok=True)
        for part in reversed(self._known_parts()):
            if identity := self._running(part):
                self._stop(part, identity)
                self._did(f"stopped {part.title} (pid {identity.pid})")
            if self._records.parts.pop(part.name, None):
                self._write_records()
        return self._actions

    def remove_data(self) -> list[str]:
        for directory in (*_places(self._layout.root), self._layout.base):
            shutil.rmtree(directory)
            self._did(f"removed {directory}")
        with suppress(OSError):  # other checkouts may have theirs there
            _ELSEWHERE.rmdir()
        return self._actions

    def _known_parts(self) -> Sequence[Part]:
        """The parts as they were last configured, for asking and stopping only."""
        self._settings.ports = dict.fromkeys(PORT_NAMES, 0) | self._settings.ports
        home = self._home() or self._layout.base / "postgres"
        return self._build(self._secrets, home, Path(), None)

    def _running(self, part: Part) -> processes.Identity | None:
        record = self._records.parts.get(part.name)
        return record.identity if record and processes.is_alive(record.identity) else part.stray()

    def _stop(self, part: Part, identity: processes.Identity) -> None:
        if not part.stop(identity):
            raise CourtkeeperError(
                f"{part.subject} (pid {identity.pid}) cannot be stopped, not even by SIGKILL."
            )

    def _write_records(self) -> None:
        write(self._layout.records, self._records, 0o600)

    def _did(self, action: str) -> None:
        self._actions.append(action)
        self._progress(action[0].upper() + action[1:])


def _adopt_settings(layout: Layout, *, damaged: bool) -> Settings:
    settings = (_whole if damaged else read)(layout.settings, Settings)
    if settings is None:
        settings = Settings(root=str(layout.root))
        # Lost, but not the rest: what we have elsewhere is found by what it says.
        if layout.records.exists() and (places := _places(layout.root)):
            settings.postgres_home = str(places[-1] / "postgres")
    if settings.root != str(layout.root):
        # The checkout was moved or copied. What lies beside us is ours; what lies elsewhere may still be
        # the original's.
        if settings.postgres_home and Path(settings.postgres_home).is_absolute():
            settings.postgres_home = None
        settings.root = str(layout.root)
    return settings


def _adopt_records(layout: Layout) -> Records:
    # Without them every process is still found, by its own exact place or command.
    records = _whole(layout.records, Records) or Records(str(layout.root))
    if records.root != str(layout.root):
        copied = True  # then these are the original's processes
        with suppress(OSError, ValueError):
            copied = Layout(Path(records.root)).records.exists()
        records = Records(str(layout.root), {} if copied else records.parts)
    return records


def _whole(path: Path, kind: type[T]) -> T | None:
    """Read one of our files; one that is damaged is as good as none."""
    try:
        return read(path, kind)
    except DamagedError:
        return None


def _places(root: Path) -> list[Path]:
    """Return what the checkout has outside of itself, the newest last: each place says whose it is."""
    whose = _WHOSE.format(root).encode()
    found = [readme for readme in _ELSEWHERE.glob("*/README") if readme.read_bytes() == whose]
    return [readme.parent for readme in sorted(found, key=lambda readme: readme.stat().st_mtime_ns)]


def _never_started(name: str) -> PartStatus:
    return PartStatus(
        name=name,
        status=Health.DOWN,
        pid=None,
        address="",
        summary="It has never been started: `courtkeeper platform up` starts it.",
    )


def _recorded_dir(root: Path, kind: FeedKind, named: Path | None) -> Path | None:
    """Return the directory that holds `recorded/`; None for the simulated feed."""
    if kind == "simulated":
        return None
    if named is None and (variable := os.environ.get(RECORDED_VARIABLE)):
        named = Path(variable)
    if named is not None:
        if not (named / "recorded").is_dir():
            raise ConfigurationError(
                f"{named} holds no directory `recorded`: name the directory that does, with --recorded "
                f"or ${RECORDED_VARIABLE}, or use --feed simulated."
            )
        return named.resolve()
    beside = root.parent / "shared" / "nba"
    if (beside / "recorded").is_dir():
        return beside
    if kind == "recorded":
        raise ConfigurationError(
            f"There are no recorded responses: name their directory with --recorded or ${RECORDED_VARIABLE}, "
            "or use --feed simulated."
        )
    return None


def _recorded_night(directory: Path) -> date:
    """Return the day of the recorded scoreboard. Raises ConfigurationError if that cannot be read."""
    path = directory / _RECORDED_SCOREBOARD
    try:
        return date.fromisoformat(msgspec.json.decode(path.read_bytes())["scoreboard"]["gameDate"])
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        raise ConfigurationError(f"{path} is no scoreboard: it has no `scoreboard.gameDate`.") from None
