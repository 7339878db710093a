"""Every check has its pair of files, and what is asked for wrongly is refused in one sentence."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.check import GROUPS, choose, registry

WITHOUT_STATEMENT = {"rules"}  # the user's own


def test_every_check_is_a_pair_of_files_and_says_what_it_looks_for() -> None:
    for group in GROUPS:
        names = {entry.name for entry in (files("courtkeeper.postgres") / "checks" / group).iterdir()}
        checks = {name.removesuffix(".py") for name in names if name.endswith(".py") and name[0] != "_"}
        statements = {name.split(".")[0] for name in names if name.endswith(".sql")}
        assert checks - WITHOUT_STATEMENT == statements, group
    for group, name, kind in registry().values():
        check = kind(group, name)
        assert check.title[0].islower(), check.id
        assert set(check.row.__struct_fields__), check.id
        assert all(limit.unit and limit.source for limit in check.limits.values()), check.id


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"groups": ["index"]}, "there is no group 'index': did you mean indexes?"),
        ({"names": ["indexes.invald"]}, "there is no check 'indexes.invald': did you mean indexes.invalid?"),
        ({"thresholds": {"capacity.sequence": {"wrn": 1}}}, "no threshold of capacity.sequence 'wrn'"),
        (
            {"thresholds": {"capacity.sequence": {"warn": "many"}}},
            "capacity.sequence.warn is 'many': give a number",
        ),
        ({"thresholds": {"capacity.sequence": {"warn": True}}}, "is True: give a number"),
        ({"thresholds": {"capacity.sequence": {"warn": -1}}}, "give a number from 0 on"),
        ({"thresholds": {"capacity.sequence": {"warn": "nan"}}}, "give a number from 0 on"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence.replace("?", r"\?").replace(".", r"\.")):
        choose(**arguments)


def test_checks_are_chosen_by_group_and_by_name() -> None:
    assert {check.group for check in choose(groups=["indexes"])} == {"indexes"}
    (check,) = choose(names=["capacity.sequence"], thresholds={"capacity.sequence": {"warn": 50}})
    assert check.limit == {"warn": 50.0, "crit": 90.0}
    assert len(choose()) == len(registry())
