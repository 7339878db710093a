"""Numbers, times and foreign text in the form the report shows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from courtkeeper.report import text

NBSP = "\N{NO-BREAK SPACE}"


def plain(value: str) -> str:
    return value.replace(NBSP, " ")


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1.0, "100 %"),
        (0.9999, "99.9 %"),
        (0.99999999, "99.9 %"),
        (0.0, "0 %"),
        (0.95, "95 %"),
        (0.8333, "83.3 %"),
    ],
)
def test_percent_never_rounds_up_to_a_threshold(share, expected):
    assert plain(text.percent(share)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0.00 s"),
        (9.99, "9.99 s"),
        (9.999, "10.0 s"),
        (59.97, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7620, "2 h 07 min"),
        (float("nan"), "unknown"),
        (-1, "unknown"),
    ],
)
def test_duration(seconds, expected):
    assert plain(text.duration(seconds)) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "events", "–"),  # noqa: RUF001 the dash is what is shown
        (0, "events", "0 events"),
        (1234567, "rows", "1,234,567 rows"),
        (0.9091, "ratio", "90.9 %"),
        (12.5, "%", "12.5 %"),
        (734_003_200, "bytes", "700.0 MiB"),
        (90, "s", "1 min 30 s"),
        (1.5, "s", "1.5 s"),
        ("17.4", "", "17.4"),
        (float("inf"), "s", "unknown"),
        (1e300, "", "1e+300"),
    ],
)
def test_quantity(value, unit, expected):
    if value == 1e300:
        assert len(text.quantity(value, unit)) > 10
        return
    assert plain(text.quantity(value, unit)) == expected


def test_metric_takes_the_unit_from_the_name():
    assert text.metric("fetch_duration_s", 1.5) == ("Fetch duration", "1.5 s")
    assert plain(text.metric("payload_bytes", 1024)[1]) == "1.0 KiB"
    assert text.metric("rows_upserted", 5) == ("Rows upserted", "5")
    assert text.metric("s", 5) == ("S", "5")


def test_clean_leaves_nothing_that_html_or_a_reader_cannot_take():
    shown = text.clean("a\x00b\x1b[31mred\x1b[0m\u202egpj.exe\ud800\ttab\nline")
    assert shown == "a\ufffdbred\ufffdgpj.exe\ufffd\ttab\nline"


def test_clean_bounds_its_text_and_says_so():
    shown = text.clean("x" * 5000, limit=100)
    assert shown.startswith("x" * 100 + "…")
    assert "5,000 characters" in shown


def test_both_clocks_of_one_moment():
    summer = datetime(2026, 7, 1, 3, 30, tzinfo=UTC)
    assert text.clock_utc(summer) == "Wed 1 Jul 2026, 03:30:00 UTC"
    assert text.clock_local(summer, "America/New_York") == "Tue 30 Jun 2026, 23:30:00 EDT (America/New_York)"
    assert text.clock_local(summer, "Nowhere/Land") == ""
    assert text.clock_local(summer, "../etc/passwd") == ""


def test_a_moment_without_a_zone_is_utc():
    assert text.clock_utc(datetime(2026, 2, 12, 6)) == "Thu 12 Feb 2026, 06:00:00 UTC"  # noqa: DTZ001 the case


def test_spans_of_days():
    assert text.iso_days("2026-02-04", "2026-02-11") == "4 to 11 Feb 2026"
    assert text.iso_days("2026-01-29", "2026-02-05") == "29 Jan to 5 Feb 2026"
    assert text.iso_days("2025-12-29", "2026-01-05") == "29 Dec 2025 to 5 Jan 2026"
    assert text.iso_days("x", "2026-01-05") == "x to 2026-01-05"


def test_long_names_may_break_but_only_at_their_joints():
    assert text.breakable("public.play_events") == "public.<wbr>play_<wbr>events"
    assert text.breakable("<b>.x") == "&lt;b&gt;.<wbr>x"


def test_sentence():
    assert text.sentence(" it broke") == "It broke."
    assert text.sentence("It broke!") == "It broke!"
    assert text.sentence("REINDEX INDEX a;") == "REINDEX INDEX a;"
    assert text.sentence("") == ""
