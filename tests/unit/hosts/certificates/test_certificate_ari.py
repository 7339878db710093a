"""Renewal information. The server is a fake: a real one is asked on the test hosts (pebble 2.6)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from courtkeeper.hosts.certificates import ari, x509
from support import certificates
from support.certificates import DAY, NOW

LEAF = x509.read_chain(certificates.make("a.test", names=("a.test",)).pem, "it")[0]
WINDOW = {"start": "2026-03-02T00:00:00Z", "end": "2026-03-03T00:00:00Z"}


class FakeAcmeRenewalInfo(ThreadingHTTPServer):
    """A directory with renewalInfo and one answer for every certificate."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.offered = True
        self.status = 200
        self.headers = {"Retry-After": "3600"}
        self.body = json.dumps({"suggestedWindow": WINDOW, "explanationURL": "https://ca.test/why"})
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: FakeAcmeRenewalInfo

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        directory = {"newOrder": "x", "renewalInfo": f"{self.server.url}/ari"}
        if not self.server.offered:
            del directory["renewalInfo"]
        is_directory = self.path == "/dir"
        self.send_response(200 if is_directory else self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write((json.dumps(directory) if is_directory else self.server.body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def ca() -> Iterator[FakeAcmeRenewalInfo]:
    server = FakeAcmeRenewalInfo()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(120)


def ask(ca: FakeAcmeRenewalInfo) -> ari.Advice:
    return ari.ask(LEAF, f"{ca.url}/dir", ca_bundle="", now=NOW)


def test_the_identifier_is_the_one_of_the_standard() -> None:
    example = msgspec.structs.replace(
        LEAF, authority=bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4"), serial=0x87654321
    )
    assert ari.identifier(example) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"  # RFC 9773, 4.1


def test_the_window_and_when_to_ask_again_come_from_the_ca(ca: FakeAcmeRenewalInfo) -> None:
    advice = ask(ca)
    assert advice.window is not None
    assert advice.window.start == NOW.replace(day=2, hour=0)
    assert advice.window.explanation_url == "https://ca.test/why"
    assert ca.asked == ["/dir", f"/ari/{ari.identifier(LEAF)}"]
    url = f"{ca.url}/dir"
    assert advice.holds(LEAF, url, NOW + timedelta(minutes=59))
    assert not advice.holds(LEAF, url, NOW + timedelta(minutes=60))
    assert not advice.holds(LEAF, "https://other.test/dir", NOW)


def test_a_clock_that_was_far_ahead_does_not_silence_it_for_ever(ca: FakeAcmeRenewalInfo) -> None:
    assert not ask(ca).holds(LEAF, f"{ca.url}/dir", NOW - 400 * DAY)


def test_a_ca_without_renewal_information_is_asked_once_a_day(ca: FakeAcmeRenewalInfo) -> None:
    ca.offered = False
    advice = ask(ca)
    assert advice.window is None
    assert advice.ask_again == NOW + DAY


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, "", "the CA answered 500"),
        (200, "not json", "no JSON"),
        (200, "{}", "no suggestedWindow"),
        (200, json.dumps({"suggestedWindow": {**WINDOW, "end": WINDOW["start"]}}), "ends before it starts"),
        (200, " " * (ari.LARGEST + 1), "too long"),
    ],
)
def test_an_odd_answer_is_one_sentence(ca: FakeAcmeRenewalInfo, status: int, body: str, said: str) -> None:
    ca.status, ca.body = status, body
    with pytest.raises(ari.RenewalInfoError, match=said):
        ask(ca)


def test_a_ca_that_is_down_is_one_sentence() -> None:
    with pytest.raises(ari.RenewalInfoError, match="could not be asked"):
        ari.ask(LEAF, "http://127.0.0.1:1/dir", ca_bundle="", now=NOW)


def test_an_explanation_that_is_no_address_is_left_out(ca: FakeAcmeRenewalInfo) -> None:
    ca.body = json.dumps({"suggestedWindow": WINDOW, "explanationURL": "javascript:alert(1)"})
    window = ask(ca).window
    assert window is not None
    assert window.explanation_url == ""
