"""A request that cannot be meant is refused whole, in one sentence that names the variable."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError
from courtkeeper.hosts import services
from courtkeeper.hosts.certificates import preflight, state
from courtkeeper.hosts.certificates.settings import settings_from
from support import certificates

WWW: dict[str, Any] = {"name": "www", "domains": ["www.ck.test"], "webroot": "/var/www"}
NGINX: dict[str, Any] = {"service": "nginx", "fullchain": "/etc/tls/a.pem", "key": "/etc/tls/a.key"}


def request(*certificates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"certificates": list(certificates), "directory_url": "https://ca.test/dir", **more}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (request(WWW, WWW), "two entries named www"),
        (request(WWW | {"name": "../etc"}), "is no name"),
        (request(WWW | {"domains": []}), "has no domains"),
        (request(WWW | {"domains": ["--server"]}), "is no domain name"),
        (request(WWW | {"domains": ["a.test", "A.test"]}), "names the domain a.test twice"),
        (request(WWW | {"domains": ["*.a.test"]}), r"wildcard \*.a.test needs challenge: dns"),
        (request(WWW | {"challenge": "dns"}), "needs dns_hook"),
        (request(WWW | {"challenge": "tls"}), "certificate_renewal wants it"),
        (request(WWW | {"webroot": ""}), "either webroot or standalone"),
        (request(WWW | {"standalone": True}), "either webroot or standalone"),
        (request(WWW | {"deploy": [NGINX, NGINX | {"service": "mail"}]}), "writes /etc/tls/a.pem twice"),
        (
            request(WWW | {"deploy": [NGINX]}, WWW | {"name": "b", "deploy": [NGINX]}),
            "writes /etc/tls/a.pem twice",
        ),
        (request(WWW | {"deploy": [NGINX | {"service": "-f"}]}), "no name of a systemd unit"),
        (request(WWW | {"deploy": [{"service": "nginx"}]}), "names no file"),
        (request(WWW | {"deploy": [NGINX | {"key": "tls/a.key"}]}), "no absolute path"),
        (request(WWW | {"deploy": [NGINX | {"mode": "0604"}]}), "let every user read the private key"),
        (request(WWW | {"deploy": [NGINX | {"mode": "rw"}]}), "not as 0600"),
        (request(WWW, directory_url="http://ca.test/dir"), "certificate_renewal_directory_url"),
        (request(WWW, force=["other"]), "certificate_renewal_force names other"),
        (request(WWW, limits={"warn": 0.5}), "in order"),
        (request(WWW, tries_per_day=0), "certificate_renewal_tries_per_day must be at least 1"),
        (request(WWW, interval_h=-1), "certificate_renewal_interval_h must be at least 0"),
        (request(watch=[{"file": "/a", "host": "b"}]), "either a file or a host"),
        (request(watch=[{"host": "b", "key": "/a"}]), "a key belongs to a file"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        settings_from(wrong)
    assert "certificate_renewal" in str(caught.value) or "fractions" in str(caught.value)


def test_what_ansible_leaves_out_is_the_default() -> None:
    settings = settings_from(request(WWW | {"deploy": [NGINX | {"config_test": None}], "dns_hook": None}))
    assert settings.certificates[0].deploy[0].test() == ["nginx", "-t"]


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A request that this host could serve, with a pair of files in place."""
    monkeypatch.setattr(services, "exists", lambda unit: unit == "nginx")
    made = certificates.make("www.ck.test", names=("www.ck.test",))
    (tmp_path / "a.pem").write_bytes(made.pem)
    (tmp_path / "a.key").write_bytes(made.key)
    return WWW | {
        "webroot": str(tmp_path),
        "deploy": [
            NGINX
            | {
                "fullchain": str(tmp_path / "a.pem"),
                "key": str(tmp_path / "a.key"),
                "config_test": ["true"],
            }
        ],
    }


def refuse(tmp_path: Path, certificate: dict[str, Any], **more: Any) -> None:
    preflight.refuse(
        settings_from(request(certificate, **{"state_directory": str(tmp_path / "state")} | more))
    )


def test_a_host_that_has_all_is_not_refused(tmp_path: Path, deployed: dict[str, Any]) -> None:
    refuse(tmp_path, deployed)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"service": "apache2"}, "names apache2, and this host has no such service"),
        ({"config_test": ["no-such-test"]}, "no command no-such-test"),
        ({"command": ["no-such-hook"]}, "no command no-such-hook"),
        ({"owner": "no-such-user"}, "no such owner or group"),
        ({"fullchain": "/no/such/directory/a.pem"}, "directory /no/such/directory is not there"),
    ],
)
def test_what_the_host_lacks_is_refused(
    tmp_path: Path, deployed: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        refuse(tmp_path, deployed | {"deploy": [deployed["deploy"][0] | change]})


def test_files_that_are_no_way_back_are_not_written_over(tmp_path: Path, deployed: dict[str, Any]) -> None:
    (tmp_path / "a.key").write_bytes(certificates.make("other", names=("a",)).key)
    with pytest.raises(ConfigurationError, match="is not the key of the certificate beside it"):
        refuse(tmp_path, deployed)
    (tmp_path / "a.key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    with pytest.raises(ConfigurationError, match="is no PEM private key without a passphrase"):
        refuse(tmp_path, deployed)
    (tmp_path / "a.key").unlink()
    (tmp_path / "a.pem").write_text("notes")
    with pytest.raises(ConfigurationError, match="holds no PEM certificate"):
        refuse(tmp_path, deployed)
    (tmp_path / "a.pem").unlink()
    refuse(tmp_path, deployed)


def test_a_full_disk_a_missing_webroot_and_a_missing_bundle_are_refused(
    tmp_path: Path, deployed: dict[str, Any]
) -> None:
    room = shutil.disk_usage(tmp_path).total // 2**20 + 1
    with pytest.raises(ConfigurationError, match="MiB free"):
        refuse(tmp_path, deployed, free_mib=room)
    with pytest.raises(ConfigurationError, match=r"webroot .* is not there"):
        refuse(tmp_path, deployed | {"webroot": "/no/such"})
    with pytest.raises(ConfigurationError, match="certificate_renewal_ca_bundle: /no/such cannot be read"):
        refuse(tmp_path, deployed, ca_bundle="/no/such")


def test_a_chain_file_that_holds_something_else_is_not_written_over(
    tmp_path: Path, deployed: dict[str, Any]
) -> None:
    chain = tmp_path / "chain.pem"
    asked = deployed | {"deploy": [deployed["deploy"][0] | {"chain": str(chain)}]}
    chain.write_text("server { listen 443 ssl; }")
    with pytest.raises(ConfigurationError, match=r"chain\.pem holds no PEM certificate; move it away"):
        refuse(tmp_path, asked)
    chain.write_bytes(b"")  # what a CA without an intermediate leaves
    refuse(tmp_path, asked)


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(
    tmp_path: Path, deployed: dict[str, Any]
) -> None:
    (tmp_path / "a.pem").unlink()
    os.mkfifo(tmp_path / "a.pem")
    with pytest.raises(ConfigurationError, match=r"a\.pem is not a file of its own"):
        refuse(tmp_path, deployed)


def test_one_file_by_two_names_is_refused(tmp_path: Path, deployed: dict[str, Any]) -> None:
    (tmp_path / "alias").symlink_to(tmp_path)
    again = deployed["deploy"][0] | {"fullchain": str(tmp_path / "alias/a.pem"), "key": ""}
    with pytest.raises(ConfigurationError, match=r"writes .*a\.pem twice"):
        refuse(tmp_path, deployed | {"deploy": [deployed["deploy"][0], again]})


def test_a_state_directory_that_others_use_is_not_closed_to_them(
    tmp_path: Path, deployed: dict[str, Any]
) -> None:
    theirs = tmp_path / "letsencrypt"
    theirs.mkdir()
    with state.alone(theirs):  # an empty one may be taken
        pass
    refuse(tmp_path, deployed, state_directory=str(theirs))
    (theirs / ".lock").unlink()
    (theirs / "live").mkdir()
    with pytest.raises(ConfigurationError, match="letsencrypt holds what is not ours"):
        refuse(tmp_path, deployed, state_directory=str(theirs))
    with pytest.raises(ConfigurationError, match="relative is no absolute path"):
        refuse(tmp_path, deployed, state_directory="relative")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"terms_agreed": False}, "certificate_renewal_terms_agreed"),
        ({"certbot": "/no/such"}, "certbot is not on this host"),
    ],
)
def test_what_the_ca_must_not_be_asked_for_is_refused(more: dict[str, Any], said: str) -> None:
    given = {"terms_agreed": True, "certbot": "/bin/true", **more}
    settings = settings_from(request(WWW, **given))
    with pytest.raises(ConfigurationError, match=said):
        preflight.refuse_issue(settings, settings.certificates, check=False)


def test_a_domain_that_does_not_resolve_is_refused() -> None:
    settings = settings_from(request(WWW, terms_agreed=True, certbot="/bin/true"))
    with pytest.raises(ConfigurationError, match=r"www\.ck\.test does not resolve"):
        preflight.unresolved(settings, settings.certificates[0], (), resolve=lambda _: False)


def test_split_horizon_names_need_not_resolve() -> None:
    settings = settings_from(request(WWW, terms_agreed=True, certbot="/bin/true", check_dns=False))
    assert preflight.unresolved(settings, settings.certificates[0], (), resolve=lambda _: False) == ""
