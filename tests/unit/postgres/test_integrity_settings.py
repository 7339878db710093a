"""What the checks are told is refused whole, in one sentence that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.settings import IntegritySettings, Rule, settings_from

RULE = {"name": "games have two teams", "sql": "SELECT 1"}


def test_what_is_left_out_has_its_default() -> None:
    assert settings_from({}) == IntegritySettings()
    assert settings_from({"rules": [RULE]}).rules == (Rule(name=RULE["name"], sql="SELECT 1"),)
    assert settings_from({"jobs": 3}).workers == 3
    assert settings_from({}).workers >= 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"jobs": "many"}, "jobs cannot be"),
        ({"jobs": -1}, "jobs is -1: give a number from 0 to 256"),
        ({"lock_timeout_s": 0}, "lock_timeout_s is 0"),
        ({"corruption_budget_s": float("nan")}, "corruption_budget_s is nan"),
        ({"rules": [{"name": "x"}]}, r"rules\[0\]|rules\[\.\.\.\]"),
        ({"rules": [{**RULE, "severity": "bad"}]}, "severity"),
        ({"rules": [{**RULE, "query": "x"}]}, "query"),
        ({"rules": [RULE, RULE]}, r"rules\[1\] is called 'games have two teams' like another"),
        ({"rules": [{**RULE, "sql": " "}]}, r"rules\[0\] has no name or no sql"),
        ({"settings_expected": {"work_mem": ["x"]}}, "settings_expected"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as raised:
        settings_from(given)
    assert "\n" not in str(raised.value)


def test_a_state_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"state_directory .*file/state cannot be made"):
        settings_from({"state_directory": str(tmp_path / "file" / "state")})
    settings_from({"state_directory": str(tmp_path / "new" / "state")})
    assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700
