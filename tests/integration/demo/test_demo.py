"""`make demo` as a newcomer meets it: from nothing, a second time, and behind a proxy that is dead."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from support.checkout import ROOT, Checkout, checkout, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DEAD = "http://127.0.0.1:9"  # nothing listens on the discard port


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A copy of the checkout without recorded games; its platform goes with its data at the end."""
    with checkout(tmp_path_factory.mktemp("demo") / "checkout") as made:
        shutil.copytree(ROOT / "tools", made.root / "tools")
        yield made


def demo(here: Checkout, **more: str) -> tuple[str, dict[str, Any]]:
    """Run the demo; what it printed, on one line, and the record of its run."""
    done = subprocess.run(
        [sys.executable, here.root / "tools/demo.py"],
        cwd=here.root.parent,  # it finds its checkout by itself
        env={**environment(), "COLUMNS": "200", **more},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, said + done.stderr
    reports = re.findall(r"Report: (var/runs/\S+/report\.html)", said)
    # The command's own line and the demo's name the same page.
    assert len(reports) == 2, said
    assert reports[0] == reports[1]
    page = here.root / reports[0]
    assert "Simulated." in page.read_text("utf-8")
    return said, json.loads((page.parent / "run.json").read_text())


def outcomes(record: dict[str, Any]) -> set[str]:
    return {game["outcome"] for game in record["details"]["games"]}


@pytest.fixture(scope="module")
def first(here: Checkout) -> tuple[str, dict[str, Any]]:
    return demo(here)


def test_the_first_run_loads_a_simulated_night_and_says_so(first: tuple[str, dict[str, Any]]) -> None:
    said, record = first
    assert "a simulated night: no recorded games on this machine" in said
    assert "The refresh ran on simulated games" in said
    assert ", changed, " in said
    assert record["status"] == "ok"
    assert record["changed"]
    assert outcomes(record) == {"loaded"}


def test_the_second_run_changes_nothing_and_says_so(
    here: Checkout, first: tuple[str, dict[str, Any]]
) -> None:
    said, record = demo(here)
    assert "nothing changed" in said
    assert not record["changed"]
    assert record["run_id"] != first[1]["run_id"]
    assert outcomes(record) == {"unchanged"}


def test_a_proxy_that_is_dead_is_not_asked_for_what_is_on_this_machine(
    here: Checkout, first: tuple[str, dict[str, Any]]
) -> None:
    assert here.cli("platform", "down").returncode == 0  # so that every part starts behind it too
    names = ("http_proxy", "https_proxy", "all_proxy")
    proxies = {spelled: DEAD for name in names for spelled in (name, name.upper())}
    said, record = demo(here, **proxies, no_proxy="", NO_PROXY="")
    assert "nothing changed" in said
    # Read again from the feed, and not left as it was because the feed could not be asked.
    assert outcomes(record) == {"unchanged"}
