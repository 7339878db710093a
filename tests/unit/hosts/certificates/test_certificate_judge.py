"""What is wrong with a chain is found, and what is right is not."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from courtkeeper.findings import Finding, Status
from courtkeeper.hosts.certificates import judge, watch, x509
from courtkeeper.hosts.certificates.settings import Limits, Watched, settings_from
from support import certificates
from support.certificates import DAY, NOW, Made

ROOT, INTERMEDIATE = certificates.authority()
ROOTS = judge.by_subject(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" + ROOT.pem)


def leaf(issuer: Made = INTERMEDIATE, **more) -> Made:
    return certificates.make("www.ck.test", issuer, **{"names": ("www.ck.test",), **more})


def judged(pem: bytes, **more) -> dict[str, Finding]:
    subject = judge.Subject("it", x509.read_chain(pem, "it"), **more)
    return {found.id: found for found in judge.judge(subject, now=NOW, limits=Limits(), roots=ROOTS)}


def test_a_good_chain_gives_its_expiry_and_nothing_else(tmp_path: Path) -> None:
    key = tmp_path / "key"
    made = leaf()
    key.write_bytes(made.key)
    key.chmod(0o600)
    found = judged(made.fullchain, names=("www.ck.test",), key=key)
    assert set(found) == {"certificate.expiry"}
    assert found["certificate.expiry"].status is Status.OK


@pytest.mark.parametrize(
    ("lifetime", "age", "status"),
    [
        (90 * DAY, 67 * DAY, Status.OK),
        (90 * DAY, 68 * DAY, Status.WARN),
        (90 * DAY, 82 * DAY, Status.CRIT),
        (47 * DAY, 35 * DAY, Status.OK),
        (47 * DAY, 36 * DAY, Status.WARN),
        # Scaled: 3/8 and 3/20 of six days, so that half a day before renewal's end is not called good.
        (6 * DAY, 3.7 * DAY, Status.OK),
        (6 * DAY, 3.8 * DAY, Status.WARN),
        (6 * DAY, 5.2 * DAY, Status.CRIT),
        (90 * DAY, 91 * DAY, Status.CRIT),
        (90 * DAY, -1 * DAY, Status.CRIT),
    ],
)
def test_the_fraction_of_the_lifetime_decides_and_no_number_of_days(
    lifetime: timedelta, age: timedelta, status: Status
) -> None:
    made = leaf(start=NOW - age, lifetime=lifetime)
    found = judged(made.fullchain)["certificate.expiry"]
    assert found.status is status
    assert (found.fix == "") is (status is Status.OK)


OLD = certificates.make("Test Intermediate", ROOT, start=NOW - 100 * DAY, lifetime=99 * DAY)


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (leaf().pem, "an intermediate is missing"),
        (leaf().pem + certificates.authority()[1].pem, "wrong order"),
        (leaf(OLD).fullchain, "intermediate that expired"),
        (INTERMEDIATE.pem + leaf().pem, "wrong order"),
        (certificates.make("self", names=("www.ck.test",)).pem, "signed itself"),
        (leaf().fullchain, ""),
        (leaf().fullchain + ROOT.pem, ""),
    ],
)
def test_a_chain_that_clients_cannot_follow_is_found(pem: bytes, said: str) -> None:
    found = judged(pem)
    assert ("certificate.chain" in found) is bool(said)
    if said:
        assert said in found["certificate.chain"].summary
        assert found["certificate.chain"].status is Status.WARN


@pytest.mark.parametrize(
    ("made", "weak"),
    [
        (leaf(bits=1024), "RSA key of 1024 bits"),
        (leaf(bits=2048), ""),
    ],
)
def test_weak_keys_and_signatures_are_found(made: Made, weak: str) -> None:
    found = judged(made.fullchain)
    assert ("certificate.strength" in found) is bool(weak)
    if weak:
        assert weak in found["certificate.strength"].summary


def test_a_signature_that_can_be_forged_is_found_but_not_that_of_a_root() -> None:
    chain = [
        msgspec.structs.replace(one, signature_hash="sha1")
        for one in x509.read_chain(leaf().fullchain + ROOT.pem, "it")
    ]
    (found,) = judge.strength(judge.Subject("it", tuple(chain)))
    assert found.observed == "sha1 signature, sha1 signature"


@pytest.mark.parametrize(
    ("names", "wanted", "fits"),
    [
        (("www.ck.test",), "WWW.ck.test", True),
        (("*.ck.test",), "www.ck.test", True),
        (("*.ck.test",), "ck.test", False),
        (("*.ck.test",), "a.b.ck.test", False),
        (("*.ck.test",), "*.ck.test", True),
        (("www.ck.test",), "*.ck.test", False),
        (("www.ck.test",), "127.0.0.1", False),
    ],
)
def test_a_certificate_for_other_names_is_found(names: tuple[str, ...], wanted: str, fits: bool) -> None:
    found = judged(leaf(names=names).fullchain, names=(wanted,))
    assert ("certificate.name" not in found) is fits


def test_a_certificate_cannot_write_lines_of_its_own_into_a_finding() -> None:
    odd = "\x1b[2Kall is well\n"
    issuer = certificates.make(odd, ROOT, lifetime=1000 * DAY)
    made = leaf(certificates.make(odd), names=(odd,))
    for found in judged(made.pem + issuer.pem, names=("www.ck.test",)).values():
        assert found.summary.isprintable()
        assert str(found.observed).isprintable()


def test_a_key_that_does_not_fit_or_is_open_to_all_is_found(tmp_path: Path) -> None:
    made, other = leaf(), leaf()
    key = tmp_path / "key"
    key.write_bytes(other.key)
    key.chmod(0o604)
    found = judged(made.fullchain, key=key)
    assert found["certificate.key"].status is Status.CRIT
    assert found["certificate.permissions"].observed == "0604"
    key.write_text("no key")
    assert "no PEM private key" in judged(made.fullchain, key=key)["certificate.key"].summary
    key.unlink()
    assert "cannot be read" in judged(made.fullchain, key=key)["certificate.key"].summary


def test_files_and_endpoints_are_watched_and_what_cannot_be_seen_is_not_ok(tmp_path: Path) -> None:
    made = leaf()
    pem = tmp_path / "www.pem"
    pem.write_bytes(made.fullchain + made.key)
    with certificates.serving(pem) as port:
        request = {
            "watch": [
                {"host": "127.0.0.1", "port": port, "name": "www.ck.test"},
                {"host": "127.0.0.1", "port": port, "name": "other.ck.test"},
                {"host": "127.0.0.1", "port": 1},
                {"file": str(pem)},
                {"file": str(tmp_path / "missing")},
            ]
        }
        found = [
            one for each in watch.looks(settings_from(request), now=NOW, roots=ROOTS) for one in each.findings
        ]
    assert [(one.id, one.status.value) for one in found] == [
        ("certificate.expiry", "ok"),
        ("certificate.expiry", "ok"), ("certificate.name", "crit"),
        ("certificate.expiry", "unknown"),
        ("certificate.expiry", "ok"),
        ("certificate.expiry", "unknown"),
    ]  # fmt: skip


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pem")
    (found,) = watch.look(
        Watched(file=str(tmp_path / "pipe.pem")), now=NOW, limits=Limits(), roots=None
    ).findings
    assert found.status is Status.UNKNOWN
    assert "is no regular file" in found.summary


def test_the_served_chain_without_an_intermediate_is_found(tmp_path: Path) -> None:
    made = leaf()
    pem = tmp_path / "www.pem"
    pem.write_bytes(made.pem + made.key)
    with certificates.serving(pem) as port:
        found = watch.look(
            Watched(host="127.0.0.1", port=port, name="www.ck.test"), now=NOW, limits=Limits(), roots=ROOTS
        )
    assert found.not_after is not None
    assert [one.id for one in found.findings] == ["certificate.expiry", "certificate.chain"]


def test_the_first_to_expire_is_told_in_days() -> None:
    ends = [NOW + timedelta(days=30), None, NOW + timedelta(hours=36)]
    assert watch.days_to_expiry(ends, NOW) == {"days_to_expiry": 1.5}
    assert watch.days_to_expiry([None], NOW) == {}
