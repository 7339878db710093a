"""What dpkg, apt and the kernel say is read as it is meant, and nothing they say ends in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.hosts.patching import checks, needrestart, parse
from courtkeeper.hosts.patching.model import Plan, convert

SECURITY = "http://mirror.example.net/debian-security bookworm-security/main amd64 Packages"
MAIN = "http://mirror.example.net/debian bookworm/main amd64 Packages"
RELEASES = f"""Package files:
 100 /var/lib/dpkg/status
     release a=now
 500 {MAIN}
     release v=12.15,o=Debian,a=oldstable,n=bookworm,l=Debian,c=main,b=amd64
     origin mirror.example.net
 500 {SECURITY}
     release v=12,o=Debian,a=oldstable-security,n=bookworm-security,l=Debian-Security,c=main,b=amd64
 500 file:/srv/x ./ Packages
     release o=A,l=One, Two,a=x,c=
Pinned packages:
"""
POLICY = f"""perl:
  Installed: 5.36.0-7+deb12u3
  Candidate: 5.36.0-7+deb12u4
  Version table:
     5.36.0-7+deb12u4 500
        500 {SECURITY}
 *** 5.36.0-7+deb12u3 500
        500 {MAIN}
        100 /var/lib/dpkg/status
nothing:
  Installed: (none)
  Candidate: (none)
  Version table:
"""
SIMULATION = """Inst libc6 [2.36-9] (2.36-9+deb12u8 Debian:12/stable, Debian-Security:12/x [amd64]) []
Inst new:i386 (1:2.0 A B:1/x [i386])
Inst bare [1.0] (2.0)
Remv old [1.0]
Conf libc6 (2.36-9+deb12u8 Debian:12/stable [amd64])
"""
MAPS = """55e0-55e1 r--p 00000000 fe:00 12 /usr/sbin/cron
55e1-55e2 r-xp 00000000 fe:00 12 /usr/sbin/cron
7f00-7f01 r-xp 00000000 fe:00 13 /lib/x86_64-linux-gnu/libc.so.6 (deleted)
7f01-7f02 r-xp 00000000 00:01 14 /memfd:x (deleted)
7f02-7f03 r--p 00000000 00:01 15 /usr/lib/locale/locale-archive (deleted)
7ffe-7fff r-xp 00000000 00:00 0 [vdso]
"""
KEPT = """Setting up demo (2.0) ...

Configuration file '/etc/demo.conf'
 ==> Modified (by you or by a script) since installation.
 ==> Package distributor has shipped an updated version.
 ==> Keeping old config file as default.
"""


def test_packages_carry_an_architecture_only_if_it_is_foreign() -> None:
    text = "a-b\tamd64\t1:2.0\tii \t12\nlib\ti386\t1\tii \t\nall\tall\t3\thi \t7\ngone\tamd64\t\trc \t1\n"
    found = parse.installed(text, "amd64")
    assert sorted(found) == ["a-b", "all", "gone", "lib:i386"]
    assert (found["a-b"].version, found["a-b"].size_kib, found["all"].state) == ("1:2.0", 12, "hi ")


def test_repositories_are_known_by_their_release_file() -> None:
    found = parse.releases(RELEASES)
    assert str(found[SECURITY]) == "Debian-Security:oldstable-security"
    assert str(found["file:/srv/x ./ Packages"]) == "One, Two:x"


def test_versions_come_with_their_repositories() -> None:
    found = parse.policies(POLICY)
    assert found["perl"].candidate == "5.36.0-7+deb12u4"
    assert found["perl"].versions["5.36.0-7+deb12u3"] == [MAIN, "/var/lib/dpkg/status"]
    assert found["nothing"].installed == ""


def test_a_simulation_names_upgrades_new_packages_and_removals() -> None:
    found = parse.simulated(SIMULATION)
    assert found.installs == {"libc6": "2.36-9+deb12u8", "new:i386": "1:2.0", "bare": "2.0"}
    assert found.removes == ["old"]


def test_only_executed_files_of_packages_count_as_replaced() -> None:
    assert parse.mapped(MAPS) == ({"/usr/sbin/cron"}, {"/usr/lib/x86_64-linux-gnu/libc.so.6"})


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/cron.service\n", "cron.service"),
        (
            "12:pids:/x\n1:name=systemd:/system.slice/system-pg.slice/pg@15-main.service\n",
            "pg@15-main.service",
        ),
        ("0::/system.slice/web.service/worker\n", "web.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        # Others' managers have services of their own, of the same names at times.
        ("0::/user.slice/user-1.slice/user@1.service/app.slice/web.service\n", "user@1.service"),
        ("0::/lxc.payload.web/system.slice/nginx.service\n", ""),
        ("0::/machine.slice/systemd-nspawn@a.service/payload/web.service\n", "systemd-nspawn@a.service"),
        ("0::/system.slice/docker-0123.scope/system.slice/nginx.service\n", ""),
        ("0::/init.scope\n", ""),
        ("4:memory:/system.slice/cron.service\n", ""),
    ],
)
def test_a_process_belongs_to_a_service_of_this_host(text: str, unit: str) -> None:
    assert parse.unit_of(text) == unit


def test_units_and_init_scripts_are_services() -> None:
    paths = ["/usr/lib/systemd/system/pg@.service", "/etc/init.d/x", "/usr/bin/y.service", "/etc/init.d/a/b"]
    assert parse.units_in(paths) == {"pg@.service", "x.service"}


def test_a_configuration_file_that_was_kept_is_seen() -> None:
    assert parse.kept_files(KEPT) == ["/etc/demo.conf"]
    assert parse.kept_files("Configuration file '/etc/a'\n ==> Using new file as you requested.\n") == []


def test_sizes_are_read_from_every_stanza() -> None:
    text = "Package: a\nVersion: 1\nInstalled-Size: 10\nSize: 2048\nDescription: x\n y\n\n"
    text += "Package: b\nVersion: 2\n"
    assert parse.sizes(text) == {("a", "1"): (2048, 10), ("b", "2"): (0, 0)}


NEEDRESTART = """NEEDRESTART-VER: 3.6
NEEDRESTART-KCUR: 6.1.0-28-amd64
NEEDRESTART-KEXP: 6.1.0-30-amd64
NEEDRESTART-KSTA: 3
NEEDRESTART-UCSTA: 2
Use of uninitialized value in perl
NEEDRESTART-SVC: cron.service
NEEDRESTART-SVC: getty@tty1.service
NEEDRESTART-SVC: oldstyle
NEEDRESTART-SVC: --now
NEEDRESTART-SESS: root @ session #28017
"""


def test_needrestart_names_services_and_why_to_reboot() -> None:
    assert needrestart.parse(NEEDRESTART) == needrestart.Advice(
        ["cron.service", "getty@tty1.service", "oldstyle.service"],
        "kernel 6.1.0-30-amd64 is installed and 6.1.0-28-amd64 runs and newer microcode is installed",
    )
    calm = NEEDRESTART.replace("KSTA: 3", "KSTA: 1").replace("UCSTA: 2", "UCSTA: 1")
    assert needrestart.parse(calm).reboot == ""


PARSERS: list[tuple[Callable[[str], Any], str]] = [
    (lambda text: parse.installed(text, "amd64"), "a\tamd64\t1\tii \t1\n"),
    (lambda text: parse.names(text, "amd64"), "adduser\nlibc6:i386\n"),
    (parse.releases, RELEASES),
    (parse.policies, POLICY),
    (parse.simulated, SIMULATION),
    (parse.sizes, "Package: a\nVersion: 1\nSize: 1\n\n"),
    (parse.files, "/.\n/usr\n/usr/bin/x\n\n/.\n"),
    (parse.mapped, MAPS),
    (parse.unit_of, "0::/system.slice/cron.service\n"),
    (parse.kept_files, KEPT),
    (parse.properties, "Id=a\nActiveState=active\n\nId=b\n"),
    (needrestart.parse, NEEDRESTART),
    (checks.window, "Mon-Fri,Sun 22:00-04:00"),
]


@pytest.mark.parametrize(("parser", "good"), PARSERS)
@given(data=st.data())
def test_whatever_is_said_gives_a_value_or_one_sentence(
    parser: Callable[[str], Any], good: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(good)))
    junk = data.draw(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("utf-8", "replace"))))
    more = data.draw(st.sampled_from(["", good, "9" * 5000, "\n" * 2000, " 500 x" * 500]))
    with suppress(CourtkeeperError):
        parser(good[:cut] + junk + more)


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_a_plan_that_is_none_is_refused_in_one_sentence(junk: object) -> None:
    with suppress(ConfigurationError):
        assert isinstance(convert(junk, Plan, "The plan"), Plan)


def test_a_plan_with_a_change_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"The plan cannot be used: .*changes"):
        convert({"changes": [{"name": 1}]}, Plan, "The plan")
