"""Messages as real servers get them: HTTP by apprise's json://, mail by SMTP, and a dead man's switch."""

from __future__ import annotations

import email
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from courtkeeper.cli import main
from courtkeeper.findings import ConfigurationError
from courtkeeper.notify.deliver import DeliveryError, deliver
from courtkeeper.notify.load import PATH
from courtkeeper.notify.model import Channel, Event, Ping
from courtkeeper.notify.service import made_message as made
from courtkeeper.platform.ports import free_port
from support.notices import Receiver, checkout, receiver

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TEAM = Channel(name="team", secret="address")


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as seen:
        yield seen


def test_a_channel_gets_title_body_and_reference(server: Receiver) -> None:
    message = made("embedded", "team", NOW)
    deliver(TEAM, message, {"address": f"json://{server.url}/"})
    (got,) = server.json
    assert got["title"] == message.title
    assert got["message"] == f"{message.body}\nReference {message.reference}"
    assert got["type"] == "info"


def test_what_a_finding_says_is_sent_as_it_is(server: Receiver) -> None:
    import msgspec

    body = "{{ app_id }} {% raw %} \\n <b> :smile: 100 %"
    message = msgspec.structs.replace(made("embedded", "team", NOW, Event.FAILURE), body=body)
    deliver(TEAM, message, {"address": f"json://{server.url}/"})
    (got,) = server.json
    assert got["message"].startswith(body)
    assert got["type"] == "failure"


@pytest.mark.parametrize("answer", [403, 500])
def test_what_is_not_taken_says_why_and_not_where(
    server: Receiver, answer: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [answer] * 5
    where = f"json://someone:sekret-word@{server.url}/sekret-path/?-X-Key=sekret-header"
    with caplog.at_level(logging.DEBUG), pytest.raises(DeliveryError) as caught:
        deliver(TEAM, made("embedded", "team", NOW), {"address": where})
    out = capfd.readouterr()
    assert "team:" in str(caught.value)
    assert "sekret" not in str(caught.value) + out.out + out.err + caplog.text


@pytest.mark.parametrize(
    "where", ["nonsense://sekret", "sekret", "json://", "mailto://sekret", "json://h/sekret, json://i"]
)
def test_an_address_that_is_none_is_said_without_it(where: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((ConfigurationError, DeliveryError)) as caught:
        deliver(TEAM, made("embedded", "team", NOW), {"address": where})
    out = capfd.readouterr()
    assert "sekret" not in str(caught.value) + out.out + out.err


def test_mail_is_sent(capfd: pytest.CaptureFixture[str]) -> None:
    taken: list[Any] = []

    class Handler:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            taken.append(envelope)
            return "250 OK"

    controller = Controller(Handler(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        where = (
            f"mailto://127.0.0.1:{controller.port}?from=keeper@example.org&to=team@example.org&mode=insecure"
        )
        deliver(TEAM, made("embedded", "team", NOW), {"address": where})
    finally:
        controller.stop()
    (envelope,) = taken
    assert envelope.rcpt_tos == ["team@example.org"]
    mail = email.message_from_bytes(envelope.content)
    assert mail["Subject"] == "[embedded] a test of Courtkeeper"


def test_a_ping_says_start_success_and_failure(server: Receiver) -> None:
    switch = Ping(name="switch", secret="address", method="POST")
    for event in (Event.START, Event.SUCCESS, Event.FAILURE):
        deliver(switch, made("embedded", "switch", NOW, event), {"address": f"http://{server.url}/uuid"})
    assert server.paths == ["POST /uuid/start", "POST /uuid", "POST /uuid/fail"]
    quiet = Ping(name="switch", secret="address", start=None, failure="?status=down")
    for event in (Event.START, Event.FAILURE):
        deliver(quiet, made("embedded", "switch", NOW, event), {"address": f"http://{server.url}/uuid"})
    assert server.paths[3:] == ["GET /uuid?status=down"]
    assert len({headers["Idempotency-Key"] for *_, headers, _ in server.requests}) == 3


def test_a_ping_is_tried_three_times_and_its_address_not_told(server: Receiver) -> None:
    switch = Ping(name="switch", secret="address")
    message = made("embedded", "switch", NOW)
    pauses: list[float] = []
    server.answers = [503, 429]
    deliver(switch, message, {"address": f"http://{server.url}/sekret"}, pause=pauses.append)
    assert (len(server.requests), pauses) == (3, [0.5, 1.0])
    server.answers = [404]
    with pytest.raises(DeliveryError, match=r"^the address of switch answered 404\.$"):
        deliver(switch, message, {"address": f"http://{server.url}/sekret"}, pause=pauses.append)
    with pytest.raises(DeliveryError, match=r"^the address of switch does not answer \(ConnectError\)\.$"):
        deliver(switch, message, {"address": "http://127.0.0.1:1/sekret"}, pause=pauses.append)


def test_each_channel_has_a_command_that_tries_it(
    server: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = {
        "team_address": f"json://{server.url}/sekret-path",
        "switch_address": f"http://{server.url}/sekret-ping",
    }
    inventory = checkout(tmp_path, secrets)
    monkeypatch.setenv("COURTKEEPER_ROOT", str(tmp_path))
    monkeypatch.delenv("COURTKEEPER_STORE", raising=False)

    def said(*words: str) -> tuple[int, str]:
        code: object = 0
        try:
            main(["notify", *words, "-i", "embedded"])
        except SystemExit as ended:
            code = ended.code or 0
        seen = capfd.readouterr()
        assert "sekret" not in seen.out + seen.err
        return int(str(code)), seen.out + seen.err

    code, text = said("test", "team")
    assert code == 0
    assert text.startswith("team (json://********) took the test message ")
    code, text = said("test", "switch", "--json")
    assert (code, json.loads(text)["sent"]) == (0, True)
    assert server.paths == ["POST /sekret-path", "POST /sekret-ping"]
    assert said("test", "nobody")[0] == 2
    server.answers = [500]
    assert said("test", "team")[0] == 1
    code, text = said("list", "--json")
    assert [each["address"] for each in json.loads(text)["channels"]] == [
        "json://********",
        "http://********",
    ]
    assert said("deliver") == (0, "embedded: 1 sent, 0 waiting.\n")
    assert "team" in said("list")[1]
    (inventory / PATH).unlink()
    assert said("list")[1].startswith(f"embedded tells nobody of anything: declare channels in {PATH}.\n")
