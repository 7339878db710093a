"""Who may come in: what must not start, what a token file may hold, where a form may lead."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.web import tokens
from courtkeeper.web.access import Access, Role
from courtkeeper.web.app import _own_place
from courtkeeper.web.live import event
from courtkeeper.web.sessions import LASTS_S, Sessions

ANYWHERE = "0.0.0.0"  # noqa: S104 - to be refused


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"host": ANYWHERE}, "everybody could run jobs"),
        ({"host": "::"}, "everybody could run jobs"),
        ({"host": "192.0.2.7"}, "everybody could run jobs"),
        ({"host": "example.org"}, "takes an IP address"),
        ({"host": ANYWHERE, "identity_header": "X-User"}, "belong together"),
        ({"host": ANYWHERE, "trusted_proxies": ("10.0.0.1",)}, "everybody could run jobs"),
        ({"identity_header": "X-User", "trusted_proxies": ("0.0.0.0/0",)}, "is everybody"),
        ({"identity_header": "X-User", "trusted_proxies": ("::/0",)}, "is everybody"),
        ({"identity_header": "X User", "trusted_proxies": ("10.0.0.1",)}, "is no header"),
        ({"identity_header": "X-User", "trusted_proxies": ("proxy",)}, "takes an address or a network"),
        ({"operators": frozenset({"ann"})}, "goes with --identity-header"),
        ({"token_file": Path("/nowhere/tokens")}, "cannot be read"),
        ({"certificate": Path("/nowhere")}, "belong together"),
        ({"certificate": Path("/nowhere"), "key": Path("/nowhere")}, "is no file"),
        ({"port": 70000}, "is no port"),
    ],
)
def test_what_would_let_everybody_in_does_not_start(given_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        Access(**given_).check()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_on_this_machine_it_starts_without_tokens(host: str) -> None:
    assert Access(host=host).check().access.open


def test_an_address_in_another_spelling_is_the_same_proxy() -> None:
    gate = Access(identity_header="X-User", trusted_proxies=("10.0.0.0/24",)).check()
    assert gate.trusts("::ffff:10.0.0.9")
    assert not gate.trusts("::ffff:10.0.1.9")
    assert not gate.trusts("")
    named = gate.by_proxy("10.0.0.9", ["ann"])
    assert named is not None
    assert named.role is Role.VIEWER
    for said in ([], [""], [" "], ["ann", "bob"], ["a\x01"], ["a" * 201]):
        assert gate.by_proxy("10.0.0.9", said) is None


def test_a_token_is_added_once_by_name(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    token = tokens.add(file, "ann", "operator")
    with pytest.raises(ConfigurationError, match="has ann already"):
        tokens.add(file, "ann", "viewer")
    for name, role in (("a b", "viewer"), ("", "viewer"), ("x", "root"), ("a\nb", "viewer")):
        with pytest.raises(ConfigurationError):
            tokens.add(file, name, role)
    for lost in (tmp_path / "nowhere/tokens", file / "tokens"):
        with pytest.raises(ConfigurationError, match=f"{lost.parent} is no directory: make it, or name"):
            tokens.add(lost, "bob", "viewer")
    assert tokens.read(file) == (tokens.Token("ann", "operator", tokens.digest_of(token)),)
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="open to others"):
        tokens.read(file)


@given(st.binary(max_size=300))
def test_any_token_file_is_read_or_refused_in_a_sentence(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "tokens"
        file.touch(0o600)
        file.write_bytes(data)
        with contextlib.suppress(ConfigurationError):
            assert all(token.role in tokens.ROLES for token in tokens.read(file))


def test_a_session_ends(tmp_path: Path) -> None:
    now = 0.0
    sessions = Sessions(lambda: now)
    name = sessions.sign_in("digest")
    assert sessions.digest(name) == "digest"
    assert not sessions.is_own_form(Sessions.new(), sessions.csrf(name))
    assert not sessions.is_own_form("", sessions.csrf(""))
    now = LASTS_S
    assert sessions.digest(name) == ""


@given(st.text(max_size=40) | st.builds("/{}".format, st.text(max_size=20)))
def test_a_form_leads_to_us_whatever_it_says(place: str) -> None:
    found = _own_place(place)
    landed = urlsplit(urljoin("http://here.example/x", found))
    assert (landed.scheme, landed.netloc) == ("http", "here.example")
    assert found.isascii()
    assert found.isprintable()
    assert "\\" not in found


@given(st.text(max_size=60))
def test_no_text_ends_an_event(text: str) -> None:
    said = event("log", text, 3)
    assert said.startswith("event: log\nid: 3\n")
    assert said.endswith("\n\n")
    body = said[len("event: log\nid: 3\n") : -1]
    assert all(line.startswith("data: ") for line in body.split("\n")[:-1])
