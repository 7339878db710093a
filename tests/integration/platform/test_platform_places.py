"""The platform from any directory, as root and as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import redis

from courtkeeper.platform import processes
from courtkeeper.platform.postgres import wheel_bin_dir
from support.platform import LIBRARY, Checkout, cli, client_of, new_checkout, processes_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def works(checkout: Checkout) -> None:
    with checkout.connect() as connection:
        assert connection.execute("SELECT count(*) FROM verify_data_integrity()").fetchone() == (0,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("with a space", id="space"),
        pytest.param('it\'s 100% "odd", ünïcode; $HOME `x` \\n {braces} #hash', id="odd"),
        pytest.param("glob [1] * ? {a,b}", id="glob"),
        pytest.param("long-" + "x" * 180, id="long"),
    ],
)
def test_from_a_directory_of_any_name(name: str) -> None:
    with new_checkout(name) as checkout:
        checkout.up()
        works(checkout)
        assert checkout.up().actions == []
        checkout.down()
        checkout.up()
        works(checkout)


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?", "[!a]"])
def test_the_cache_starts_only_as_configured(name: str) -> None:
    with new_checkout(name) as checkout:
        cache = checkout.up(parts=("cache",)).state.cache
        assert cache
        client = client_of(cache.port, checkout.secrets.cache_password)
        assert client.config_get("port") == {"port": str(cache.port)}
        assert client.config_get("dir") == {"dir": str(checkout.var / "cache")}
        client.config_set("maxmemory", "65mb")
        client.config_rewrite()
        assert "maxmemory 65mb" in (checkout.var / "cache" / "valkey.conf").read_text()
        with pytest.raises(redis.AuthenticationError):
            client_of(cache.port, None).ping()
        assert checkout.up(parts=("cache",)).actions == []


@pytest.mark.slow
def test_a_socket_beside_the_data_unless_its_path_is_too_long() -> None:
    with new_checkout("short") as checkout:
        checkout.up(parts=("postgres",))
        with checkout.connect("courtkeeper_admin") as connection:
            row = connection.execute("SHOW unix_socket_directories").fetchone()
        assert row
        assert list(Path(row[0].strip('"')).glob(".s.PGSQL.*[0-9]"))
    with new_checkout("long-" + "x" * 120) as checkout:
        checkout.up(parts=("postgres",))
        with checkout.connect("courtkeeper_admin") as connection:
            assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)


@pytest.mark.slow
def test_below_a_directory_that_only_we_may_enter() -> None:
    with new_checkout("x" * 200, mode=0o700) as checkout:
        checkout.up()
        works(checkout)
        assert checkout.state.postgres
        data = Path(checkout.state.postgres.data)
        if os.geteuid() == 0:
            assert not data.is_relative_to(checkout.root)
            assert any("who cannot enter" in message for message in checkout.messages)
        os.kill(checkout.pids()["postgres"], 9)
        checkout.up()
        assert checkout.up().actions == []
        works(checkout)
        settings = checkout.var / "settings.json"
        settings.write_text("{")
        checkout.down()
        assert processes_of(checkout.root) == []
        settings.unlink()
        checkout.up()
        assert checkout.state.postgres.data == str(data)  # found again by what it says
        settings.write_text("{")
        checkout.down(remove_data=True)
        assert not data.exists()
        assert not data.parent.parent.exists() or data.is_relative_to(checkout.root)


@pytest.mark.slow
@as_root
def test_programs_that_only_root_can_reach() -> None:
    with new_checkout("closed", mode=0o700) as closed, new_checkout() as checkout:
        programs = closed.root / "pg"
        shutil.copytree(wheel_bin_dir().parent, programs, symlinks=True)
        checkout.up(postgres_bin=programs / "bin", parts=("postgres",))
        works(checkout)
        assert checkout.state.postgres
        assert Path(checkout.state.postgres.bin).is_relative_to(checkout.var)
        assert checkout.up(parts=("postgres",)).actions == []  # and it is remembered


@pytest.mark.slow
def test_a_umask_that_closes_everything() -> None:
    before = os.umask(0o077)
    try:
        with new_checkout() as checkout:
            checkout.root.chmod(0o755)
            checkout.up(parts=("postgres", "cache"))
            works(checkout)
    finally:
        os.umask(before)


def _newest_system_postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4]))
    return found[-1].parent if found else None


@pytest.mark.slow
@pytest.mark.skipif(_newest_system_postgres() is None, reason="no Postgres of the operating system's")
def test_a_postgres_of_the_operating_systems() -> None:
    programs = _newest_system_postgres()
    assert programs
    with new_checkout() as checkout:
        checkout.up(postgres_bin=programs, parts=("postgres",))
        works(checkout)
        assert checkout.state.postgres
        assert checkout.state.postgres.bin == str(programs)
        done = cli("platform", "up", "--root", checkout.root, "--postgres-bin", wheel_bin_dir())
        if programs.parts[4] != "17":
            assert done.returncode == 2
            assert f"was made by Postgres {programs.parts[4]}" in done.stderr
            works(checkout)  # refused before anything was stopped


# What a container of Docker's has by default. Not among them: looking into another user's processes.
_DOCKER = (
    "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod"
    " audit_write setfcap"
)


@pytest.mark.slow
@as_root
def test_as_root_with_the_few_rights_of_a_container() -> None:
    few = ",".join(["-all", *(f"+{name}" for name in _DOCKER.split())])
    prefix = ["setpriv", f"--bounding-set={few}", "--inh-caps=-all"]
    with new_checkout() as checkout:

        def up() -> None:
            done = cli("platform", "up", "--feed", "simulated", "--root", checkout.root, prefix=prefix)
            assert done.returncode == 0, done.stderr

        up()
        with checkout.connect() as connection:
            connection.execute("SELECT 1")
            os.kill(checkout.pids()["postgres"], 9)
            up()
        works(checkout)
        (checkout.var / "processes.json").unlink()  # the `up` was killed before it wrote the pids down
        up()
        works(checkout)
        done = cli("platform", "down", "--root", checkout.root, prefix=prefix)
        assert done.returncode == 0
        assert processes_of(checkout.root) == []


def _python_for(account: processes.Account) -> str | None:
    """An interpreter of our version that `account` can run, with the packages of this one."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if Path(python).exists() and processes.run([python, "-c", "import ssl"], account).returncode == 0:
            return python
    return None


@pytest.mark.slow
@as_root
def test_as_an_ordinary_user() -> None:
    account = processes.unprivileged_account()
    assert account
    python = _python_for(account)
    packages = sysconfig.get_paths()["platlib"]
    if python is None or processes.run(["test", "-r", f"{packages}/psycopg"], account).returncode != 0:
        pytest.skip("no interpreter, or no packages, that `nobody` can read")
    become = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    with new_checkout(owner=account.uid) as checkout:
        # A copy of the library: the checkout of the tests may be one that `nobody` cannot read.
        library = checkout.root / "library"
        shutil.copytree(LIBRARY, library, ignore=shutil.ignore_patterns("__pycache__"))
        # The system's interpreter may be older by a patch than ours, whose packages it borrows:
        # redis wants this one before 3.11.3.
        (library / "async_timeout.py").write_text("from asyncio import timeout as timeout\n")

        def platform(*words: str) -> subprocess.CompletedProcess[str]:
            return cli(
                "platform", *words, "--root", checkout.root, prefix=become, python=python,
                PYTHONPATH=f"{library}:{packages}", PYTHONDONTWRITEBYTECODE="1", HOME="/",
            )  # fmt: skip

        try:
            done = platform("up", "--feed", "simulated")
            assert done.returncode == 0, done.stderr
            assert {Path(f"/proc/{pid}").stat().st_uid for pid in checkout.pids().values()} == {account.uid}
            assert checkout.state.postgres
            assert Path(checkout.state.postgres.data).is_relative_to(checkout.root)
            works(checkout)
            os.kill(checkout.pids()["postgres"], 9)
            os.kill(checkout.pids()["cache"], 9)
            done = platform("up", "--feed", "simulated")
            assert done.returncode == 0, (checkout.var / "log" / "postgres.log").read_text()[-2000:]
            works(checkout)
            refused = cli("platform", "up", "--feed", "simulated", "--root", checkout.root)
            assert refused.returncode == 2
            assert f"belongs to uid {account.uid}" in refused.stderr
        finally:
            assert platform("down").returncode == 0
        assert processes_of(checkout.root) == []
