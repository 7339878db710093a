"""The environment of a run holds what Ansible needs and nothing that could be a secret."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

import pytest

from courtkeeper.findings import ConfigurationError
from courtkeeper.runner import environment
from courtkeeper.runner.processes import MARK


def scrubbed(**environ: str) -> dict[str, str]:
    run_dir = Path("/r/var/runs/1")
    return environment.scrubbed(
        environ, root=Path("/r"), run_dir=run_dir, private=run_dir / "private", path="/b"
    )


@pytest.mark.parametrize(
    "name",
    ["PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "API_TOKEN", "ANSIBLE_BECOME_PASS", "ANSIBLE_NET_PASSWORD", "X"],
)
def test_what_is_not_needed_is_dropped(name: str) -> None:
    assert name not in scrubbed(**{name: "hunter2"})


def test_what_is_needed_passes() -> None:
    given = {
        "HOME": "/h",
        "LC_ALL": "C",
        "SSH_AUTH_SOCK": "/s",
        "ANSIBLE_VAULT_PASSWORD_FILE": "/v",
        "PATH": "/a",
    }
    got = scrubbed(**given)
    assert {name: got[name] for name in given} == {**given, "PATH": "/b"}
    assert got["ANSIBLE_CONFIG"] == "/r/ansible.cfg"
    assert got[MARK] == "/r/var/runs/1"


def test_a_proxy_passes_unless_it_holds_a_password() -> None:
    got = scrubbed(https_proxy="http://proxy:3128", HTTP_PROXY="http://u:p@proxy:3128")
    assert got["https_proxy"] == "http://proxy:3128"
    assert "HTTP_PROXY" not in got


LOOPBACK = "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ({}, LOOPBACK),
        ({"no_proxy": "corp.example, localhost"}, "corp.example,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "corp.example"}, f"corp.example,{LOOPBACK}"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, f"a,b,{LOOPBACK}"),
        ({"no_proxy": "*"}, "*"),
        ({"no_proxy": ""}, LOOPBACK),
    ],
)
def test_this_machine_is_never_asked_through_a_proxy(given: dict[str, str], passed: str) -> None:
    got = scrubbed(http_proxy="http://proxy:3128", **given)
    assert got["no_proxy"] == got["NO_PROXY"] == passed


def test_what_asks_the_web_goes_past_the_proxy_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, scrubbed()[name])
    assert all(urllib.request.proxy_bypass(host) for host in ("127.0.0.1", "localhost", "127.0.0.1:80"))
    assert not urllib.request.proxy_bypass("cdn.nba.com")


def test_a_choice_made_outside_is_kept_except_for_what_the_driver_reads() -> None:
    got = scrubbed(
        ANSIBLE_FORKS="7",
        ANSIBLE_PIPELINING="False",
        ANSIBLE_KEEP_REMOTE_FILES="1",
        ANSIBLE_STDOUT_CALLBACK="json",
        ANSIBLE_FORCE_COLOR="1",
        ANSIBLE_CONFIG="/elsewhere/ansible.cfg",
    )
    assert got["ANSIBLE_CONFIG"] == "/r/ansible.cfg"  # a checkout's jobs run by its own settings
    assert got["ANSIBLE_FORKS"] == "7"
    assert got["ANSIBLE_PIPELINING"] == "True"
    assert "ANSIBLE_KEEP_REMOTE_FILES" not in got
    assert "ANSIBLE_STDOUT_CALLBACK" not in got
    assert "ANSIBLE_FORCE_COLOR" not in got


def test_the_interpreters_own_ansible_playbook_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place in ("venv", "system"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "ansible-playbook").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    found, path = environment.ansible_playbook({"PATH": str(tmp_path / "system")})
    assert found == tmp_path / "venv" / "ansible-playbook"
    assert path == f"{tmp_path / 'venv'}{os.pathsep}{tmp_path / 'system'}"


def test_pitfall_4_a_missing_ansible_playbook_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(
        ConfigurationError, match=r"ansible-playbook is neither beside .* `pip install -e '\.\[driver\]'"
    ):
        environment.ansible_playbook({"PATH": str(tmp_path)})
