"""The dashboard in a real browser: it fits, can be heard and driven by keys, works without JavaScript."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sites import HOSTILE, RUNNING, UNDOABLE, Scene

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: dev)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)"),
    pytest.mark.slow,
]
CHECKS = Scene.checks_id(3)
PAGES = {
    "today": "/",
    "calendar": "/calendar",
    "day": "/calendar/2026-03-05",
    "jobs": "/jobs",
    "job": "/jobs/x/patching",
    "job with trends": "/jobs/x/drift",
    "runs": "/runs",
    "run": f"/runs/{CHECKS}",
    "undo": f"/runs/{CHECKS}/undo/{UNDOABLE}",
    "running": f"/runs/{RUNNING}",
    "findings": "/findings?state=all",
    "finding": "/findings/1",
    "kpis": "/kpis",
    "audit": "/audit",
    "error": "/nothing",
}
WIDTHS = (320, 700, 1280)  # 320 is what WCAG 1.4.10 (reflow) asks for
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def tab(browser, local) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=local.url)
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    opened.complaints = []
    opened.on(
        "console", lambda m: opened.complaints.append(m.text) if m.type in {"error", "warning"} else None
    )
    opened.on("pageerror", lambda e: opened.complaints.append(str(e)))
    opened.on("dialog", lambda d: (opened.complaints.append(d.message), d.dismiss()))
    yield opened
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_fits_and_keeps_nobody_out(tab, local, name):
    from axe_playwright_python.sync_playwright import Axe

    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(PAGES[name])
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
    for scheme, width in (("light", 1280), ("dark", 320)):
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 900})
        found = Axe().run(tab, options={"resultTypes": ["violations"]})
        assert found.response["violations"] == [], f"{scheme} {width}\n{found.generate_report()}"
    assert all(url.startswith((local.url, "data:")) for url in asked)
    assert [text for text in tab.complaints if "404" not in text] == []


def test_can_be_heard(tab):
    tab.goto("/")
    for landmark in ("banner", "main", "contentinfo", "navigation"):
        assert tab.get_by_role(landmark).count() == 1, landmark
    assert tab.get_by_role("heading", level=1).inner_text().startswith("1 failed job, 1 critical finding")
    assert tab.get_by_role("link", name="Today").get_attribute("aria-current") == "page"
    assert tab.get_by_role("button", name=re.compile("Approve patching of Thu 5 Mar 2026")).count() == 1
    tab.goto("/jobs/x/checks")
    picture = tab.get_by_role("img", name="How long checks took")
    assert "over 48 values" in picture.evaluate("svg => svg.querySelector('desc').textContent")


def test_everything_can_be_done_by_keys(tab, local):
    tab.goto("/jobs/x/checks")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the page"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    tab.get_by_label("Change nothing, only say what would change").focus()
    tab.keyboard.press("Space")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Run now"
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/jobs/x/checks?said=asked")
    assert "Asked for" in tab.get_by_role("status").first.inner_text()
    (slot,) = [slot for slot in local.scene.store.slots.open() if slot.trigger == "request"]
    assert slot.job == "checks"


def test_reads_and_works_without_javascript(browser, local):
    context = browser.new_context(java_script_enabled=False, base_url=local.url)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    for path in PAGES.values():
        page.goto(path)
        assert page.get_by_role("heading", level=1).count() == 1, path
    page.goto(f"/runs/{RUNNING}")
    assert HOSTILE in page.get_by_role("log").inner_text()
    page.goto("/jobs/x/reports")
    page.get_by_label("Why").fill("no scripts here")
    page.get_by_role("button", name="Hold").click()
    page.wait_for_url("**?said=held")
    assert "no scripts here" in page.get_by_role("main").inner_text()
    page.get_by_role("button", name="Release").click()
    page.wait_for_url("**?said=released")
    context.close()


def test_a_log_goes_on_by_itself_to_its_end(tab, local):
    recording = local.scene.store.recording
    tab.goto(f"/runs/{RUNNING}")
    log = tab.get_by_role("log")
    recording.output(RUNNING, 1, ["second batch", "<b>bold</b>", "", "event: ended"])
    log.get_by_text("second batch").wait_for()
    recording.output(RUNNING, 2, ["the last line"])
    local.scene.end_running()
    tab.get_by_text("It has ended: OK.").wait_for()
    said = log.inner_text()
    assert said.count("PLAY [reports]") == said.count("second batch") == said.count("the last line") == 1
    assert "<b>bold</b>\n\nevent: ended\nthe last line" in said
    assert tab.complaints == []


def test_a_page_says_when_something_has_changed(tab, local):
    tab.goto("/")
    tab.get_by_role("link", name="Jobs").focus()  # somebody is using it: it is not loaded again under him
    local.scene.store.people.log("somebody", "hold", at=local.scene.now, subject="x")
    tab.get_by_text("Something has changed since this page was made.").wait_for()
    assert tab.evaluate("document.activeElement.textContent") == "Jobs"


def test_signing_in_and_out(browser, guarded, tmp_path: Path):
    context = browser.new_context(base_url=guarded.url)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto("/runs?job=checks")
    page.get_by_label("Your token").fill(guarded.tokens["vic"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs?job=checks")
    assert page.get_by_text("vic, viewer").count() == 1
    assert guarded.tokens["vic"] not in page.url
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    context.close()
