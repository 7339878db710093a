"""A wrong entry of any part is refused before something changes; a failure says what was done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result
from courtkeeper.hosts.logs import clean, duty, look, rotation
from courtkeeper.hosts.logs.audit import Limits

GOOD = {"entries": [], "roots": ["/var/spool/work"], "journal_days": 0, "journal_mib": 0}
LIMITS = {"large_mib": 100, "stale_hours": 26, "deleted_mib": 10}


def run(**more: Any) -> Result:
    cleaning = duty.Cleaning(**{key: more.get(key, value) for key, value in GOOD.items()})
    limits = Limits(**{key: more.get(key, value) for key, value in LIMITS.items()})
    wanted = rotation.Wanted(stanzas=[], roots=["/var/log"], compress_after_days=7, keep_days=30)
    return duty.run(
        wanted, cleaning, limits,
        keeper="/opt/python", now=datetime.now(UTC), check=False, progress=lambda _done, _total, _text: None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"entries": [{"path": "/etc", "max_age_days": 7}]}, r"log_rotation_clean\[0\] holds /etc, which"),
        ({"roots": ["/"]}, "log_rotation_clean_roots holds"),
        ({"journal_days": -1}, "log_rotation_journal_days is -1"),
        ({"large_mib": 0}, "log_rotation_large_mib is 0"),
        ({"stale_hours": -5}, "log_rotation_stale_hours is -5"),
    ],
)
def test_a_wrong_entry_is_refused_first(
    wrong: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "rotate", lambda *_, **__: pytest.fail("something was changed before"))
    with pytest.raises(ConfigurationError, match=sentence):
        run(**wrong)


def test_a_later_failure_says_what_was_done_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Result:
        raise CourtkeeperError("journalctl failed.")

    done = Result(changed=True, actions=["write x"], msg="1 stanza.")
    monkeypatch.setattr(rotation, "rotate", lambda *_, **__: done)
    monkeypatch.setattr(clean, "clean", lambda *_, **__: Result(changed=True, actions=["remove y"]))
    monkeypatch.setattr(look, "check", fail)
    with pytest.raises(CourtkeeperError) as caught:
        run()
    assert caught.value.partial is not None
    assert caught.value.partial.actions == ["write x", "remove y"]
