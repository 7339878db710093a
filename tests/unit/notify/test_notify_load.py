"""Channels as they stand in the inventory: all that is wrong says where, and no address is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.kpi import probes
from courtkeeper.notify import load
from courtkeeper.notify.model import Ping
from support.examples import examples
from support.notices import CHANNELS, checkout


def write(root: Path, text: str) -> Path:
    inventory = root / "inventory/x"
    (inventory / "group_vars/all").mkdir(parents=True, exist_ok=True)
    (inventory / load.PATH).write_text(text)
    return inventory


def refused(root: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load.load(write(root, text), root)
    return str(caught.value)


def test_channels_and_pings_are_read(tmp_path: Path) -> None:
    found = load.load(checkout(tmp_path, {}), tmp_path)
    assert found.names == ["team", "switch"]
    assert found.channels[0].events == ["failure", "recovery", "missed"]
    assert isinstance(found.find("switch"), Ping)
    assert load.load(tmp_path / "inventory/none", tmp_path).names == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("other: 1", "notifications.yml:1: courtkeeper_notifications is missing"),
        (CHANNELS + "    - name: team\n      secret: x\n", "there are two channels team; rename one"),
        (CHANNELS.replace("07:00", "7 o'clock"), "notifications.yml:7: channels.0.digest_at cannot be:"),
        (
            CHANNELS.replace("digest_at", "digest"),
            "notifications.yml:5: channels.0 cannot be: object contains",
        ),
        (CHANNELS.replace("America/New_York", "Mars/Base"), "time_zone 'Mars/Base' is none"),
        (CHANNELS.replace("team_address", "'{{ x }}'"), "it holds a template; write plain values"),
        (CHANNELS + "      method: GET\n", "method stands there twice"),
        (CHANNELS + "x: [\n", "it is not YAML here"),
        (CHANNELS.replace("method: POST", "failure: 'http://x'"), "pings.0.failure cannot be:"),
    ],
)
def test_what_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    sentence = refused(tmp_path, text)
    assert said in sentence
    assert sentence.startswith("inventory/x/group_vars/all/notifications.yml:")


BENT = st.builds(
    lambda at, new: CHANNELS[:at] + new + CHANNELS[at + 3 :],
    st.integers(0, len(CHANNELS)),
    st.text(max_size=8),
)


@examples(150)
@given(text=st.text(max_size=200) | BENT)
def test_nothing_but_a_sentence_comes_of_nonsense(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "fuzzed"
    inventory = root / "inventory/x"
    (inventory / "group_vars/all").mkdir(parents=True, exist_ok=True)
    (inventory / load.PATH).write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load.load(inventory, root)
    except ConfigurationError as error:
        assert "\n" not in str(error)  # noqa: PT017 - good input is good as well


def test_an_address_is_never_in_a_sentence(tmp_path: Path) -> None:
    found = load.load(checkout(tmp_path, {}), tmp_path)
    switch = load.channel("switch", found)
    for secrets in (
        {},
        {"switch_address": 7},
        {"switch_address": "ftp://sekret"},
        {"switch_address": "http://["},
    ):
        with pytest.raises(ConfigurationError) as caught:
            load.address(switch, secrets)
        assert "sekret" not in str(caught.value)
        assert "switch_address" in str(caught.value)
    with pytest.raises(ConfigurationError, match="did you mean switch"):
        load.channel("swich", found)
    assert load.masked("slack://TokenA/TokenB") == "slack://********"
    assert load.masked("sekret") == load.masked("Sek ret://x") == "********"


@pytest.mark.parametrize(
    "probe",
    [
        "{name: api}",
        "{name: api, url: 'http://h', file: a, key: b}",
        "{name: api, url: 'ftp://h'}",
        "{name: api, url: 'tcp://h'}",
        "{name: api, url: 'http://user:sekret@h'}",
        "{name: api, url: 'http://['}",
    ],
)
def test_a_probe_without_an_address_to_ask_is_refused(tmp_path: Path, probe: str) -> None:
    inventory = tmp_path / "inventory/x"
    (inventory / "group_vars/all").mkdir(parents=True)
    (inventory / probes.PATH).write_text(f"courtkeeper_probes: {{probes: [{probe}]}}\n")
    with pytest.raises(ConfigurationError, match="the probe api") as caught:
        probes.load(inventory, tmp_path)
    assert "sekret" not in str(caught.value)
