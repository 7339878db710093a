"""`make picture`: docs/report.png, the README's picture, from a real run on a simulated night.

One game's final score is published wrong on purpose, so that the picture shows a quarantine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.checkout import checkout  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
PICTURE = ROOT / "docs" / "report.png"
SIZE = {"width": 1180, "height": 1480}


def main() -> None:
    """Run a night and photograph its report."""
    with (
        tempfile.TemporaryDirectory() as directory,
        checkout(Path(directory) / "courtkeeper", feed_kind="simulated") as here,
        sync_playwright() as playwright,
    ):
        games = here.feed.get("/static/json/staticData/scheduleLeagueV2.json").json()
        wrong = games["leagueSchedule"]["gameDates"][0]["games"][4]["gameId"]
        here.feed.set_faults([{"kind": "wrong_score", "match": {"game_id": wrong}}])
        _, record, _ = here.refresh()
        report = here.root / "var" / "runs" / record["run_id"] / "report.html"
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(report.as_uri())
        page.screenshot(path=PICTURE)
        browser.close()
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)} written\n")


if __name__ == "__main__":
    main()
