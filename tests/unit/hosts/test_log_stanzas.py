"""What an inventory may declare about its logs, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.hosts.logs import paths, stanzas

APP = {"name": "app", "paths": ["/var/log/app/*.log"], "reopens": True}


def read(*entries: dict[str, Any], roots: tuple[str, ...] = ("/var/log",)) -> list[stanzas.Stanza]:
    return stanzas.read(entries, roots=roots, compress_after_days=7, keep_days=30)


def text(*, archived: bool = False, **entry: Any) -> str:
    return stanzas.render(read({**APP, **entry})[0], keeper="/opt/python", archived=archived)


def test_a_stanza_holds_what_was_declared() -> None:
    found = text(reopens=None, service="app", signal="HUP", owner="app", group="adm", max_size_mib=50)
    assert '"/var/log/app/*.log" {\n' in found
    for line in (
        "daily", "dateext", "nocompress", "rotate -1", "maxage 30", "maxsize 50M", "create 0640 app adm",
        "systemctl kill --kill-whom=main --signal=HUP app.service",
        "/opt/python -I -m courtkeeper.hosts.logs app",
    ):  # fmt: skip
        assert line in found


def test_where_files_are_archived_logrotate_removes_none() -> None:
    assert "maxage 0\n" in text(archived=True)


def test_a_service_without_a_signal_is_reloaded() -> None:
    assert "systemctl reload app.service" in text(reopens=None, service="app.service")


def test_the_words_of_a_command_stay_words() -> None:
    found = text(reopens=None, command=["/bin/sh", "-c", "echo $HOME; true"])
    assert "    /bin/sh -c 'echo $HOME; true'\n" in found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("nginx", ["/var/log/nginx/*.log", "--signal=USR1 nginx.service", "create 0640 www-data adm"]),
        ("postgres", ["/var/log/postgresql/*.log", "pg_rotate_logfile", "su root postgres"]),
        ("redis", ["/var/log/redis/*.log", "create 0640 redis adm"]),
    ],
)
def test_presets(kind: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stanzas.os, "access", lambda _path, _mode: True)
    found = stanzas.render(read({"name": kind, "kind": kind})[0], keeper="/opt/python", archived=False)
    assert [part for part in expected if part not in found] == []
    assert "copytruncate" not in found.replace("nocopytruncate", "")


def test_what_is_declared_goes_before_the_preset() -> None:
    found = read({"name": "n", "kind": "nginx", "service": "other", "owner": "root"})[0]
    assert (found.service, found.signal, found.owner, found.group) == ("other.service", "", "root", "adm")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            {"paths": ["/etc/app.log"]},
            r"holds /etc/app.log, which is outside log_rotation_roots \(/var/log\)",
        ),
        ({"paths": ["/var/log/../../etc/x.log"]}, "without dots"),
        ({"paths": ["var/log/x.log"]}, "absolute path"),
        ({"paths": ['/var/log/a"b.log']}, "quotes"),
        ({"paths": ["/var/log/a\n/etc/b.log"]}, "absolute path"),
        ({"paths": ["/var/log/app.log*"]}, "finds the rotated files as well"),
        ({"paths": ["/var/log/*"]}, "finds the rotated files as well"),
        ({"paths": []}, "at least one path"),
        ({"paths": None}, "at least one path"),
        ({"name": "../x"}, "lower-case letters"),
        ({"kind": "oracle"}, "Invalid enum value 'oracle'"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"keep_days": -1}, "keep_days is -1"),
        ({"keep_days": "many"}, "Expected `int"),
        ({"keep_days": 3}, "less than compress_after_days"),
        ({"max_size_mib": 0}, "max_size_mib is 0"),
        ({"mode": "0666"}, "lets everybody write"),
        ({"mode": "rw"}, "three octal digits"),
        ({"owner": "app"}, "go together"),
        ({"owner": "a b", "group": "adm"}, "the name of a user"),
        ({"reopens": None}, "nothing tells the writer"),
        ({"service": "a"}, "service and reopens exclude each other"),
        ({"reopens": None, "service": "a; rm -rf /"}, "name of a systemd unit"),
        ({"signal": "HUP"}, "signal needs a service"),
        ({"reopens": None, "command": ["/no/such/program"]}, "no program of this host"),
        ({"reopens": None, "command": ["true"]}, "no program of this host"),
        ({"reopens": None, "command": ["/bin/sh", "a\nb"]}, "control character"),
        ({"reopens": None, "copytruncate": True}, "loses the lines .* allow_lost_lines: true"),
        ({"copytruncate": True, "allow_lost_lines": True}, "exclude each other"),
        ({"kind": "container"}, "max-size and max-file"),
        ({"replaces": "/etc/passwd"}, "only files of /etc/logrotate.d"),
    ],
)
def test_what_is_refused(entry: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        read({**APP, **entry})
    assert str(caught.value).startswith("log_rotation_stanzas[0] (")
    assert "\n" not in str(caught.value)


def test_names_and_paths_are_declared_once() -> None:
    with pytest.raises(ConfigurationError, match="name of another"):
        read(APP, {**APP, "paths": ["/var/log/b.log"]})
    with pytest.raises(ConfigurationError, match="declared twice, by app and b"):
        read(APP, {**APP, "name": "b"})


@pytest.mark.parametrize("root", ["/", "/var", "/etc", "relative", "/var/log/", "/var/*", "/srv/../etc"])
def test_odd_roots_are_refused(root: str) -> None:
    with pytest.raises(ConfigurationError, match="log_rotation_roots holds"):
        read(APP, roots=(root,))


def test_a_link_does_not_lead_out_of_the_roots(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/out").symlink_to("/etc")
    with pytest.raises(ConfigurationError, match=r"really in /etc\), which is outside"):
        read({**APP, "paths": [f"{tmp_path}/logs/out/*.log"]}, roots=(f"{tmp_path}/logs",))
    (tmp_path / "link").symlink_to(tmp_path / "logs")
    with pytest.raises(ConfigurationError, match=r"really in /etc\), which is outside"):
        read({**APP, "paths": [f"{tmp_path}/logs/*/*.log"]}, roots=(f"{tmp_path}/logs",))
    with pytest.raises(ConfigurationError, match="which is a link"):
        read({**APP, "paths": [f"{tmp_path}/link/*.log"]}, roots=(f"{tmp_path}/link",))


@pytest.mark.parametrize(
    ("path", "log"),
    [
        ("/l/a.log-20260101-000000", "/l/a.log"),
        ("/l/a.log-20260101-000000.gz", "/l/a.log"),
        ("/l/a.log-20260101", "/l/a.log"),
        ("/l/a.log.1", "/l/a.log"),
        ("/l/a.log.12.gz", "/l/a.log"),
        ("/l/a.log.1440", "/l/a.log"),
        ("/l/sales.log.2024", ""),
        ("/l/sales.log.1999.gz", ""),
        ("/l/a.log", ""),
        ("/l/a.log.old", ""),
        ("/l/.1", ""),
    ],
)
def test_the_log_that_a_file_was_rotated_from(path: str, log: str) -> None:
    assert paths.original(path) == log


def test_patterns_as_logrotate_reads_them() -> None:
    assert paths.matches("/var/log/a/x.log", "/var/log/*/*.log")
    assert not paths.matches("/var/log/a/b/x.log", "/var/log/*/*.log")
    assert not paths.matches("/var/log/.x.log", "/var/log/*.log")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: st.one_of(
                st.none(), st.booleans(), st.integers(), st.text(max_size=30), st.lists(st.text(max_size=9))
            )
            for key in ("name", "kind", "paths", "frequency", "owner", "group", "mode", "su", "service",
                        "command",
                        "signal", "reopens", "copytruncate", "keep_days", "replaces", "max_size_mib")
        },
    )
)  # fmt: skip
def test_whatever_is_declared_there_is_a_stanza_or_one_sentence(entry: dict[str, Any]) -> None:
    for odd in (entry, {**APP, **entry}):
        try:
            found = read(odd)
        except ConfigurationError:
            continue
        written = stanzas.render(found[0], keeper="/opt/python", archived=False)
        assert written.isprintable() or written.replace("\n", "").isprintable()
        assert written.count("{\n") == 1
