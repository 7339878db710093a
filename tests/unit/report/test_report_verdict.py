"""The one sentence on top, for each way a run can end."""

from __future__ import annotations

import pytest

from courtkeeper.findings import Finding, Status
from courtkeeper.report import games, page, verdict
from courtkeeper.runner.record import HostFinding, RunStatus
from unit.report import samples


def sentence(record) -> str:
    return page.build(record).verdict.sentence.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("build", "badge", "expected"),
    [
        (
            samples.recorded_night,
            "Critical",
            "Finished with 1 critical finding: 2 of 3 games are good, 1 is missing.",
        ),
        (samples.simulated_night, "All good", "Finished: all 11 games are good."),
        (samples.second_run, "All good", "Finished, and nothing had to change: all 88 games are good."),
        (
            samples.mixed_night,
            "Critical",
            "Finished with 1 critical finding and 1 warning: 12 of 16 games are good, 1 is missing, "
            "2 are quarantined, 1 could not be fully judged.",
        ),
        (
            samples.check_mode,
            "Critical",
            "Check run finished with 1 critical finding: 2 of 3 games are good, 1 is missing.",
        ),
        (
            samples.unverified_night,
            "Not fully judged",
            "Finished, but 2 checks could not be judged: 9 of 11 games are good, 2 could not be checked.",
        ),
        (samples.archive, "All good", "Finished: all 11 games are good."),
        (samples.failed, "Failed", "Failed after 8.40 s at “Refresh the games” on platform."),
        (samples.refused, "Refused", "Refused: the configuration is wrong, and nothing was changed."),
        (samples.timed_out, "Timed out", "Stopped after 30 min 04 s: the job ran out of its time."),
        (samples.cancelled, "Cancelled", "Cancelled after 17.3 s, before the job had finished."),
        (samples.running, "Running", "Still running: this page shows what is known so far."),
        (samples.empty, "Finished", "Finished: nothing was checked, nothing was changed."),
        (
            samples.generic,
            "Critical",
            "Finished with 1 critical finding and 1 warning: 3 of 5 checks are ok.",
        ),
    ],
)
def test_sentence_and_badge(build, badge, expected):
    record = build()
    assert page.build(record).verdict.badge == badge
    assert sentence(record) == expected


def test_a_missing_game_without_a_finding_is_still_not_good():
    assert page.build(samples.first_lookback()).verdict.status is Status.WARN
    assert sentence(samples.first_lookback()).startswith(
        "Finished, but not everything is good: 87 of 88 games"
    )


@pytest.mark.parametrize(
    ("status", "badge", "lead"),
    [
        (
            Status.UNKNOWN,
            "Not fully judged",
            "Finished, but 1 check could not be judged: 0 of 1 check is ok.",
        ),
        (Status.SKIPPED, "Not fully checked", "Finished, with 1 check skipped: 0 of 1 check is ok."),
        (Status.WARN, "Warning", "Finished with 1 warning: 0 of 1 check is ok."),
        (Status.OK, "All good", "Finished, and nothing had to change: the only check is ok."),
    ],
)
def test_unknown_and_skipped_are_never_called_good(status, badge, lead):
    record = samples.empty()
    record.job = "postgres_upkeep"
    record.findings = [
        HostFinding(host="h", finding=Finding(id="a", subject="b", status=status, summary="c"))
    ]
    judged = page.build(record).verdict
    assert (judged.badge, judged.sentence) == (badge, lead)
    assert ("good" in judged.badge) == (status is Status.OK)


@pytest.mark.parametrize("status", [s for s in RunStatus if s not in {RunStatus.OK, RunStatus.RUNNING}])
def test_a_run_that_broke_off_says_what_to_do(status):
    record = samples.failed()
    record.status = status
    told = verdict.trouble(record)
    assert told is not None
    assert told.message.startswith("The database at 127.0.0.1:5439 went away")
    assert told.steps
    assert told.command == "courtkeeper run nba_refresh -i inventory/embedded"


def test_a_run_that_went_through_has_no_trouble():
    assert verdict.trouble(samples.recorded_night()) is None
    assert verdict.trouble(samples.running()) is None


def test_the_command_is_quoted_for_the_shell():
    record = samples.refused()
    record.arguments = ["-i", "my inventory; rm -rf /", "--date", "2026-02-11", "--check", "-e", "k=a 'b'"]
    command = "courtkeeper run nba_refresh -i 'my inventory; rm -rf /' --date 2026-02-11 --check "
    command += "-e 'k=a '\"'\"'b'\"'\"''"
    assert verdict.again(record) == command
    assert page.build(record).trouble.command == page.build(record).again == command


class TestGames:
    def view(self, *entries, check=False, **details):
        return games.build({"games": list(entries), **details}, check=check)

    @pytest.mark.parametrize("key", [key for key, *_ in games.MEASURES])
    @pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 1.2, -0.1])
    def test_an_unknown_measure_is_never_good(self, key, value):
        view = self.view(samples.game(1, "ATL", "CHA", (1, 2), **{key: value}))
        assert not view.games[0].good
        assert view.status is Status.UNKNOWN
        assert [m.shown for m in view.games[0].measures].count("unknown") == 1
        assert "could not be fully judged" in games.summary(view, check=False)

    @pytest.mark.parametrize(("key", "limit"), [(key, limit) for key, _, _, limit in games.MEASURES])
    def test_thresholds_hold_at_their_value_and_not_below(self, key, limit):
        assert self.view(samples.game(1, "A", "B", (1, 2), **{key: limit})).games[0].good
        below = self.view(samples.game(1, "A", "B", (1, 2), **{key: limit - 1e-9})).games[0]
        assert not below.good
        assert "100" not in next(m.shown for m in below.measures if m.status is Status.CRIT)

    def test_a_run_is_judged_by_the_thresholds_it_was_given(self):
        entry = samples.game(1, "A", "B", (1, 2), completeness=0.72, metadata=0.5)
        given = {"completeness": 0.7, "box_accuracy": 0.99, "player_consistency": 0.98, "metadata": 0.5}
        view = self.view(entry, thresholds=given)
        assert view.games[0].good
        assert [m.threshold for m in view.games[0].measures] == list(given.values())
        assert "≥ 70" in view.quality[0]
        assert not self.view(entry).games[0].good
        assert not self.view(entry, thresholds={**given, "completeness": 0.8}).games[0].good

    @pytest.mark.parametrize(
        "odd", [None, 7, "x", [], {"completeness": None}, {"completeness": 95}, {"metadata": True}]
    )
    def test_thresholds_that_are_none_are_the_defaults(self, odd):
        view = self.view(samples.game(1, "A", "B", (1, 2)), thresholds=odd)
        assert [m.threshold for m in view.games[0].measures] == [0.95, 0.99, 0.98, 1.0]

    def test_an_unverified_game_is_never_good_nor_a_failure(self):
        entries = [samples.game(i, "A", "B", (1, 2), "unchanged") for i in range(9)]
        entries += [samples.unverified(9 + i, "NYK", "PHI", (138, 89)) for i in range(2)]
        view = self.view(*entries)
        assert games.summary(view, check=False) == "9 of 11 games are good, 2 could not be checked"
        assert view.status is Status.UNKNOWN
        assert [(g.word, g.events, g.good) for g in view.shown] == [("unverified", "–", False)] * 2  # noqa: RUF001
        assert all("stored before" in g.reason for g in view.shown)
        assert len(view.folded) == 9
        assert view.folded_title == "9 games were unchanged and good"

    def test_unverified_games_of_earlier_nights_are_not_folded_away(self):
        entries = [samples.game(i, "A", "B", (1, 2)) for i in range(30)]
        entries += [samples.unverified(40, "NYK", "PHI", (138, 89)) | {"game_date": "2026-02-04"}]
        view = self.view(*entries, date_to="2026-02-11")
        assert view.shown[0].outcome == "unverified"

    def test_a_missing_game_shows_unknown_and_not_a_number(self):
        game = self.view(samples.missing(1, "A", "B", (1, 2))).games[0]
        assert {m.shown for m in game.measures} == {"unknown"}
        assert game.events == "–"  # noqa: RUF001 the dash is what is shown

    def test_an_unreadable_entry_is_shown_and_not_lost(self):
        view = self.view(samples.game(1, "ATL", "CHA", (1, 2)), {"game_id": "7", "events": "many"}, "rubbish")
        assert len(view.games) == 3
        assert [g.good for g in view.games] == [False, False, True]
        assert games.summary(view, check=False) == "1 of 3 games is good, 2 could not be fully judged"

    def test_details_of_the_wrong_shape_give_an_empty_part_that_says_so(self):
        view = games.build({"games": 5, "simulated": True}, check=False)
        assert view.unreadable
        assert view.simulated
        assert games.summary(view, check=False) == ""

    def test_an_unheard_of_outcome_is_unknown(self):
        assert self.view(samples.game(1, "A", "B", (1, 2), "invented")).status is Status.UNKNOWN

    def test_a_plan_says_would(self):
        view = self.view(samples.game(1, "A", "B", (1, 2)), check=True)
        assert view.games[0].word == "would load"

    def test_unchanged_games_are_folded(self):
        view = page.build(samples.second_run()).games
        assert view is not None
        assert not view.shown
        assert len(view.folded) == 88
        assert view.folded_title == "88 games were unchanged and good"

    def test_a_long_first_run_shows_trouble_and_the_last_night(self):
        view = page.build(samples.first_lookback()).games
        assert view is not None
        assert view.shown[0].word == "missing"
        assert {g.date for g in view.shown[1:]} == {"2026-02-11"}
        assert len(view.shown) + len(view.folded) == 88

    def test_a_whole_season_is_bounded(self):
        entries = [samples.missing(i, "A", "B", (1, 2)) for i in range(500)]
        entries += [samples.game(i, "A", "B", (1, 2), "unchanged") for i in range(730)]
        view = self.view(*entries, date_to="2026-02-11")
        assert len(view.shown) == games.SHOWN_AT_MOST
        assert len(view.folded) == games.FOLDED_AT_MOST
        assert view.not_shown == 1230 - games.SHOWN_AT_MOST - games.FOLDED_AT_MOST
