"""Run pgBackRest: bounded in time, with nothing of our caller's that would change what it does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault.pgbackrest.owner import account
from courtkeeper.vault.pgbackrest.settings import Stanza

_ENDED = (signal.SIGTERM, signal.SIGKILL)
_GRACE_S = 15.0
_ERROR = re.compile(r"(?:ERROR|P\d\d\s+ERROR): \[\d+\]: (.*)")
_ASK_S = 300.0
_SILENT_S = 20
_LOCKED = 50  # LockAcquireError


class PgbackrestError(CourtkeeperError):
    """pgBackRest is missing, failed, took too long, or said what nobody can read."""


@dataclass(frozen=True)
class Said:
    """What one run said."""

    code: int
    stdout: str
    stderr: str

    @property
    def locked(self) -> bool:
        """Whether another pgBackRest was at work on the stanza."""
        return self.code == _LOCKED

    @property
    def reason(self) -> str:
        """Return its first error in one line."""
        for line in (self.stderr + self.stdout).splitlines():
            if match := _ERROR.search(line):
                return match[1].strip()[:300]
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip()[:300] if lines else f"exit code {self.code}"


@dataclass
class Pgbackrest:
    """pgBackRest for one stanza. `spent_s` is what its runs took in all, to tell it from our own part."""

    stanza: Stanza
    spent_s: float = 0.0
    _version: str = field(default="", repr=False)

    def ask(self, *words: str, timeout_s: float = _ASK_S) -> str:
        """Run a command that has to succeed; return what it prints. Raises PgbackrestError."""
        # A store that is away is asked again for so long; whoever looks does not wait a minute for each.
        said = self.run(*words, f"--io-timeout={_SILENT_S}", timeout_s=timeout_s)
        if said.code:
            raise PgbackrestError(f"pgbackrest {words[0]} failed: {said.reason}")
        return said.stdout

    def run(self, *words: str, timeout_s: float | None = None) -> Said:
        """Run a command of pgBackRest on the stanza, whatever comes of it. Raises PgbackrestError.

        At the end of `timeout_s` (the policy's unless told otherwise) its whole process group is ended.
        """
        stanza = self.stanza
        bound = timeout_s or stanza.policy.timeout_hours * 3600
        command = [
            stanza.program, f"--config={stanza.config}", f"--stanza={stanza.name}",
            "--log-level-console=off", "--no-log-timestamp", *words,
        ]  # fmt: skip
        if not any(word.startswith("--log-level-stderr") for word in words):
            command.append("--log-level-stderr=warn")
        begun = time.monotonic()
        try:
            return _run(command, words[0], bound, self.stanza.owner)
        finally:
            self.spent_s += time.monotonic() - begun

    @property
    def version(self) -> str:
        """`2.45`. Raises PgbackrestError where it is not installed."""
        if not self._version:
            said = _run([self.stanza.program, "version"], "version", _ASK_S, self.stanza.owner)
            match = re.search(r"(\d+\.\d+)", said.stdout)
            if not match:
                raise PgbackrestError(f"{self.stanza.program} does not say its version: {said.reason}")
            self._version = match[1]
        return self._version


def _run(command: Sequence[str], what: str, timeout_s: float, owner: str) -> Said:
    who = account(owner)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            cwd="/",
            env=_environment(),
            start_new_session=True,
            **who,
        )
    except FileNotFoundError:
        raise PgbackrestError(f"{command[0]} is not installed on this host.") from None
    except OSError as error:
        raise PgbackrestError(f"{command[0]} could not be started: {error.strerror}.") from None
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise PgbackrestError(
                    f"pgbackrest {what} did not end within {timeout_s:g} s and was stopped."
                ) from None
            raise
    return Said(process.returncode, stdout, stderr)


def _end(process: subprocess.Popen[str]) -> None:
    """End it politely first: it takes its locks away and leaves the server's backup mode."""
    for how in _ENDED:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
            return


def _environment() -> dict[str, str]:
    """PGBACKREST_… would overrule the configuration, and PG… where the server is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PGBACKREST_", "PG"))}
    return {**kept, "LC_ALL": "C.UTF-8"}
