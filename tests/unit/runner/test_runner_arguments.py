"""A request as the words that ask for it again, without what is nobody's business."""

from __future__ import annotations

from pathlib import Path

import pytest

from courtkeeper.runner import arguments
from courtkeeper.runner.options import RunOptions, parse_extra_vars
from courtkeeper.runner.secrets import Redactor, looks_secret

ROOT = Path("/checkout")


def words(**given: object) -> list[str]:
    request = RunOptions(root=ROOT, job="nba_refresh", inventory="embedded", **given)
    day = given.get("day")
    redact = Redactor({"password": "hunter2-hunter2"})
    return arguments.of_request(request, ROOT / "inventory/embedded", day, redact)


def test_nothing_that_decides_what_runs_is_left_out() -> None:
    assert words() == ["-i", "inventory/embedded"]
    assert words(
        day="2026-02-11",
        limit="platform",
        check=True,
        diff=True,
        extra_vars={"k": "v", "other": "a b"},
        timeout_s=90.0,
        secrets_file=ROOT / "var/secrets.json",
        report=False,
    ) == [
        "-i", "inventory/embedded", "--date", "2026-02-11", "--limit", "platform", "--check", "--diff",
        "-e", "k=v", "-e", "other=a b", "--timeout", "90", "--secrets-file", "var/secrets.json",
    ]  # fmt: skip


def test_what_json_can_say_comes_back_as_it_was() -> None:
    given = {"restore_replace": ["main", "Dončić"], "limits": {"a": 1}, "word": "x", "none": None}
    said = words(extra_vars=given)[2:]
    assert said[:2] == ["-e", '{"restore_replace": ["main", "Dončić"]}']
    assert parse_extra_vars(said[1::2]) == given


def test_secrets_are_replaced_however_deep_they_lie() -> None:
    given = {"server": {"user": "anna", "password": "abc"}, "notes": [{"text": "hunter2-hunter2"}]}
    assert words(extra_vars=given)[2:] == [
        "-e", "server=********", "-e", '{"notes": [{"text": "********"}]}',
    ]  # fmt: skip
    assert looks_secret("urls", ["http://h", "http://u:p@h"])
    assert looks_secret("passwords", [])


def test_secrets_are_replaced() -> None:
    given = {"database_password": "abc", "note": "it is hunter2-hunter2"}
    assert words(extra_vars=given)[2:] == [
        "-e", "database_password=********", "-e", "note=it is ********",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "nba_refresh_database_password",
        "TOKEN",
        "PGPASSWORD",
        "api_token_2",
        "my_secret",
        "secrets",
        "apikey",
        "api_key",
        "pass",
    ],
)
def test_names_that_look_secret(name: str) -> None:
    assert looks_secret(name, "x")


@pytest.mark.parametrize("name", ["nba_refresh_look_back_days", "bypass", "cache_key", "compass"])
def test_names_that_do_not(name: str) -> None:
    assert not looks_secret(name, "x")


@pytest.mark.parametrize(
    ("value", "secret"),
    [("postgresql://u:p@h/d", True), ("host=h password=p", True), ("http://h:80/d", False), ("a@b.c", False)],
)
def test_values_that_look_secret(value: str, secret: bool) -> None:
    assert looks_secret("dsn", value) is secret
