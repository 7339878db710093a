"""The whole duty with a stand-in for certbot; the real one, against pebble, runs on the test hosts."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result
from courtkeeper.hosts import services
from courtkeeper.hosts.certificates import renew, state
from courtkeeper.hosts.certificates.settings import settings_from
from support import certificates
from support.certificates import DAY, NOW

_, INTERMEDIATE = certificates.authority()
FAKE_CERTBOT = """#!/bin/sh
# fake_certbot: counts its calls, and either fails or puts a prepared lineage where certbot would.
echo "$*" >>{home}/calls
env >>{home}/environment
if [ -e {home}/down ]; then echo "An unexpected error occurred:"; echo "no CA, token=$TOKEN"; exit 1; fi
mkdir -p {home}/state/config/live/www && cp {home}/next/*.pem {home}/state/config/live/www/
"""


class Host:
    """A directory with a state, a fake_certbot, and what it will give next."""

    def __init__(self, home: Path) -> None:
        self.home, self.now = home, NOW
        self.lapsed: set[str] = set()
        (home / "next").mkdir()
        certbot = home / "fake_certbot"
        certbot.write_text(FAKE_CERTBOT.format(home=home))
        certbot.chmod(0o755)
        (home / "python").symlink_to(certbot)  # certbot is started by the Python beside it
        self.offer(NOW)

    def offer(self, start, **more) -> None:
        """Let the CA give a certificate of `start` next."""
        more = {"names": ("www.ck.test",), **more}
        made = certificates.make("www.ck.test", INTERMEDIATE, start=start, **more)
        for name, content in (
            ("fullchain", made.fullchain), ("cert", made.pem), ("chain", made.chain), ("privkey", made.key)
        ):  # fmt: skip
            (self.home / f"next/{name}.pem").write_bytes(content)

    def run(self, *, check: bool = False, **more: Any) -> Result:
        www = {"name": "www", "domains": ["www.ck.test"], "webroot": str(self.home)} | more.pop("www", {})
        request = {
            "certificates": [www], "directory_url": "https://ca.test/dir", "terms_agreed": True, "ari": False,
            "certbot": str(self.home / "fake_certbot"), "state_directory": str(self.home / "state"), **more,
        }  # fmt: skip
        settings = settings_from(request)
        return renew.renew(settings, now=self.now, check=check, resolve=lambda name: name not in self.lapsed)

    @property
    def calls(self) -> int:
        path = self.home / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def issue_finding(result: Result) -> str:
    return next(found.summary for found in result.findings if found.id == "certificate.issue")


def test_check_mode_says_what_will_be_done_and_touches_nothing(host: Host) -> None:
    planned = host.run(check=True)
    assert planned.actions == ["issue www for www.ck.test (it was never issued)"]
    assert planned.changed
    assert not (host.home / "state").exists()
    assert host.calls == 0
    done = host.run()
    assert done.actions == planned.actions
    assert done.changed
    again = host.run()
    assert (again.actions, again.changed, host.calls) == ([], False, 1)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"www": {"domains": ["www.ck.test", "ck.test"]}}, "its domains are others"),
        ({"www": {"key_type": "rsa"}}, "its key is to be rsa"),
        ({"directory_url": "https://other.test/dir"}, "it came from https://ca.test/dir"),
        ({"force": ["www"]}, "it is forced"),
    ],
)
def test_what_was_asked_for_differently_is_issued_anew(host: Host, more: dict[str, Any], why: str) -> None:
    host.run()
    assert why in host.run(check=True, **more).actions[0]


def test_it_is_renewed_when_a_third_is_left(host: Host) -> None:
    host.run()
    host.now = NOW + 59 * DAY
    assert host.run().actions == []
    host.now = NOW + 61 * DAY
    host.offer(host.now)
    assert "of its lifetime is left, renewal begins at 33%" in host.run().actions[0]
    assert host.run().actions == []


def test_a_domain_that_lapsed_keeps_only_its_own_certificate_from_being_renewed(host: Host) -> None:
    host.run()
    host.now, host.lapsed = NOW + 61 * DAY, {"www.ck.test"}
    other = {"name": "other", "domains": ["other.ck.test"], "webroot": str(host.home)}
    www = {"name": "www", "domains": ["www.ck.test"], "webroot": str(host.home)}
    result = host.run(certificates=[www, other])
    assert host.calls == 2
    assert "--cert-name other" in (host.home / "calls").read_text().splitlines()[-1]
    assert "www was not issued: its domain www.ck.test no longer resolves" in issue_finding(result)
    # One that it never had is a mistake in what is declared.
    host.lapsed = {"ww.ck.test"}
    with pytest.raises(ConfigurationError, match=r"the domain ww\.ck\.test does not resolve"):
        host.run(certificates=[www | {"domains": ["www.ck.test", "ww.ck.test"]}, other])
    assert host.calls == 2


@pytest.mark.parametrize("secret", ["line one of it\nline two s3cret", "two  spaces s3cret"])
def test_a_secret_of_several_lines_is_in_no_finding(host: Host, secret: str) -> None:
    script = host.home / "fake_certbot"
    script.write_text(script.read_text().replace('echo "no CA, token=$TOKEN"', 'echo "$TOKEN" | tail -n 1'))
    dns = {"challenge": "dns", "dns_hook": {"auth": ["true"], "environment": {"TOKEN": secret}}}
    (host.home / "down").touch()
    result = host.run(www=dns)
    assert "***" in issue_finding(result)
    assert "s3cret" not in str(result.to_builtins()) + (host.home / "state/state.json").read_text()


def test_a_damaged_lineage_is_issued_anew(host: Host) -> None:
    host.run()
    (host.home / "state/config/live/www/privkey.pem").write_text("broken")
    assert "cannot be used" in host.run(check=True).actions[0]


def test_a_certificate_that_expired_is_given_to_no_service(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the CA is down and a person has put another certificate there, theirs stays."""
    monkeypatch.setattr(services, "exists", lambda _unit: True)
    host.run()
    emergency = certificates.make("www.ck.test", INTERMEDIATE, names=("www.ck.test",))
    theirs = host.home / "theirs.pem"
    theirs.write_bytes(emergency.pem)
    (host.home / "down").touch()
    host.now = NOW + 91 * DAY
    result = host.run(www={"deploy": [{"service": "www", "fullchain": str(theirs)}]})
    assert theirs.read_bytes() == emergency.pem
    (found,) = [found for found in result.findings if found.id == "certificate.deploy"]
    assert "www was left as it is: the www that is to be given to it expired" in found.summary


def test_names_that_the_ca_adds_are_no_reason_to_issue_again(host: Host) -> None:
    host.offer(NOW, names=("www.ck.test", "ck.test"))
    host.run()
    assert host.run().actions == []
    (host.home / "state/state.json").unlink()
    assert "its domains are others" in host.run(check=True).actions[0]


def test_a_success_that_changed_nothing_is_none(host: Host) -> None:
    """As where certbot cannot read its renewal/www.conf: it issues www-0001 and leaves www as it was."""
    host.run()
    result = host.run(force=["www"])
    assert not result.changed
    assert result.metrics["issued"] == 0
    assert "certbot reported success and" in issue_finding(result)
    assert "holds the old one" in issue_finding(result)


def test_a_ca_that_is_down_is_asked_less_and_less_and_the_old_stays(host: Host) -> None:
    host.run()
    host.now = NOW + 61 * DAY
    (host.home / "down").touch()
    found = host.run()
    assert not found.changed
    assert "www was not issued: no CA, token=" in issue_finding(found)
    later = f"{host.now + timedelta(hours=1):%Y-%m-%d %H:%M} UTC"
    assert f"The next try comes at {later}" in issue_finding(found)
    for minutes in range(0, 24 * 60, 30):
        host.now = NOW + 61 * DAY + timedelta(minutes=minutes)
        host.run()
    assert host.calls == 1 + 5  # issued once; then at 0, 1, 3, 7 and 15 hours
    assert "the last try failed (no CA" in issue_finding(host.run())
    host.run(retry=True)
    assert host.calls == 1 + 6
    (host.home / "down").unlink()
    host.run(www={"key_type": "ecdsa"}, retry=True)
    assert host.calls == 1 + 7
    assert host.run().actions == []


def test_a_try_counts_although_the_run_was_killed_in_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(renew.certbot, "issue", die)
    with pytest.raises(Killed):
        host.run()
    kept = state.load(host.home / "state").of("www")
    assert [(tried.at, tried.ok) for tried in kept.tries] == [(NOW, False)]


def test_no_more_tries_a_day_than_allowed_even_if_they_succeed(host: Host) -> None:
    for _ in range(4):
        host.offer(NOW)
        host.run(force=["www"], tries_per_day=3)
    assert host.calls == 3
    assert "it was tried enough" in issue_finding(host.run(force=["www"], tries_per_day=3))


def test_a_hooks_environment_reaches_it_and_no_finding_or_file(host: Host) -> None:
    dns = {
        "challenge": "dns",
        "dns_hook": {"auth": ["true", "an argument"], "environment": {"TOKEN": "s3cret-token"}},
    }
    (host.home / "down").touch()
    result = host.run(www=dns)
    assert "no CA, token=***" in issue_finding(result)
    assert "TOKEN=s3cret-token" in (host.home / "environment").read_text()
    assert "s3cret" not in (host.home / "calls").read_text()
    assert "--manual-auth-hook true 'an argument'" in (host.home / "calls").read_text()
    assert "s3cret" not in json.dumps(result.to_builtins())
    assert "s3cret" not in (host.home / "state/state.json").read_text()


def test_a_second_run_at_the_same_time_is_refused(host: Host) -> None:
    with (
        state.alone(host.home / "state"),
        pytest.raises(CourtkeeperError, match="Another certificate_renewal"),
    ):
        host.run()


def test_a_state_that_is_damaged_is_forgotten(host: Host) -> None:
    host.run()
    (host.home / "state/state.json").write_bytes(b'{"certificates": [\xff')
    assert host.run().actions == []


def test_a_staging_ca_is_said_to_be_one(host: Host) -> None:
    result = host.run(directory_url="https://acme-staging.test/dir")
    assert "certificate.staging" in {found.id for found in result.findings}


def test_a_trusted_certificate_is_not_replaced_by_a_staging_ca_s_unless_forced(host: Host) -> None:
    host.run()
    staging = "https://acme-staging.test/dir"
    with pytest.raises(
        ConfigurationError, match=r"has a certificate of https://ca\.test/dir, and .* staging"
    ):
        host.run(directory_url=staging)
    assert host.calls == 1
    assert "it came from" in host.run(check=True, directory_url=staging, force=["www"]).actions[0]


def test_terms_nobody_agreed_to_are_refused_before_anything_is_asked(host: Host) -> None:
    with pytest.raises(ConfigurationError, match="certificate_renewal_terms_agreed"):
        host.run(terms_agreed=False)
    assert host.calls == 0
