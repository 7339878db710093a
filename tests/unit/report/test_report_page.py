"""The page as HTML: complete, valid, self-contained, accessible, escaped, bounded and the same each time."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from courtkeeper.findings import CourtkeeperError
from courtkeeper.report import page, render, write_report
from courtkeeper.runner.record import RunStatus
from unit.report import samples

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "source", "base", "col"}
CSS = (Path(page.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Reads a page strictly: what is opened must be closed, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in {self.get_starttag_text()}"
        self.elements.append((tag, dict(attrs), tuple(t for t, _ in self.open)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), tuple(t for t, _ in self.open)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "style":
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, *tags: str):
        return [(tag, attrs, path) for tag, attrs, path in self.elements if tag in tags]


@pytest.fixture(scope="module")
def outlines():
    return {name: Outline(render(build())) for name, build in samples.ALL.items()}


def outline(build) -> Outline:
    return Outline(render(build()))


every = pytest.mark.parametrize("name", samples.ALL)


@every
def test_nothing_is_loaded_and_nothing_can_run(outlines, name):
    o = outlines[name]
    for tag, attrs, _ in o.elements:
        assert tag not in {"script", "img", "iframe", "object", "embed", "form", "base", "image"}
        for key, value in attrs.items():
            assert not key.startswith("on"), (tag, key)
            assert key not in {"style", "srcset", "srcdoc", "action"}, (tag, key)
            if key in {"src", "href", "xlink:href"}:
                assert value is not None
                assert value.startswith("#") or value == "data:,", (tag, value)
    assert not re.search(r"url\(|@import|expression\(", o.style)


@every
def test_the_policy_forbids_what_the_page_does_not_need(outlines, name):
    policy = [a["content"] for _, a, _ in outlines[name].all("meta") if "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


@every
def test_landmarks_and_headings(outlines, name):
    o = outlines[name]
    assert len(o.all("h1")) == len(o.all("main")) == len(o.all("nav")) == len(o.all("footer")) == 1
    levels = [int(tag[1]) for tag, _, _ in o.all("h1", "h2", "h3", "h4")]
    assert all(b - a <= 1 for a, b in pairwise(levels)), levels
    assert o.elements[0][0] == "html"
    assert o.elements[0][1]["lang"] == "en"


@every
def test_ids_are_unique_and_references_lead_somewhere(outlines, name):
    o = outlines[name]
    ids = [a["id"] for _, a, _ in o.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attrs, _ in o.elements:
        for key in ("aria-labelledby", "aria-describedby"):
            assert set((attrs.get(key) or "").split()) <= set(ids)
        if (attrs.get("href") or "").startswith("#"):
            assert attrs["href"][1:] in ids


@every
def test_tables_and_pictures_can_be_heard(outlines, name):
    o = outlines[name]
    assert all("scope" in attrs for _, attrs, _ in o.all("th"))
    assert len(o.all("caption")) == len(o.all("table"))
    for _, attrs, _ in o.all("svg"):
        if attrs.get("role") == "img":
            assert attrs["aria-labelledby"]
            assert attrs["aria-describedby"]
        else:
            assert attrs["aria-hidden"] == "true"


@every
def test_the_same_record_gives_the_same_page(name):
    assert render(samples.ALL[name]()) == render(samples.ALL[name]())


@every
def test_every_state_has_its_word(outlines, name):
    """A colour is never the only signal: whatever has a status class also has text or a hidden word."""
    o = outlines[name]
    badges = [a for _, a, _ in o.all("span") if "badge" in (a.get("class") or "")]
    assert badges
    uses = o.all("use")
    assert all(
        a["href"].removeprefix("#i-") in {"ok", "warn", "crit", "unknown", "skipped"} for _, a, _ in uses
    )


def test_a_recorded_night_has_everything():
    text = outline(samples.recorded_night).text
    for wanted in (
        "Finished with 1 critical finding: 2 of 3 games are good, 1 is missing.",
        "inventory/embedded",
        "Thu 12 Feb 2026, 11:00:04 UTC",
        "Thu 12 Feb 2026, 06:00:04 EST (America/New_York)",
        "NYK @ PHI (0022500777)",
        "To mend",
        "nba.game.missing",
        "3 checks are ok",
        "107–110",  # noqa: RUF001 a score as it is written
        "603",
        "641 / 0 / 0",
        "answers 404 for its play-by-play.",
        "Invalidated 7 keys of the cache",
        "-0022500775 absent",
        "+0022500775 ATL 107 CHA 110",
        "quality gate",
        "Refresh the games",
        "20260212T110004Z-nba_refresh-1a2b",
        "run.json",
        "3 (finished with critical findings)",
    ):
        assert wanted in text, wanted
    assert "Simulated" not in text
    assert "this is a plan" not in text


def test_the_missing_game_is_unknown_everywhere():
    html = render(samples.recorded_night())
    row = html.split("0022500777</span>", 1)[1].split("</tr>", 1)[0]
    assert row.count("unknown</td>") == 4
    assert "100" not in row


def test_banners():
    assert "These games were made by a simulator" in outline(samples.simulated_night).text
    plan = outline(samples.check_mode).text
    assert "Nothing was changed: this is a plan." in plan
    assert "What would change" in plan
    assert "would load" in plan


def test_simulated_is_said_for_any_job_and_whatever_else_is_broken():
    record = samples.generic()
    record.details = {"simulated": True}
    assert "never played" in Outline(render(record)).text
    record = samples.simulated_night()
    record.details = {"simulated": True, "games": "rubbish", "steps": 7}
    assert "never played" in Outline(render(record)).text


def test_failure_stands_on_top_with_what_to_do():
    text = outline(samples.failed).text
    assert text.index("What went wrong") < text.index("How long it took")
    assert "Start the database" in text
    assert "Connection refused" in text
    assert "courtkeeper run nba_refresh -i inventory/embedded" in text
    assert "Nothing was changed" not in text, "a run that broke off cannot know that"


def test_what_was_done_before_a_failure_is_shown():
    record = samples.recorded_night()
    record.status, record.message = RunStatus.FAILED, "The database went away."
    text = outline(lambda: record).text
    assert "Before that, 3 actions were done: see “What changed” below." in text
    assert "Loaded ATL @ CHA (0022500775): 641 rows inserted" in text
    assert "107–110" in text  # noqa: RUF001 a score as it is written
    assert "NYK @ PHI (0022500777)" in text
    record.actions, record.diffs = [], []
    text = outline(lambda: record).text
    assert "Something may have been changed before that, but no action was recorded." in text
    assert "othing was changed" not in text
    record.check = True
    assert "Something would change, but no action was recorded." in outline(lambda: record).text


def test_findings_come_worst_first():
    o = outline(samples.mixed_night)
    rows = [a["class"] for _, a, _ in o.all("tr") if (a.get("class") or "").startswith("row-")]
    assert rows[:4] == ["row-crit", "row-warn", "row-unknown", "row-skipped"]
    assert set(rows[4:]) == {"row-ok"}


def test_ok_findings_are_folded():
    o = outline(samples.mixed_night)
    ok = [path for _, a, path in o.all("tr") if a.get("class") == "row-ok"]
    assert ok
    assert all("details" in path for path in ok)


def test_a_job_without_a_part_of_its_own():
    text = outline(samples.generic).text
    for wanted in ("public.play_events_id_seq", "on db1.example.org", "93 %", "75 %", "Reindexed", "1.2 GiB"):
        assert wanted in text.replace("\N{NO-BREAK SPACE}", " "), wanted
    assert "Games" not in text


def test_costly_statements_are_shown_with_plan_and_trend():
    text = outline(samples.performance).text.replace("\N{NO-BREAK SPACE}", " ")
    for wanted in (
        "61.7 %",
        "48,210",
        "108 ms",
        "1 h 27 min",
        "Parallel Seq Scan",
        "No plan: it is a utility statement.",
    ):
        assert wanted in text, wanted
    assert "40 ms to 108 ms over 2 snapshots" in text
    assert 'id="statements"' not in render(samples.generic())


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"statements": []}, "The server has counted no statements"),
        ({"statements": [{"share": float("inf"), "trend": [["x", float("inf")]] * 3}]}, "unknown"),
        ({"statements": [{"trend": [["x", 0]] * 3, "text": samples.HOSTILE}]}, "alert(1)"),
        ({"statements": [{"calls": "many"}]}, "cannot be read"),
        ({"statements": 5}, "cannot be read"),
        (7, ""),
    ],
)
def test_odd_statements_never_stop_the_report(found, said):
    record = samples.generic()
    record.details = {"performance": found}
    html = render(record)
    assert said in Outline(html).text
    assert "<script>" not in html


def test_games_are_shown_by_their_shape_whatever_the_job_is_called():
    text = outline(samples.archive).text
    assert "read from a season archive" in text
    assert "Quality against the thresholds" in text
    record = samples.generic()
    for other in ({"games": [{"name": "chess"}]}, {"games": {"a": 1}}, {"games": 5}):
        record.details = other
        assert 'id="games"' not in render(record)
    record.details = {"games": []}
    assert "No games were looked at" in render(record)


def test_hosts_count_what_ansible_counted():
    html = render(samples.failed())
    assert re.search(r"platform</th><td class=\"num \">2</td>", html)


@pytest.mark.parametrize("job", ["nba_refresh", "<b>x</b>", "../../etc/passwd", "report", ""])
def test_hostile_text_stays_text(job):
    html = render(samples.hostile(job))
    o = Outline(html)
    assert "<script" not in html
    assert "<img" not in html
    assert "{{ 7*7 }}" in html, "a template in foreign text must not be run"
    assert "<script>alert(1)</script>" in o.text
    for unshowable in ("\x00", "\x1b", "\u202e", "\ud800"):
        assert unshowable not in html
    html.encode("utf-8")


def test_hostile_text_in_a_picture_stays_text():
    o = Outline(render(samples.hostile()))
    inside = [tag for tag, _, path in o.elements if "svg" in path]
    assert set(inside) <= {"title", "desc", "path", "line", "text", "circle", "rect", "symbol", "use"}


def test_ten_thousand_findings_are_bounded():
    started = time.perf_counter()
    html = render(samples.ten_thousand())
    took = time.perf_counter() - started
    o = Outline(html)
    assert sum(a.get("class") in {"row-crit", "row-warn"} for _, a, _ in o.all("tr")) == 500
    assert "The worst 500 are shown; 3,520 more are not shown here. run.json has them all." in o.text
    assert "5,780 more ok checks are not shown here" in o.text
    assert len(html) < 1_500_000
    assert took < 5


def test_a_night_of_fifteen_games_is_small():
    assert len(render(samples.mixed_night()).encode()) < 300_000
    assert len(render(samples.first_lookback()).encode()) < 300_000


def test_a_text_without_end_is_cut():
    record = samples.failed()
    record.message = "x" * 1_000_000
    record.diffs = [{"before": "a\n" * 300_000, "after": "b\n" * 300_000}] * 3
    html = render(record)
    assert len(html) < 300_000
    assert "1,000,000 characters in all" in html


@pytest.mark.parametrize(
    "details",
    [{"steps": None}, {"steps": [{"name": "x", "duration_s": "?"}]}, {"games": None}, {"source": 7}],
)
def test_odd_details_never_stop_the_report(details):
    record = samples.recorded_night()
    record.details = details
    Outline(render(record))


class TestWrite:
    def test_writes_the_page_whole(self, tmp_path):
        path = write_report(samples.recorded_night(), tmp_path)
        assert path == tmp_path / "report.html"
        assert path.read_text(encoding="utf-8") == render(samples.recorded_night())
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

    def test_a_failed_write_leaves_the_old_page(self, tmp_path, monkeypatch):
        old = write_report(samples.recorded_night(), tmp_path).read_bytes()

        def full(self, *_args, **_kwargs):
            self.touch()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(CourtkeeperError, match=r"No space left on device.*run\.json"):
            write_report(samples.failed(), tmp_path)
        monkeypatch.undo()
        assert (tmp_path / "report.html").read_bytes() == old
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

    def test_a_missing_directory_is_one_clear_sentence(self, tmp_path):
        with pytest.raises(CourtkeeperError, match="cannot be written"):
            write_report(samples.failed(), tmp_path / "nowhere")


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_aa(scheme):
    """WCAG 2.2: 4.5 for text (1.4.3), 3 for the marks of a chart (1.4.11)."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme == "dark"]))
    for ink in ("ink", "muted", "link", "ok", "warn", "crit", "unknown", "skipped", "add", "remove"):
        assert _contrast(colours[ink], colours["paper"]) >= 4.5, ink
        assert _contrast(colours[ink], colours["raised"]) >= 4.5, ink
    for status in ("ok", "warn", "crit", "unknown", "skipped"):
        assert _contrast(colours[status], colours[f"{status}-wash"]) >= 4.5, status
        assert _contrast(colours["ink"], colours[f"{status}-wash"]) >= 4.5, status
    for mark in ("home", "away", "bar"):
        assert _contrast(colours[mark], colours["paper"]) >= 3, mark
