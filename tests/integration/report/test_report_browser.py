"""The report in a real browser: it loads alone, fits, can be heard, and prints."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.report import samples

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: dev)")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)"),
    pytest.mark.slow,
]

WIDTHS = (320, 400, 700, 1280)  # 320 is what WCAG 1.4.10 (reflow) asks for


# The browser lives as long as this module only: playwright's loop would be in the way of others.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.stem: path for path in samples.main(tmp_path_factory.mktemp("reports"))}


@pytest.fixture
def tab(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    yield opened
    context.close()


@pytest.mark.parametrize("name", samples.ALL)
def test_loads_alone_and_fits_at_every_width(tab, pages, name):
    requests: list[str] = []
    complaints: list[str] = []
    tab.on("request", lambda r: requests.append(r.url))
    tab.on("console", lambda m: complaints.append(m.text))
    tab.on("pageerror", lambda e: complaints.append(str(e)))
    tab.on("dialog", lambda d: (complaints.append(d.message), d.dismiss()))
    url = pages[name].as_uri()
    tab.goto(url)
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    # Every width in light, and the narrowest in dark: colours move nothing, and each look costs a drawing.
    for width, scheme in [*((each, "light") for each in reversed(WIDTHS)), (WIDTHS[0], "dark")]:
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
    assert [r for r in requests if r not in {url, "data:,"}] == []
    assert complaints == []
    assert tab.evaluate("document.scripts.length + document.images.length") == 0


def test_follows_the_reader_s_scheme_and_prints_light(tab, pages):
    tab.goto(pages["mixed_night"].as_uri())
    paper = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(paper) == "rgb(255, 255, 255)"
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate(paper) == "rgb(19, 21, 24)"
    tab.emulate_media(color_scheme="dark", media="print")
    assert tab.evaluate(paper) == "rgb(255, 255, 255)"


def test_can_be_heard(tab, pages):
    tab.goto(pages["recorded_night"].as_uri())
    assert tab.get_by_role("heading", level=1).inner_text().startswith("Finished with 1 critical finding")
    for landmark in ("banner", "main", "contentinfo", "navigation"):
        assert tab.get_by_role(landmark).count() == 1, landmark
    assert tab.get_by_role("img", name="ATL at CHA: lead over time").count() == 1
    assert tab.get_by_role("img", name="Completeness per game").count() == 1
    assert tab.get_by_role("rowheader", name="NYK @ PHI (0022500777)").count() == 1


def test_cards_on_a_phone_are_still_a_table(tab, pages):
    tab.goto(pages["mixed_night"].as_uri())
    counts = []
    for width in (1280, 400):
        tab.set_viewport_size({"width": width, "height": 900})
        table = tab.get_by_role("table", name="Games that were loaded")
        counts.append(
            [table.get_by_role(role).count() for role in ("row", "columnheader", "rowheader", "cell")]
        )
    assert counts[0] == counts[1]
    assert counts[0][0] >= 17


def test_every_part_can_be_reached_by_keyboard(tab, pages):
    tab.goto(pages["second_run"].as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the report"
    tab.keyboard.press("Enter")
    tab.locator("#games summary").focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#games details").get_attribute("open") is not None
    assert tab.locator("#games details table").get_by_text("0022500477").is_visible()


@pytest.mark.parametrize("name", ["mixed_night", "hostile", "failed"])
def test_prints_on_a4(tab, pages, name, tmp_path):
    tab.goto(pages[name].as_uri())
    tab.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    # What is wider than the paper would shrink the page: A4 is 794 px at 96 dpi, less the margins.
    tab.emulate_media(media="print")
    tab.set_viewport_size({"width": 794 - 106, "height": 1000})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 794 - 106
