"""logrotate's files, the journal's sizes and /proc: read as they are, and never a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.logs import config, journal, look, opened, status
from support.examples import examples

NGINX = """\
/var/log/nginx/*.log "/srv/with space/x.log" {
	daily
	rotate=14
	create 0640 www-data adm
	prerotate
		if [ -d /etc/logrotate.d/httpd-prerotate ]; then \\
			run-parts /etc/logrotate.d/httpd-prerotate; \\
		fi }
	endscript
	postrotate
		invoke-rc.d nginx rotate >/dev/null 2>&1
	endscript
}
"""
MAIN = """\
# see "man logrotate" for details
weekly
rotate 4
tabooext + .local
include {directory}
/var/log/a.log
/var/log/b.log
{{ missingok }}
"""


def test_a_stanza_of_debian() -> None:
    (block,) = config.parse(NGINX, "nginx").blocks
    assert block.patterns == ["/var/log/nginx/*.log", "/srv/with space/x.log"]
    assert block.directives == {"daily": "", "rotate": "14", "create": "0640 www-data adm"}
    assert block.scripts["postrotate"] == "invoke-rc.d nginx rotate >/dev/null 2>&1"


def test_the_configuration_as_a_whole(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    (directory / "good").write_text("/var/log/c.log {\n}\n")
    (directory / "writable").write_text("/var/log/d.log {\n}\n")
    (directory / "broken").write_text("/var/log/e.log {\n")
    for name in ("x.disabled", "x.local", ".hidden", "x.dpkg-old"):
        (directory / name).write_text("/var/log/never.log {\n}\n")
    main = tmp_path / "main"
    main.write_text(MAIN.format(directory=directory))
    for path in (main, *directory.iterdir()):
        path.chmod(0o644)
    (directory / "writable").chmod(0o666)
    found = config.load(str(main), lambda s: "its group or others can write it" if s.st_mode & 0o22 else "")
    assert [block.patterns for block in found.blocks] == [
        ["/var/log/a.log", "/var/log/b.log"],
        ["/var/log/c.log"],
    ]
    assert found.blocks[0].directives == {"missingok": ""}
    assert {Path(path).name: reason for path, reason in found.ignored} == {
        "writable": "its group or others can write it",
        "broken": f"{directory}/broken:1 opens a stanza that is never closed",
    }
    assert found.globals == {"weekly": "", "rotate": "4"}


def test_an_include_of_itself_ends(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.write_text(f"include {main}\ninclude {tmp_path}/missing\n")
    found = config.load(str(main), lambda _status: "")
    assert [reason for _, reason in found.ignored] == ["it cannot be read: No such file or directory"]


def test_the_status_file() -> None:
    text = 'logrotate state -- version 2\n"/var/log/a \\"b\\".log" 2026-11-2-4:26:57\n"/var/log/c" 2026-1-2\n'
    assert status.parse(text) == {
        '/var/log/a "b".log': datetime.fromisoformat("2026-11-02 04:26:57"),
        "/var/log/c": datetime.fromisoformat("2026-01-02"),
    }


@pytest.mark.parametrize(
    "text",
    ["", "rubbish", "logrotate state -- version 9\n", 'logrotate state -- version 2\n"/a" 2026-13-1\n',
     'logrotate state -- version 2\n/a 2026-1-1\n'],
)  # fmt: skip
def test_a_damaged_status_file_is_named(text: str) -> None:
    with pytest.raises(status.StatusError, match="status file of logrotate"):
        status.parse(text)


def test_the_journal() -> None:
    assert journal.usage("Archived and active journals take up 16.0M in the file system.") == 16 * 2**20
    assert journal.usage("odd") is None
    assert journal.limit("[Journal]\n#SystemMaxUse=1G\nSystemMaxUse=50M\n") == 50 * 2**20
    assert journal.limit("[Journal]\n") is None
    name = "system@0123456789abcdef0123456789abcdef-00000000000000a1-00061b2c00000000.journal"
    assert journal.first_entry(name) == pytest.approx(0x61B2C00000000 / 1e6)
    assert journal.first_entry("system.journal") is None


def test_complaints_of_logrotate_are_told_apart() -> None:
    said = "error: error running script for '/a.log'error: b\nrotating pattern: /x\nerror: c\n"
    assert look.complaints(said) == ["error running script for '/a.log'", "b", "c"]


def test_the_unit_of_a_process() -> None:
    assert opened.unit_of("0::/system.slice/nginx.service\n") == "nginx.service"
    assert opened.unit_of("0::/user.slice/user-0.slice/session-1.scope") == "session-1.scope"
    assert opened.unit_of("0::/\n") == ""


def test_our_own_open_files_are_seen(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as a, (tmp_path / "b").open("w+") as b:
        b.write("x" * 5000)
        b.flush()
        (tmp_path / "b").unlink()
        found = {each.path: each for each in opened.scan().files if each.pid == os.getpid()}
        assert found[a.name].written
        assert not found[a.name].deleted
        assert found[b.name].deleted
        assert found[b.name].held_bytes >= 5000
    with (tmp_path / "a").open() as a:
        assert not next(e for e in opened.scan().files if e.pid == os.getpid() and e.path == a.name).written


ODD = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "replace")),
    st.lists(
        st.sampled_from([
            "/a/*.log", "{", "}", "\n", " ", "postrotate", "endscript", "include /x", "tabooext +", '"', "'",
            "#", "daily", "rotate 4", "size=", "=", "\\", "\0", "logrotate state -- version 2\n",
            '"/a" 2026-1-1', "99999999999999999999", "SystemMaxUse=",
             "1e999G", "take up 1.1.1M ", "flags: 077777777777777",
        ]),
        max_size=30,
    ).map("".join),
)  # fmt: skip


@examples(300)
@given(ODD)
def test_whatever_a_tool_says_a_parser_gives_a_value_or_one_sentence(text: str) -> None:
    for parse in (lambda t: config.parse(t, "x"), status.parse):
        with suppress(CourtkeeperError):
            parse(text)
    journal.usage(text)
    journal.limit(text)
    journal.first_entry(text)
    opened.flags(text)
    opened.unit_of(text)
    look.complaints(text)


@pytest.mark.parametrize("size", [2**20, 2**22])
def test_a_huge_file_is_refused_and_not_read_for_ever(size: int) -> None:
    with pytest.raises(CourtkeeperError):
        config.parse("/a " * size, "x")
    with pytest.raises(CourtkeeperError):
        status.parse('logrotate state -- version 2\n"' + "\\" * size)


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")
def test_what_we_read_logrotate_accepts(tmp_path: Path) -> None:
    file = tmp_path / "nginx"
    file.write_text(NGINX.replace("www-data adm", "root root"))
    file.chmod(0o644)
    done = subprocess.run(
        ["/usr/sbin/logrotate", "-d", "-s", "/dev/null", file], capture_output=True, text=True, check=False
    )
    assert "unexpected" not in done.stderr
    assert "rotating pattern: /var/log/nginx/*.log" in done.stderr
