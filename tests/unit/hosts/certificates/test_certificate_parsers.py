"""Whatever arrives, a parser gives a clean value or one sentence: nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.certificates import ari, certbot, journal, state, x509
from courtkeeper.hosts.certificates.settings import settings_from
from support import certificates
from support.examples import examples

ROOT, INTERMEDIATE = certificates.authority()
LEAF = certificates.make("www.ck.test", INTERMEDIATE, names=("www.ck.test", "*.ck.test"))
WINDOW = {"suggestedWindow": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"}}
SNAPSHOT = b'{"service":"nginx","files":[{"path":"/etc/a","content":"YQ==","mode":384,"uid":0,"gid":0}]}'
STATE = (
    b'{"version":1,"certificates":{"a":{"tries":[{"at":"2026-03-01T00:00:00Z","request":"b","ok":false}]}}}'
)
FAILURE = b"Saving debug log to /x\n\n  Domain: a.test\n  Type:   unauthorized\n  Detail: 404\n\nHint: no"

PARSERS: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
    "chain": (lambda data: x509.read_chain(data, "it"), [LEAF.fullchain, LEAF.pem]),
    "der": (lambda data: x509.facts(data, "it"), [x509.read_chain(LEAF.pem, "it")[0].der]),
    "key": (lambda data: x509.read_key(data, "it"), [LEAF.key]),
    "window": (ari.parse_window, [json.dumps(WINDOW).encode()]),
    "snapshot": (lambda data: journal.parse(data, "it"), [SNAPSHOT]),
    "state": (state.parse, [STATE]),
    "reason": (lambda data: certbot.reason(data.decode("utf-8", "replace")), [FAILURE]),
}


def damaged(data: bytes, seed: int) -> bytes:
    """`data` with a few bytes changed, cut out, doubled or its end lost."""
    chance, found = random.Random(seed), bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(found) + 1)
        kind = chance.randrange(4)
        if kind == 0 and at < len(found):
            found[at] = chance.randrange(256)
        elif kind == 1:
            del found[at : at + chance.randrange(20)]
        elif kind == 2:
            found[at:at] = found[at : at + chance.randrange(40)]
        else:
            del found[at:]
    return bytes(found)


def sentence(work: Callable[[], object]) -> str:
    """What `work` says when it refuses, or that it took it; anything but our errors goes through."""
    try:
        work()
    except CourtkeeperError as error:
        return str(error)
    return "taken"


@pytest.mark.parametrize("name", PARSERS)
@given(st.data())
@examples(200)
def test_damaged_input_is_a_value_or_one_sentence(name: str, data: st.DataObject) -> None:
    parse, samples = PARSERS[name]
    seeds = st.builds(damaged, st.sampled_from(samples), st.integers(0, 2**32))
    given_bytes = data.draw(st.one_of(seeds, st.binary(max_size=300)))
    said = sentence(lambda: parse(given_bytes))
    assert "\n" not in said


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "data", [b"", b"\0" * 5_000_000, b"[" * 200_000, b"-----BEGIN CERTIFICATE-----\n" * 9_999]
)
def test_empty_and_huge_input_is_a_value_or_one_sentence(name: str, data: bytes) -> None:
    assert len(sentence(lambda: PARSERS[name][0](data))) < 300


@given(st.text(max_size=40))
def test_any_retry_after_is_held_between_a_minute_and_a_day(value: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert ari.SOONEST <= ari.parse_retry_after(value, now) - now <= ari.LATEST


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "domains", "deploy", "service", "key", "serve", "host", "mode"]), inner
        ),
    ),
    max_leaves=12,
)


@given(JUNK)
@examples(300)
def test_any_request_is_taken_or_refused_in_one_sentence(junk: object) -> None:
    sentence(lambda: settings_from({"certificates": junk, "directory_url": "https://ca.test/dir"}))


def test_a_key_that_cannot_be_read_is_not_quoted() -> None:
    secret = LEAF.key.replace(b"A", b"!")
    with pytest.raises(x509.CertificateError) as caught:
        x509.read_key(secret, "/etc/x.key")
    assert str(caught.value) == "/etc/x.key is no PEM private key without a passphrase"


def test_a_chain_is_read_in_its_order_with_text_between() -> None:
    chain = x509.read_chain(b"subject=a\n" + LEAF.pem + b"\n# issuer\n" + INTERMEDIATE.pem, "it")
    assert [one.subject for one in chain] == ["CN=www.ck.test", "CN=Test Intermediate"]
    assert chain[0].names == ("www.ck.test", "*.ck.test")
    assert x509.issued_by(chain[0], chain[1])
    assert not x509.issued_by(chain[1], chain[0])
    assert x509.read_key(LEAF.key, "it") == chain[0].public_key


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (FAILURE.decode(), "a.test: 404 [unauthorized]"),
        (
            "Some challenges have failed.\nAn unexpected error occurred:\nrequests.ConnectionError: refused\n"
            "Ask for help or search for solutions at https://x. See the logfile /y",
            "requests.ConnectionError: refused",
        ),
        ("- - - - -\n\n", "certbot gave no reason"),
    ],
)
def test_the_reason_is_what_the_ca_said(said: str, reason: str) -> None:
    assert certbot.reason(said) == reason
