"""What is refused before anything starts, and in which words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from courtkeeper.findings import ConfigurationError
from courtkeeper.runner import options

NOW = datetime(2026, 2, 12, 4, 30, tzinfo=UTC)  # still the 11th in New York


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ansible.cfg").touch()
    for job in ("nba_refresh", "database_check"):
        (tmp_path / "playbooks").mkdir(exist_ok=True)
        (tmp_path / "playbooks" / f"{job}.yml").touch()
    for system in ("embedded", "arena"):
        (tmp_path / "inventory" / system).mkdir(parents=True)
        (tmp_path / "inventory" / system / "hosts.yml").touch()
    return tmp_path


def test_the_root_is_the_nearest_ancestor_with_both(root: Path) -> None:
    deep = root / "roles" / "x"
    deep.mkdir(parents=True)
    assert options.find_root(deep) == root
    assert options.find_root(Path("/"), explicit=root) == root


def test_no_root_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"No checkout .* --root or COURTKEEPER_ROOT"):
        options.find_root(tmp_path)
    with pytest.raises(ConfigurationError, match="is not a checkout of Courtkeeper: it lacks"):
        options.find_root(tmp_path, explicit=tmp_path)


def test_an_unknown_job_names_the_known_and_the_nearest(root: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        options.find_playbook(root, "nba_refersh")
    assert str(caught.value) == (
        "There is no job 'nba_refersh': playbooks/ holds database_check, nba_refresh. "
        "Did you mean nba_refresh?"
    )


@pytest.mark.parametrize("job", ["../evil", "nba_refresh.yml", "", "/etc/passwd"])
def test_a_job_is_a_name_and_never_a_path(root: Path, job: str) -> None:
    with pytest.raises(ConfigurationError, match="There is no job"):
        options.find_playbook(root, job)


def test_an_inventory_is_found_by_path_and_by_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    want = root / "inventory" / "embedded"
    for given in ("embedded", "inventory/embedded", "inventory/embedded/", str(want)):
        assert options.find_inventory(root, given) == want


def test_an_unknown_inventory_lists_those_there_are(root: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        options.find_inventory(root, "inventory/embeded")
    assert str(caught.value) == (
        "There is no inventory 'inventory/embeded': the checkout holds inventory/arena, inventory/embedded. "
        "Did you mean inventory/embedded?"
    )


@pytest.mark.parametrize(
    "text", ["yesterday", "11.02.2026", "2026-2-1", "20260211", "2026-W07-3", "", " 2026-02-11"]
)
def test_a_malformed_date_gets_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a date: .* for example 2026-02-11\."):
        options.parse_day(text, NOW)


def test_a_day_that_no_calendar_has() -> None:
    with pytest.raises(ConfigurationError, match="'2026-02-30' is not a day of the calendar"):
        options.parse_day("2026-02-30", NOW)


def test_the_future_begins_at_midnight_in_new_york() -> None:
    assert options.parse_day("2026-02-11", NOW) == date(2026, 2, 11)
    with pytest.raises(
        ConfigurationError, match=r"2026-02-12 is in the future: today is 2026-02-11 in New York"
    ):
        options.parse_day("2026-02-12", NOW)
    assert options.parse_day("2026-02-12", NOW.replace(hour=5)) == date(2026, 2, 12)


def test_extra_vars_are_strings_and_may_hold_equals_signs() -> None:
    assert options.parse_extra_vars(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


def test_a_json_object_keeps_the_kinds_of_its_values_and_the_last_one_counts() -> None:
    given = ["a=1", ' {"a": ["x", 2], "b": {"c": null}}', "d=3", '{"d": true}', "{}"]
    assert options.parse_extra_vars(given) == {"a": ["x", 2], "b": {"c": None}, "d": True}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("courtkeeper_secrets={}", "-e may not set courtkeeper_secrets: .*--secrets-file"),
        ("courtkeeper_date=2026-02-11", "-e may not set courtkeeper_date: use --date"),
        ("courtkeeper_progress_file=/x", "-e may not set courtkeeper_progress_file"),
        ("just-a-word", "-e takes key=value, for example .*, or a JSON object"),
        ('{"courtkeeper_date": "2026-02-11"}', "-e may not set courtkeeper_date: use --date"),
        ('{"a b": 1}', "'a b' is not a variable's name"),
        ('{"password": hunter2', r"is none \(character 14\): write it as -e '\{\"restore_replace\": "),
        ('{"a":' * 100_000, "-e got what begins as a JSON object and is none"),
        ("=value", "-e takes key=value"),
        ("@file=1", "'@file' is not a variable's name"),
    ],
)
def test_extra_vars_that_are_refused(pair: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        options.parse_extra_vars([pair])
