"""A second Postgres that lives for one drill: initdb, start, a random superuser, this machine only."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault.drill import scratch
from courtkeeper.vault.drill.scratch import ScratchError
from courtkeeper.vault.restore.server import Target

_START_S = 60.0
_INITDB_S = 120.0
_HBA = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"
_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")


@contextmanager
def server(path: Path, bin_directory: str, preload: str = "") -> Iterator[Target]:
    """Make a cluster in the scratch directory `path` and run it.

    `preload`: the libraries that the backed up server had loaded; left out where they are not here.
    Raises ScratchError, ConfigurationError. The directory's owner destroys what is left.
    """
    programs = Path(bin_directory)
    user, password = f"drill_{secrets.token_hex(6)}", secrets.token_urlsafe(24)
    data = path / "data"
    _initdb(programs, path, data, user, password)
    port = _free_port()
    _configure(path, data, port)
    process = _started(programs, path, data, port, user, password, [preload, ""] if preload else [""])
    try:
        yield Target(host="127.0.0.1", port=port, user=user, password=password, bin_directory=str(programs))
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: what it holds is destroyed anyway
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _initdb(programs: Path, path: Path, data: Path, user: str, password: str) -> None:
    secret = path / "password"
    descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        if who := scratch.account():
            os.fchown(descriptor, *who)
        stream.write(password + "\n")
    command: list[str | Path] = [
        programs / "initdb", "--pgdata", data, f"--username={user}", f"--pwfile={secret}",
        "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C", "--no-instructions",
    ]  # fmt: skip
    done = run_as(command, timeout_s=_INITDB_S)
    secret.unlink()
    if done.returncode == 126:
        raise ConfigurationError(
            f"{programs}/initdb cannot be run ({done.stderr.strip()}): whoever the scratch server runs as "
            "(as root: nobody) has to reach it; name other programs in policy.drill.bin_directory"
        )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["it says nothing"]
        raise ScratchError(
            f"initdb could not make a scratch cluster in {path}: {'; '.join(lines[-2:])[:300]}"
        )


def run_as(command: Sequence[str | Path], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program as whoever scratch servers run as; 126 where it cannot be executed."""
    who = scratch.account()
    words = [os.fspath(word) for word in command]
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=environment(),
            user=who[0] if who else None,
            group=who[1] if who else None,
            extra_groups=[] if who else None,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        return subprocess.CompletedProcess(words, 126, "", error.strerror or str(error))
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"it took more than {timeout_s:g} s")


def environment() -> dict[str, str]:
    """Return what a scratch server needs of our environment: nothing secret."""
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, "LC_ALL": "C.UTF-8"}


def _configure(path: Path, data: Path, port: int) -> None:
    # As a server in use is set, so that the measured time is honest: it waits for the disk.
    lines = [
        f"port = {port}", "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''",
        "password_encryption = scram-sha-256", "logging_collector = off", "timezone = 'UTC'",
        "log_timezone = 'UTC'", "max_wal_size = '4GB'", "autovacuum = on", "max_connections = 20",
        "max_locks_per_transaction = 512", "archive_mode = off",
        f"cluster_name = 'drill-{scratch.mark_of(path)}'",
    ]  # fmt: skip
    with (data / "postgresql.conf").open("a", encoding="utf-8") as stream:
        stream.write("\n" + "\n".join(lines) + "\n")
    (data / "pg_hba.conf").write_text(_HBA, encoding="utf-8")
    log = path / "log"
    log.touch(mode=0o600)
    if who := scratch.account():
        os.chown(log, *who)


def _started(
    programs: Path, path: Path, data: Path, port: int, user: str, password: str, preloads: Sequence[str]
) -> subprocess.Popen[bytes]:
    target = Target(host="127.0.0.1", port=port, user=user, password=password)
    for preload in preloads:
        command: list[str | Path] = [
            programs / "postgres",
            "-D",
            data,
            "-c",
            f"shared_preload_libraries={preload}",
        ]
        who = scratch.account()
        with (path / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment(),
                start_new_session=True,
                user=who[0] if who else None,
                group=who[1] if who else None,
                extra_groups=[] if who else None,
            )
        deadline = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                with target.connected():
                    return process
            except (CourtkeeperError, ConfigurationError):
                time.sleep(0.05)
        if process.poll() is None:
            process.kill()
            process.wait(5)
    raise ScratchError(f"the scratch server in {path} does not start: {_last_line(path / 'log')}")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "; ".join(lines[-2:])[-300:] or "it says nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
