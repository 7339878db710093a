"""Faults of the group `security`: roles, grants, functions, pg_hba.conf."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from courtkeeper.findings import Status
from courtkeeper.postgres.settings import IntegritySettings
from support.clusters import Cluster
from support.findings import is_bad, is_ok, only, within

pytestmark = pytest.mark.slow

# What makes the fault, the check that has to find it, its subject, how bad it is, and words of the sentence.
# The first thing that is made is removed in the end.
FAULTS = {
    "a superuser": (
        'CREATE ROLE "Boss" LOGIN SUPERUSER',
        "privileged_role", "Boss", Status.CRIT, "SUPERUSER",
    ),
    "a role that makes roles": (
        "CREATE ROLE maker LOGIN CREATEROLE BYPASSRLS",
        "privileged_role", "maker", Status.WARN, "CREATEROLE, BYPASSRLS",
    ),
    "a password that has expired": (
        "CREATE ROLE late LOGIN VALID UNTIL '2020-01-01 00:00 UTC'",
        "password_expiry", "late", Status.CRIT, "expired on 2020-01-01 00:00 UTC",
    ),
    "an open schema": (
        'CREATE SCHEMA "Open"; GRANT CREATE ON SCHEMA "Open" TO PUBLIC',
        "public_schema", "Open", Status.WARN, "schema Open",
    ),
    "a table that all may read": (
        "CREATE TABLE seen (); GRANT SELECT ON seen TO PUBLIC",
        "public_table", "public.seen", Status.WARN, "SELECT on public.seen",
    ),
    "a table that all may write": (
        'CREATE TABLE "Wide" (); GRANT SELECT, DELETE ON "Wide" TO PUBLIC',
        "public_table", 'public."Wide"', Status.CRIT, "DELETE, SELECT",
    ),
    "a sequence that all may use": (
        "CREATE SEQUENCE counter; GRANT USAGE ON SEQUENCE counter TO PUBLIC",
        "public_table", "public.counter", Status.WARN, "USAGE",
    ),
    "a superuser's function that anybody can turn": (
        "CREATE FUNCTION risky(a int, VARIADIC b text[]) RETURNS int LANGUAGE sql SECURITY DEFINER "
        "AS 'SELECT 1'",
        "definer_function", "public.risky(a integer, VARIADIC b text[])", Status.CRIT,
        "a superuser, and has no search_path of its own and may be run by every role",
    ),
    "a procedure without a search_path": (
        "CREATE PROCEDURE act() LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; "
        "REVOKE EXECUTE ON PROCEDURE act() FROM PUBLIC",
        "definer_function", "public.act()", Status.WARN, "no search_path",
    ),
    "a trigger function without a search_path": (
        "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NEW; END'",
        "definer_function", "public.fire()", Status.WARN, "no search_path",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_too_open_is_named_mended_and_can_be_undone(sound: Cluster, fault: str) -> None:
    make, check, subject, status, words = FAULTS[fault]
    kind, name = re.match(r'CREATE (\w+) (\w+|"\w+")', make).groups()
    ask = partial(sound.ask, f"security.{check}")
    assert only(ask()).status is Status.OK
    sound.apply(make + ";")
    try:
        finding = only(ask())
        assert (finding.subject, finding.status) == (subject, status)
        assert words in finding.summary
        sound.apply(finding.fix)
        assert only(ask()).status is Status.OK
        sound.apply(finding.undo)
        assert only(ask()) == finding or check == "password_expiry"
        assert is_bad(only(ask()))
    finally:
        sound.apply(f"DROP {kind} {name};")


def test_a_role_that_is_expected_is_no_finding(sound: Cluster) -> None:
    sound.apply("CREATE ROLE boss LOGIN SUPERUSER;")
    told = IntegritySettings(roles_expected=("boss",))
    assert only(sound.ask("security.privileged_role", told=told)).status is Status.OK
    assert is_bad(only(sound.ask("security.privileged_role")))
    sound.apply("DROP ROLE boss;")


def test_an_expiry_is_asked_for_only_where_a_policy_does(sound: Cluster) -> None:
    assert only(sound.ask("security.password_expiry")).status is Status.OK
    finding = only(sound.ask("security.password_expiry", required=1))
    assert finding.subject == "courtkeeper_admin"
    assert "never expires" in finding.summary
    sound.apply("SELECT format('CREATE ROLE soon LOGIN VALID UNTIL %L', now() + '3 d') \\gexec\n")
    finding = only(sound.ask("security.password_expiry"))
    assert (finding.status, finding.observed) == (Status.WARN, 3.0)
    sound.apply("DROP ROLE soon;")


def test_an_md5_password_is_named_and_its_hash_is_not_shown(sound: Cluster) -> None:
    ask = partial(sound.ask, "security.password_hash")
    assert only(ask()).status is Status.OK
    password = secrets.token_hex(16)
    with sound.admin() as admin:
        admin.execute("SET password_encryption = 'md5'")
        admin.execute(f"CREATE ROLE old_style LOGIN PASSWORD '{password}'".encode())
        finding = only(ask())
        (kept,) = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'old_style'").fetchone()
        assert finding.subject == "old_style"
        assert finding.observed == "MD5"
        assert kept[3:] not in str(finding)
        # What the remedy says: set it again, hashed by the client.
        again = admin.pgconn.encrypt_password(password.encode(), b"old_style", b"scram-sha-256").decode()
        admin.execute(f"ALTER ROLE old_style PASSWORD '{again}'".encode())
        assert only(ask()).status is Status.OK
        admin.execute("DROP ROLE old_style")


def test_an_untrusted_language(sound: Cluster) -> None:
    ask = partial(sound.ask, "security.untrusted_language")
    assert only(ask()).status is Status.OK
    # What decides is how it was made, not what it can do: this one is plpgsql without its promise.
    sound.apply("CREATE LANGUAGE loose HANDLER plpgsql_call_handler;")
    finding = only(ask())
    assert finding.subject == "loose"
    sound.apply(finding.fix)
    assert only(ask()).status is Status.OK


@pytest.mark.parametrize(
    ("line", "status", "words", "mended"),
    [
        ("host all all 10.0.0.0/8 trust", Status.CRIT, "lets others in without a password", "scram-sha-256"),
        ("local all all trust", Status.WARN, "everybody on this machine", "scram-sha-256"),
        ("host all all 127.0.0.1/32 trust", Status.WARN, "everybody on this machine", "scram-sha-256"),
        ("host all all 10.0.0.0/8 password", Status.CRIT, "passwords sent in the clear", "scram-sha-256"),
        ("hostssl all all 10.0.0.0/8 scram-sha-256", Status.WARN, "hostssl record cannot match", ""),
        ("host all all 10.0.0.0/8 md5", Status.WARN, "still takes MD5", "scram-sha-256"),
        ("host all all 0.0.0.0/0 scram-sha-256", Status.WARN, "every address", ""),
        ("host all all all scram-sha-256", Status.WARN, "every address", ""),
        ("host all all nonsense/99 scram-sha-256", Status.CRIT, "is wrong", ""),
    ],
)  # fmt: skip
def test_a_careless_line_of_pg_hba_conf(
    sound: Cluster, line: str, status: Status, words: str, mended: str
) -> None:
    ask = partial(sound.ask, "security.hba")
    assert only(ask()).status is Status.OK
    path = sound.postgres.data / "pg_hba.conf"
    before = path.read_text()
    number = len(before.splitlines()) + 1
    path.write_text(f"{before}{line}\n")
    try:
        finding = only(ask())
        assert finding.status is status
        assert finding.subject == f"{path}:{number}"
        assert words in finding.summary
        assert f"line {number} of {path}" in finding.fix
        new = f"{line.rsplit(' ', 1)[0]} {mended}" if mended else ""
        path.write_text(f"{before}{new}\n")
        assert only(ask()).status is Status.OK
    finally:
        path.write_text(before)


def test_md5_as_the_form_of_new_passwords(sound: Cluster) -> None:
    ask = partial(sound.ask, "security.encryption")
    assert only(ask()).status is Status.OK
    sound.apply("ALTER SYSTEM SET password_encryption = 'md5'; SELECT pg_reload_conf();")
    finding = within(ask, is_bad)
    assert finding.subject == "password_encryption"
    sound.apply(finding.fix)
    within(ask, is_ok)
    sound.apply("ALTER SYSTEM RESET password_encryption; SELECT pg_reload_conf();")


def test_no_tls_on_a_server_that_others_reach(sound: Cluster, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    ask = partial(sound.ask, "security.encryption")
    assert only(ask()).status is Status.OK
    # The check takes 127.0.0.2 for another machine's way in; nobody else can use it.
    sound.apply("ALTER SYSTEM SET listen_addresses = '127.0.0.1,127.0.0.2';")
    sound.restart()
    finding = only(ask())
    assert (finding.subject, finding.status) == ("ssl", Status.WARN)
    assert "listens on 127.0.0.1,127.0.0.2" in finding.summary
    for name in _certificate(tmp_path):
        target = sound.postgres.data / name
        shutil.copy(tmp_path / name, target)
        target.chmod(0o600)
        shutil.chown(target, sound.postgres.data.stat().st_uid, sound.postgres.data.stat().st_gid)
    sound.apply(finding.fix)
    within(ask, is_ok)
    sound.apply(finding.undo)
    within(ask, is_bad)
    sound.apply("ALTER SYSTEM RESET listen_addresses;")
    sound.restart()


def _certificate(directory: Path) -> tuple[str, str]:
    names = ("server.crt", "server.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-out", directory / names[0], "-keyout", directory / names[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return names
