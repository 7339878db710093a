"""A server whose files are damaged on purpose while it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from courtkeeper.platform import processes
from support.postgres import Server, start

PAGE = 8192


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Stop `server`, and start it again afterwards."""
    identity = server.postgres.running()
    assert identity
    assert server.postgres.stop(identity)
    try:
        yield
    finally:
        start(server.postgres)


def file_of(server: Server, dsn: str, relation: str) -> Path:
    """The file of a relation, its pages written out."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        (path,) = connection.execute("SELECT pg_relation_filepath(%s)", [relation]).fetchone()
    return server.postgres.data / path


def flip(path: Path, block: int, offset: int, mask: int = 0xFF) -> None:
    """Change one byte of a page; the same again changes it back."""
    at = block * PAGE + offset
    with path.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ mask]))


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Take a file from the server, as a copy by root or a wrong mode does."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


def last_tuple(path: Path, block: int) -> int:
    """Where the tuple that was added last begins on its page (pd_upper)."""
    page = path.read_bytes()[block * PAGE : (block + 1) * PAGE]
    return int.from_bytes(page[14:16], "little")


def set_checksums(server: Server, *, enabled: bool) -> None:
    """Turn data checksums on or off; the server is stopped."""
    word = "--enable" if enabled else "--disable"
    done = processes.run(
        [server.postgres.bin_dir / "pg_checksums", word, "-D", server.postgres.data], server.postgres.account
    )
    assert done.returncode == 0, done.stderr
