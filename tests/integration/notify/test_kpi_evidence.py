"""Key figures from what the store holds, on both kinds of stores; and none where it holds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from courtkeeper.cli import main
from courtkeeper.findings import ConfigurationError
from courtkeeper.kpi import probes
from courtkeeper.kpi.definitions import INDICATORS
from courtkeeper.kpi.indicator import Kpi
from courtkeeper.kpi.measure import measure
from courtkeeper.kpi.probes import Answer, Probe, Prober, ask
from courtkeeper.runner.record import RunStatus
from courtkeeper.store import Store
from support.notices import checkout, receiver, scheduled, slot
from support.records import GOOD, NOON, found, record

Measure = Callable[..., Kpi]


@pytest.fixture
def kpi(store: Store) -> Measure:
    """Measure one of them a day after noon."""

    def one(key: str, now: datetime = NOON + timedelta(days=1), days: int = 30) -> Kpi:
        (each,) = measure(store, "embedded", now, days, key)
        return each

    return one


def test_nothing_is_known_of_nothing(store: Store) -> None:
    kpis = measure(store, "embedded", NOON)
    assert [each.key for each in kpis] == [each.key for each in INDICATORS]
    assert {each.value for each in kpis} == {None}
    assert all(each.basis.endswith(".") and each.definition.endswith(".") and each.unit for each in kpis)
    assert "`courtkeeper serve` probes" in kpis[0].basis
    assert not [each.key for each in kpis if "  " in each.basis + each.definition]
    with pytest.raises(ConfigurationError, match="did you mean availability"):
        measure(store, "embedded", NOON, only="availabilty")
    with pytest.raises(ConfigurationError, match="give 1 to 366"):
        measure(store, "embedded", NOON, days=0)


def test_a_file_of_probes_that_cannot_be_read_is_said_and_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COURTKEEPER_STORE", raising=False)
    (checkout(tmp_path, {}) / probes.PATH).write_text("courtkeeper_probes: [\n")
    with pytest.raises(SystemExit) as ended:
        main(["kpi", "-i", "embedded", "--root", str(tmp_path)])
    assert ended.value.code == 2
    assert "probes.yml" in capsys.readouterr().err


def test_availability_is_the_share_of_probes_that_were_answered(store: Store, kpi: Measure) -> None:
    for minute in range(0, 180, 10):
        lost = 60 <= minute < 90
        answers = [
            Answer(name="api", latency_ms=10 + minute, error="answered 503" if lost else ""),
            Answer(name="db", latency_ms=1),
        ]
        probes.keep(store.database, "embedded", answers, NOON + timedelta(minutes=minute))
    probes.keep(store.database, "other", [Answer(name="api", latency_ms=1, error="x")], NOON)
    one = kpi("availability", now=NOON + timedelta(hours=6), days=1)
    assert one.value == pytest.approx(100 * 33 / 36, abs=1e-3)
    assert one.basis == "36 probes, 3 not answered; 12% of the hours were probed."
    assert [(part.name, part.value and round(part.value, 2)) for part in one.parts] == [
        ("api", 83.33), ("db", 100.0),
    ]  # fmt: skip
    assert [(point.at.day, point.value) for point in one.trend] == [(2, one.value)]
    hours = probes.hours(store.database, "embedded", NOON, NOON + timedelta(days=1))
    assert [(each.asked, each.answered) for each in hours if each.name == "api"] == [(6, 6), (6, 3), (6, 6)]
    assert hours[0].latency_ms == pytest.approx(35)
    assert hours[0].slowest_ms == 60


def test_data_quality_is_the_share_of_games_that_passed(store: Store, kpi: Measure) -> None:
    good = {
        "games": 11,
        "games_loaded": 8,
        "games_unchanged": 2,
        "games_quarantined": 1,
        "games_unverified": 5,
    }
    store.recording.finish(record(0, job="nba_refresh", metrics=good))
    store.recording.finish(record(1, job="nba_refresh", metrics={"games_corrected": 1, "games_missing": 0}))
    store.recording.finish(record(2, job="nba_refresh", metrics={"games_missing": 50}, check=True))
    one = kpi("data_quality")
    assert one.value == pytest.approx(100 * 11 / 12, abs=1e-3)
    assert [round(point.value, 2) for point in one.trend] == [90.91, 100.0]


def test_maintenance_is_without_a_person_where_the_calendar_did_it_alone(store: Store, kpi: Measure) -> None:
    for number in range(6):
        scheduled(store, number, good=number != 5)
    store.people.approve("embedded", "checks", NOON, by="me", at=NOON)
    store.recording.finish(record(7))  # by hand
    slot(store, "checks", NOON + timedelta(hours=8), trigger="request", run_id="asked")
    slot(store, "checks", NOON + timedelta(hours=9), "missed")
    one = kpi("unattended")
    assert one.value == pytest.approx(100 * 4 / 8)
    assert one.basis.startswith("8 pieces of maintenance, 4 of them with a person")


def test_recovery_is_from_opened_to_closed(store: Store, kpi: Measure) -> None:
    for number, status in enumerate(["warn", "crit", "ok", "unknown", "ok", "warn"]):
        store.recording.finish(
            record(number, [found("/", status), found("/x", "crit" if number < 4 else "ok")])
        )
    one = kpi("recovery")  # / was wrong for 2 h, /x for 4 h; what could not be judged is no fault
    assert one.value == pytest.approx(3)
    assert one.basis == "2 findings closed; the median is 3.0 h."


def test_missed_and_late_are_shares_of_what_was_due(store: Store, kpi: Measure) -> None:
    for number in range(4):
        scheduled(store, number)
    slot(store, "checks", NOON + timedelta(hours=5), "missed", reason="the scheduler was down")
    late = NOON + timedelta(hours=6)
    slot(
        store,
        "checks",
        late,
        "ok",
        started_at=late + timedelta(minutes=5),
        finished_at=late + timedelta(hours=1),
    )
    assert kpi("missed").value == pytest.approx(100 / 6, abs=1e-3)
    assert kpi("missed").basis == "1 of 6 slots."
    assert kpi("late").value == pytest.approx(20)
    assert kpi("late", now=NOON - timedelta(days=1)).value is None


def drill(store: Store, number: int, source: str, status: str = "ok", **numbers: float) -> None:
    findings = [found(f"{source}/b{number}", status, id="drill.restore", observed=3.5)]
    findings += [
        found(f"{source}/b{number}", "ok", id=f"drill.{name}", observed=value)
        for name, value in numbers.items()
    ]
    store.recording.finish(record(number, findings, job="restore_drill"))


def test_restores_are_proven_by_drills(store: Store, kpi: Measure) -> None:
    drill(store, 0, "database", rto=40.0, rpo=3600.0)
    assert kpi("proven_restore").value == pytest.approx(1, abs=1e-3)
    drill(store, 12, "database", rto=50.0, rpo=600.0)
    drill(store, 13, "cache", rto=5.0)
    drill(store, 14, "database", "crit")
    one = kpi("proven_restore")
    assert one.value == pytest.approx(0.5, abs=1e-2)  # the one that failed proves nothing
    assert [part.name for part in one.parts] == ["cache", "database"]
    assert (kpi("rto").value, kpi("rpo").value) == (5.0, 600.0)
    assert [point.value for point in kpi("rto").trend] == [40.0, 50.0, 5.0]
    drill(store, 15, "config", "crit")
    assert kpi("proven_restore").value is None
    assert kpi("proven_restore").basis == "No drill has restored config."


def test_days_to_expiry_go_on_counting_since_the_last_look(store: Store, kpi: Measure) -> None:
    numbers = {"days_to_expiry": 30.0, "db2.days_to_expiry": 12.5}
    store.recording.finish(record(0, job="certificate_renewal", metrics=numbers))
    assert kpi("certificate_expiry").value == pytest.approx(11.5)
    assert [point.value for point in kpi("certificate_expiry").trend] == [12.5]


def test_patch_age_is_that_of_the_host_longest_ago(store: Store, kpi: Measure) -> None:
    bad = {**GOOD, "failed": 1}
    two = {"web1": GOOD, "web2": GOOD}
    store.recording.finish(record(0, job="patch", playbook="os_patching", host_stats=two))
    store.recording.finish(record(12, job="patch", playbook="os_patching", host_stats={"web1": GOOD}))
    store.recording.finish(record(13, job="patch", playbook="os_patching", host_stats=two, check=True))
    assert kpi("patch_age").value == pytest.approx(1, abs=1e-3)
    assert [(part.name, part.value) for part in kpi("patch_age").parts] == [("web1", 0.5), ("web2", 1.0)]
    lost = record(14, job="patch", playbook="os_patching", host_stats={"web3": bad}, status=RunStatus.FAILED)
    store.recording.finish(lost)
    assert kpi("patch_age").value is None
    assert kpi("patch_age").basis == "os_patching never ended well on web3."


def test_a_prober_asks_when_it_is_due_and_keeps_what_came_of_it(store: Store, tmp_path: Path) -> None:
    now = [NOON]
    with receiver() as server:
        (tmp_path / "state.json").write_text(json.dumps({"api": {"url": f"http://{server.url}"}}))
        host, _, port = server.url.partition(":")
        asked = [
            Probe(name="api", file="state.json", key="api.url", path="/health"),
            Probe(name="port", url=f"tcp://{host}:{port}", every_s=300),
            Probe(name="gone", file="state.json", key="api.address"),
            Probe(name="shut", url="http://127.0.0.1:1"),
        ]
        prober = Prober(
            "embedded", tmp_path, database=store.database, read=lambda: asked, clock=lambda: now[0], say=print
        )
        assert {each.name: bool(each.error) for each in prober.tick()} == {
            "api": False, "port": False, "gone": True, "shut": True,
        }  # fmt: skip
        assert server.paths == ["GET /health"]
        assert prober.tick() == []
        now[0] += timedelta(seconds=61)
        assert len(prober.tick()) == 3
        now[0] -= timedelta(hours=1)  # a clock that was set back
        assert len(prober.tick()) == 4
        server.answers = [503]
        assert ask(asked[0], tmp_path).error == "answered 503"
    kept = probes.hours(store.database, "embedded", NOON - timedelta(hours=2), NOON + timedelta(hours=1))
    assert sum(each.asked for each in kept) == 11
