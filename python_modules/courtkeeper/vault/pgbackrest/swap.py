"""What was recovered takes the place of what is in use, and what a run that was killed in between left.

What lies beside is noted before each step, and is named as what was in use before it becomes that: whoever
tidies up by hand takes neither for the other. Where a run was killed, the inode tells which one is in use.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault.drill import scratch
from courtkeeper.vault.pgbackrest import server as servers
from courtkeeper.vault.pgbackrest import state as states
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.files import exchange

_SERVICE_S = 600.0
_NOTE = "restore.json"
STAMP = r"\d{8}T\d{6}Z"


class NotTakenBackError(RestoreError):
    """What was in use is not in use again: the note stays, and the next restore goes on by it."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One restore of a server under way, of the data directory `data`.

    `inode` is that of what was recovered, 0 until it is whole; `had`: whether there was a server to keep.
    `request` is what was asked for, `text` says it. Places come of `data` and `stamp` alone: root does not
    remove what a file says that others than root may write.
    """

    data: str
    stamp: str
    service: str
    text: str
    request: dict[str, Any]
    inode: int = 0
    had: bool = False

    @property
    def recovering(self) -> Path:
        """Where it is recovered."""
        return self._place("restoring")

    @property
    def beside(self) -> Path:
        """Where that lies once it is whole."""
        return self._place("beside")

    @property
    def former(self) -> Path:
        """Where what is in use goes."""
        return self._place("former")

    @property
    def tablespaces(self) -> Path:
        """Where what is recovered has its tablespaces, now and when it is in use."""
        return self._place("tablespaces")

    @property
    def is_in_use(self) -> bool:
        """Whether what was recovered is where the server looks for its data."""
        return bool(self.inode) and _inode(Path(self.data)) == self.inode

    def _place(self, what: str) -> Path:
        data = Path(self.data)
        return data.with_name(f"{data.name}.{what}-{self.stamp}")


def note(stanza: Stanza, step: Step) -> None:
    """Write down what happens next. Raises ConfigurationError."""
    if not stanza.state_directory:
        raise ConfigurationError(
            "state_directory is empty: a restore notes there what it puts aside; name one"
        )
    states.write(stanza, _NOTE, msgspec.json.encode(step))


def noted(stanza: Stanza, data: str, service: str) -> Step | None:
    """Return what a killed run was at; None where none was. Raises CourtkeeperError for another server's."""
    path = states.path_of(stanza, _NOTE)
    if path is None or not path.exists():
        return None
    try:
        found = decoded(path.read_bytes())
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        what = str(error)[:160]
        raise CourtkeeperError(f"the note {path} cannot be read ({what}): look at it by hand") from error
    if found.data != data:
        raise ConfigurationError(
            f"a restore of {found.data} was killed and comes first: run it again, or remove {path}"
        )
    return msgspec.structs.replace(found, service=service)


def decoded(content: bytes) -> Step:
    """Return the note in a file. Raises ValueError or msgspec's own for what is none."""
    found = msgspec.json.decode(content, type=Step)
    if not re.fullmatch(STAMP, found.stamp):
        raise ValueError(f"{found.stamp[:40]!r} is no stamp")
    return found


def forget(stanza: Stanza) -> None:
    """Say that nothing is under way any more."""
    if path := states.path_of(stanza, _NOTE):
        path.unlink(missing_ok=True)


def swapped(stanza: Stanza, step: Step) -> None:
    """Swap in what lies beside; where the service does not come up by it, take that back.

    Raises RestoreError; then what was in use is in use again, or it is a NotTakenBackError.
    """
    with _forgetting(stanza):
        _swapped(stanza, step)


@contextmanager
def _forgetting(stanza: Stanza) -> Iterator[None]:
    """Forget the note at the end, except where what was in use is not in use again."""
    try:
        yield
    except NotTakenBackError:
        raise
    except CourtkeeperError:
        forget(stanza)
        raise
    forget(stanza)


def _swapped(stanza: Stanza, step: Step) -> None:
    _systemctl("stop", step)
    try:
        if step.had:
            _exchanged(step)
        else:
            step.beside.rename(step.data)
    except (OSError, CourtkeeperError) as error:
        text = str(error)
        if isinstance(error, OSError):
            text = f"{step.beside} cannot become {step.data}: {error.strerror}"
        if step.had:
            try:
                _systemctl("start", step)
            except RestoreError as second:
                raise _not_taken_back(step, text, second) from error
        raise RestoreError(text) from error
    _in_use(stanza, step)


def settled(stanza: Stanza, step: Step) -> tuple[list[str], bool]:
    """Finish what a killed run had swapped in, or take back what it had not.

    Returns what was done, and whether what it was asked for is done by that: a server that runs may have been
    in use since, and a restore of it is another one. Raises RestoreError where a service does not come up.
    """
    ran = bool(step.inode) and _runs(stanza)
    if step.is_in_use:
        with _forgetting(stanza):
            _in_use(stanza, step)
        return [f"finished the restore of {step.text} that was killed"], not (ran and step.had)
    scratch.end(step.recovering.name)
    done = []
    for path in _copies(step):
        shutil.rmtree(step.tablespaces, ignore_errors=True)
        shutil.rmtree(path)
        done.append(f"removed {path}, which a killed restore had left")
    if step.inode and step.had and step.service and not ran:
        _systemctl("start", step)
        done.append(f"started {step.service}, which a killed restore had stopped")
    forget(stanza)
    return done, False


def _copies(step: Step) -> list[Path]:
    """Return where what was recovered lies; never where the former state may be."""
    if not step.inode:
        return [path for path in (step.recovering, step.beside) if _inode(path)]
    return [path for path in (step.beside, step.former) if _inode(path) == step.inode]


def _exchanged(step: Step) -> None:
    """Let both directories change places, in one step: a kill leaves one or the other in use."""
    step.beside.rename(step.former)
    try:
        exchange(str(step.former), step.data)
    except RestoreError as error:
        step.former.rename(step.beside)
        raise RestoreError(str(error).replace(str(step.former), str(step.beside))) from None


def _in_use(stanza: Stanza, step: Step) -> None:
    """Start the service, and see that it answers; else give it its former state again."""
    if not step.service:
        return
    try:
        _systemctl("start", step)
        _answers(stanza)
    except CourtkeeperError as error:
        where, again = step.data, ""
        if step.had:
            try:
                _systemctl("stop", step)
                exchange(str(step.former), step.data)
                step.former.rename(step.beside)
                _systemctl("start", step)
            except (OSError, CourtkeeperError) as second:
                text = f"the server does not come up with what was restored: {error}"
                raise _not_taken_back(step, text, second) from error
            where, again = str(step.beside), "; it has its former state again"
        raise RestoreError(
            f"the server does not come up with what was restored, which is in {where}{again}: {error}"
        ) from error


def _not_taken_back(step: Step, why: str, second: Exception) -> NotTakenBackError:
    where = step.former if step.is_in_use else step.data
    return NotTakenBackError(
        f"{why}; and its former state, which is in {where}, is not in use again ({second}): mend that and "
        "run the restore again, which goes on from here"
    )


def _answers(stanza: Stanza) -> None:
    """Wait until the server answers. Raises CourtkeeperError."""
    deadline = time.monotonic() + _SERVICE_S
    while True:
        try:
            servers.look(stanza)
        except CourtkeeperError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _runs(stanza: Stanza) -> bool:
    try:
        servers.look(stanza)
    except CourtkeeperError:
        return False
    return True


def _inode(path: Path) -> int:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return 0


def _systemctl(what: str, step: Step) -> None:
    if not step.service:
        return
    try:
        done = subprocess.run(
            ["systemctl", what, step.service],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SERVICE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RestoreError(f"systemctl {what} {step.service}: {str(error)[:200]}") from error
    if done.returncode:
        raise RestoreError(f"systemctl {what} {step.service} failed: {done.stderr.strip()[:200]}")
