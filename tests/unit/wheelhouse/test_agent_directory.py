"""What the agent removes of its directory on a host: what it put there, and nothing of anybody else's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

UTILS = Path(__file__).parents[3] / "collections/ansible_collections/courtkeeper/ops/plugins/module_utils"
OURS = ("0123456789ab", "ba9876543210")


@pytest.fixture
def agent() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agent", UTILS / "agent.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_releases_of_others_stay(agent: ModuleType, tmp_path: Path) -> None:
    """Another tool may keep its releases by the same name (Capistrano does)."""
    for name in (*OURS, "202601011200", "current"):
        (tmp_path / "releases" / name).mkdir(parents=True)
    (tmp_path / "releases" / OURS[1] / "pyvenv.cfg").touch()  # the other was cut off before it had one
    (tmp_path / "releases/202601011200/app.rb").touch()
    keep = tmp_path / "releases" / OURS[0]
    assert agent.others(str(tmp_path), str(keep)) == [str(tmp_path / "releases" / OURS[1])]
    agent.remove(str(tmp_path))
    assert sorted(path.name for path in (tmp_path / "releases").iterdir()) == ["202601011200", "current"]


def test_where_nothing_else_is_the_directory_goes(agent: ModuleType, tmp_path: Path) -> None:
    place = tmp_path / "agent"
    (place / "releases" / OURS[0]).mkdir(parents=True)
    (place / "venv").symlink_to("releases/" + OURS[0])
    agent.remove(str(place))
    assert not place.exists()
