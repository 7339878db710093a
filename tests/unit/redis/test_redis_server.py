"""Where a server is: what cannot be is refused by its key, and no message holds the password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.server import facts, parse_info, server_from, server_from_url

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("url", "where", "database", "tls"),
    [
        ("redis://127.0.0.1:6380/3", "127.0.0.1:6380/3", 3, False),
        ("redis://", "127.0.0.1:6379", 0, False),
        ("rediss://cache.example.net", "cache.example.net:6379", 0, True),
        ("redis://[::1]:7000", "[::1]:7000", 0, False),
        ("unix:///run/redis.sock?database=2", "/run/redis.sock/2", 2, False),
    ],
)
def test_urls(url: str, where: str, database: int, tls: bool) -> None:
    settings = server_from_url(url)
    assert (settings.where, settings.database, settings.tls) == (where, database, tls)


def test_the_password_comes_from_the_url_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISCLI_AUTH", "from-outside")
    assert server_from_url("redis://h").password == "from-outside"
    settings = server_from_url(f"redis://me:{SECRET}%40@h:1/0?timeout_s=3")
    assert (settings.user, settings.password, settings.timeout_s) == ("me", SECRET + "@", 3.0)
    assert SECRET not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1", "http://h", "redis://h:0", "redis://h:99999", "redis://h:x", "redis://h/abc",
        "redis://h/-1", "redis://h?timeout_s=0", "redis://h?timeout_s=x", "redis://h?port=1", "unix://",
        "redis://h?user=x", "redis://h?nonsense=1", "redis://h#x", "redis://[::1", "rediss://h?cert_file=/x",
        "redis://h?ca_file=/nowhere", "unix://host/path",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be(url: str) -> None:
    with pytest.raises(ConfigurationError):
        server_from_url(url)


def refusal(url: str) -> str:
    """Why a URL is refused; empty where it is not."""
    try:
        server_from_url(url)
    except ConfigurationError as error:
        return str(error)
    return ""


@given(st.text(max_size=60) | st.from_regex(r"(redis|rediss|unix)://[^ ]{0,40}", fullmatch=True))
def test_any_url_is_read_or_refused_in_one_sentence(text: str) -> None:
    assert len(refusal(text).splitlines()) <= 1


@given(st.text("@:/?#%[]ab1 \n", max_size=30))
def test_a_broken_url_does_not_show_its_password(text: str) -> None:
    assert SECRET not in refusal(f"redis://me:{SECRET}@h{text}")


def test_what_cannot_be_is_named_by_its_key() -> None:
    for given_, key in (
        ({"port": "x"}, "server.port"),
        ({"prot": 1}, "prot"),
        ({"timeout_s": 0}, "server.timeout_s"),
    ):
        with pytest.raises(ConfigurationError, match=key):
            server_from(given_)


@given(st.binary(max_size=300) | st.text("redis_vnm:7.1\r\n#", max_size=200).map(str.encode))
def test_any_info_gives_facts(reply: bytes) -> None:
    assert facts(parse_info(reply)).kind in ("redis", "valkey")
