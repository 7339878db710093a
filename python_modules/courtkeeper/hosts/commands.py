"""Run the host's own tools, and turn their failure into one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError

# What a module inherits may lack the administrator's directories, and may say anything about Python or apt.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT = ("HOME", "LANG", "LOGNAME", "USER", "http_proxy", "https_proxy", "no_proxy", "TZ")


class Output(msgspec.Struct, frozen=True):
    """What a command said: its exit code and its two streams as text."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """Return the last line that says something, of stderr if there is one: usually the reason."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


class CommandError(CourtkeeperError):
    """A tool of the host is missing, failed or took too long; the message is one sentence."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a tool: messages in English, no question asked, nothing of our caller's."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **(extra or {})}


def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    text: str | None = None,
    extra: Mapping[str, str] | None = None,
    allowed: Sequence[int] = (0,),
) -> Output:
    """Run `command` (a list, no shell) with `text` as its input, and return what it said.

    Exit codes outside `allowed` raise CommandError, as do a missing tool and the end of `timeout_s`
    seconds, at which the whole process group is ended.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=environment(extra),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise CommandError(f"{name} is not installed on this host.") from None
    except OSError as error:
        raise CommandError(f"{name} could not be started: {error.strerror}.") from None
    with process:
        try:
            stdout, stderr = process.communicate(text, timeout=timeout_s)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # What it said is not read to its end: a daemon it left behind may hold the pipes for ever.
            if isinstance(error, subprocess.TimeoutExpired):
                raise CommandError(f"{name} did not end within {timeout_s:g} s and was stopped.") from None
            raise
    output = Output(process.returncode, stdout, stderr)
    if output.code not in allowed:
        raise CommandError(f"{name} failed: {output.last_line.rstrip('.')}.")
    return output
