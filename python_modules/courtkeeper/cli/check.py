"""`courtkeeper check DOMAIN`: the checks of a domain without Ansible, for whoever has a server before him."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from courtkeeper.cli import common
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result, Status, merged, worst

_QUIET_S = 2.0
_LINE_EVERY_S = 5.0
# At a terminal a person waits; the jobs of an inventory have more time.
_CORRUPTION_BUDGET_S = 60.0

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("postgres", short_help="Check a Postgres database.")
def postgres(
    dsn: Annotated[
        str,
        typer.Option(
            "--dsn",
            help="The database, as postgresql://user@host/name or host=… dbname=…. What it leaves out, "
            "libpq looks for: PGHOST, PGDATABASE, PGPASSWORD, ~/.pgpass, services.",
        ),
    ] = "",
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Only this group of checks. May be repeated.")
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option("--check", help="This check, as capacity.sequence. May be repeated."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option("--threshold", metavar="CHECK.LIMIT=VALUE", help="As capacity.sequence.warn=60."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", help="Connections that look for damage; 0: the CPUs.")] = 0,
    corruption_budget: Annotated[
        float, typer.Option("--corruption-budget", metavar="SECONDS", help="Time to look for damage.")
    ] = _CORRUPTION_BUDGET_S,
    corruption_unique: Annotated[
        bool, typer.Option("--corruption-unique", help="Look for duplicates in unique indexes too (17+).")
    ] = False,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="A role that may be a superuser or the like. May be repeated."),
    ] = None,
    state_directory: Annotated[
        str,
        typer.Option("--state-directory", help="Remembers there whose turn it is to be looked at next."),
    ] = "",
    show_all: Annotated[bool, typer.Option("--all", help="Show the good findings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result and nothing else.")] = False,
) -> None:
    """Check a Postgres database. Nothing is changed.

    Exit code 0: nothing critical. 1: the server was lost. 2: wrong usage. 3: critical findings.
    """
    from courtkeeper.database import DatabaseSettings
    from courtkeeper.postgres.check import choose
    from courtkeeper.postgres.integrity import integrity
    from courtkeeper.postgres.settings import settings_from

    database = DatabaseSettings.from_dsn(dsn)
    if database.password:
        sys.stderr.write(
            "courtkeeper: the DSN holds a password, which others can read in the list of processes: "
            "use PGPASSWORD, ~/.pgpass or a service\n"
        )
    checks = choose(group or [], *_asked("postgres", check or [], threshold or []))
    settings = settings_from(
        {
            "jobs": jobs,
            "corruption_budget_s": corruption_budget,
            "corruption_unique": corruption_unique,
            "roles_expected": role or [],
            "state_directory": state_directory,
        }
    )
    try:
        with _progress(silent=as_json) as progress:
            result = integrity(database, checks, settings, progress=progress)
    except CourtkeeperError as error:
        _show_partial(error, as_json=as_json, show_all=show_all)
    else:
        _show(result, as_json=as_json, show_all=show_all)
        sys.exit(common.CRITICAL if worst(result.findings) is Status.CRIT else 0)


@app.command("backups", short_help="Check the backups of a vault and of pgBackRest.")
def backups(
    vault: Annotated[
        str,
        typer.Option(
            "--vault",
            metavar="FILE",
            help="The vault's settings. Else $COURTKEEPER_VAULT, the checkout's var/vault/vault.json, "
            "/etc/courtkeeper/vault.json.",
        ),
    ] = "",
    stanzas: Annotated[
        str,
        typer.Option(
            "--stanzas",
            metavar="FILE",
            help="The stanzas of pgBackRest. Else $COURTKEEPER_PGBACKREST, /etc/courtkeeper/pgbackrest.json. "
            "Be root, or the user that archives.",
        ),
    ] = "",
    show_all: Annotated[bool, typer.Option("--all", help="Show the good findings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result and nothing else.")] = False,
) -> None:
    """Check the backups of a vault and of pgBackRest, and where they lie. Nothing is read whole or changed.

    Exit code 0: nothing critical. 2: wrong usage. 3: critical findings, such as a missing backup.
    """
    from datetime import UTC, datetime

    from courtkeeper.cli.vault_common import settings_if_any, settings_of
    from courtkeeper.vault.check import check
    from courtkeeper.vault.pgbackrest import check as physical
    from courtkeeper.vault.pgbackrest.settings import path_of, stanzas_file
    from courtkeeper.vault.policy import policy_from

    file = path_of(stanzas)
    now = datetime.now(UTC)
    results = []
    with _progress(silent=as_json) as progress:
        # Who keeps physical backups alone has no vault.
        settings = settings_of(vault) if file is None else settings_if_any(vault)
        if settings is not None:
            policy = policy_from(settings.policy)
            results.append(check(settings, policy, now=now, progress=progress))
        if file is not None:
            results.append(physical.check(stanzas_file(file), now=now))
    result = merged(results)
    _show(result, as_json=as_json, show_all=show_all)
    sys.exit(common.CRITICAL if worst(result.findings) is Status.CRIT else 0)


@app.command("redis", short_help="Check a Redis or Valkey server.")
def redis(
    url: Annotated[
        str,
        typer.Option(
            "--url",
            help="The server, as redis://user@host:6379/0, rediss://… (TLS) or unix:///path/to/socket. "
            "REDISCLI_AUTH holds the password.",
        ),
    ] = "redis://127.0.0.1:6379/0",
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Only this group of checks. May be repeated.")
    ] = None,
    check: Annotated[
        list[str] | None, typer.Option("--check", help="This check, as memory.use. May be repeated.")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option("--threshold", metavar="CHECK.LIMIT=VALUE", help="As memory.use.warn=70."),
    ] = None,
    keys: Annotated[
        int | None, typer.Option("--keys", help="So many keys at most are looked at, of all databases.")
    ] = None,
    keys_budget: Annotated[
        float | None, typer.Option("--keys-budget", metavar="SECONDS", help="Time to look at keys.")
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show the good findings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result and nothing else.")] = False,
) -> None:
    """Check a Redis or Valkey server: a node of a cluster, or a Sentinel, for itself. Nothing is changed.

    Exit code 0: nothing critical. 1: the server was lost. 2: wrong usage. 3: critical findings.
    """
    from courtkeeper.redis.check import check as check_server
    from courtkeeper.redis.keyspace import SampleSettings
    from courtkeeper.redis.rule import choose
    from courtkeeper.redis.server import server_from_url
    from courtkeeper.settings import converted

    server = server_from_url(url)
    if server.password and server.password != os.environ.get("REDISCLI_AUTH"):
        sys.stderr.write(
            "courtkeeper: the URL holds a password, which others can read in the list of processes: "
            "use REDISCLI_AUTH\n"
        )
    rules = choose(group or [], *_asked("redis", check or [], threshold or []))
    told = {"keys": keys, "budget_s": keys_budget}
    sample = converted({name: value for name, value in told.items() if value is not None}, SampleSettings)
    try:
        with _progress(silent=as_json) as progress:
            result = check_server(server, rules, sample, progress=progress)
    except CourtkeeperError as error:
        _show_partial(error, as_json=as_json, show_all=show_all)
    else:
        _show(result, as_json=as_json, show_all=show_all)
        sys.exit(common.CRITICAL if worst(result.findings) is Status.CRIT else 0)


def _asked(
    domain: str, checks: list[str], thresholds: list[str]
) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return checks and thresholds by the checks' names; a finding's id, as it is printed, names one, too."""
    names, limits = ([each.removeprefix(f"{domain}.") for each in words] for words in (checks, thresholds))
    return names, _thresholds(limits)


def _thresholds(words: list[str]) -> dict[str, dict[str, str]]:
    told: dict[str, dict[str, str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        check, dot, limit = name.rpartition(".")
        if not (equals and dot and check and limit):
            raise ConfigurationError(
                f"--threshold {word!r} cannot be read: write it as capacity.sequence.warn=60"
            )
        told.setdefault(check, {})[limit] = value
    return told


def _show(result: Result, *, as_json: bool, show_all: bool) -> None:
    if as_json:
        _print_json(result.to_builtins())
        return
    from rich.console import Console
    from rich.text import Text

    from courtkeeper.cli import findings

    console = Console(highlight=False)
    word = worst(result.findings).name
    took = f", {result.metrics['duration_s']:.1f} s" if "duration_s" in result.metrics else ""
    text = f"  {findings.counted(result.findings)}{took}"
    console.print(Text.assemble((word, findings.COLOURS[word]), text))
    if result.msg:
        findings.line(console, result.msg)
    findings.show(console, result.findings, most_ok=sys.maxsize if show_all else 0)


def _show_partial(error: CourtkeeperError, *, as_json: bool, show_all: bool) -> None:
    """Show what was found before `error`, if anything was, and end the program with its sentence."""
    if error.partial is None:
        raise error
    if as_json:
        _print_json({**error.partial.to_builtins(), "error": str(error)})
        sys.exit(common.FAILED)
    _show(error.partial, as_json=False, show_all=show_all)
    common.fail(error, as_json=False)


def _print_json(value: dict[str, Any]) -> None:
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


@contextlib.contextmanager
def _progress(*, silent: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Say on stderr how far it is when it takes longer than two seconds."""
    if silent:
        yield lambda _done, _total, _text: None
        return
    said = _Said()
    try:
        yield said.tell
    finally:
        said.end()


class _Said:
    """One line that is rewritten in a terminal; elsewhere a line every few seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._text = ""
        self._next_at = time.monotonic() + _QUIET_S
        self._guard = threading.Lock()
        self._ended = False
        # A check that takes long says nothing meanwhile: the first line comes by the clock.
        self._timer = threading.Timer(_QUIET_S, self._say)
        self._timer.daemon = True
        self._timer.start()

    def tell(self, done: int, total: int, text: str) -> None:
        self._text = common.printable(f"check {done + 1} of {total}: {text}")
        if time.monotonic() >= self._next_at:
            self._say()

    def end(self) -> None:
        self._timer.cancel()
        with self._guard:
            self._ended = True
            if self._terminal:
                self._write("\r\x1b[K")

    def _say(self) -> None:
        with self._guard:
            if self._ended:
                return
            self._next_at = time.monotonic() + (0.1 if self._terminal else _LINE_EVERY_S)
            self._write(f"\r\x1b[K{self._text}" if self._terminal else f"{self._text}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


__all__ = ["app"]
