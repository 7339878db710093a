"""A misspelt variable of a role is refused; whatever else is given passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from courtkeeper.findings import ConfigurationError
from courtkeeper.runner import options
from courtkeeper.runner.variables import check_role_variables, hosts_named

CHECKOUT = Path(__file__).parents[3]
SPEC = """
argument_specs:
  main:
    options:
      tuner_memory: {type: str}
  extra:
    options:
      tuner_limit: {type: str, default: !unsafe "{{"}
"""
PLAYBOOKS = {
    "names": "- hosts: all\n  roles: [tuner]\n",
    "collection": "- hosts: all\n  roles:\n    - role: courtkeeper.ops.tuner\n      vars: {x: !vault y}\n",
    "name": "- hosts: all\n  roles: [{name: tuner}]\n",
    "import": "- hosts: all\n  tasks: [{block: [{import_role: {name: tuner, tasks_from: extra}}]}]\n",
    "include": "- hosts: all\n  handlers:\n    - ansible.builtin.include_role:\n        name: tuner\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "roles/tuner/meta").mkdir(parents=True)
    (tmp_path / "roles/tuner/meta/argument_specs.yml").write_text(SPEC)
    (tmp_path / "roles/free/tasks").mkdir(parents=True)
    return tmp_path


def check(root: Path, playbook: str, *names: str) -> None:
    path = root / "playbook.yml"
    path.write_text(playbook)
    check_role_variables(names, root, path)


@pytest.mark.parametrize("playbook", PLAYBOOKS.values(), ids=PLAYBOOKS)
def test_a_name_no_role_knows_is_refused_with_the_nearest(root: Path, playbook: str) -> None:
    check(root, playbook, "tuner_memory", "tuner_limit", "tunerx", "word", "__tuner_inner", "other_memory")
    with pytest.raises(ConfigurationError) as caught:
        check(root, playbook, "tuner_memroy")
    assert str(caught.value) == (
        "-e tuner_memroy: the role tuner has no such variable; did you mean tuner_memory?"
    )


@pytest.mark.parametrize(
    "playbook",
    [
        "- hosts: all\n  roles: [free]\n",
        "- hosts: all\n  roles: ['{{ which }}', nowhere]\n",
        "- hosts: all\n  roles:\n  tasks: [{import_role: tuner}, {debug: {msg: x}}]\n",
        "- hosts: [\n",
        "",
        "- hosts: all\n  roles: [{vars: {}}, null, [tuner]]\n",
    ],
)
def test_what_cannot_be_judged_passes(root: Path, playbook: str) -> None:
    check(root, playbook, "tuner_memroy", "free_x", "nowhere_x")


def test_a_longer_roles_variable_is_not_taken_for_a_shorter_ones(root: Path) -> None:
    longer = root / "roles/tuner_cache/meta"
    longer.mkdir(parents=True)
    (longer / "argument_specs.yml").write_text(SPEC.replace("tuner_", "tuner_cache_"))
    check(root, "- hosts: all\n  roles: [tuner, tuner_cache]\n", "tuner_cache_memory")
    with pytest.raises(ConfigurationError, match="the role tuner_cache has no such variable"):
        check(root, "- hosts: all\n  roles: [tuner, tuner_cache]\n", "tuner_cache_memroy")


def test_a_name_that_begins_as_the_playbooks_is_none_of_its_roles(root: Path) -> None:
    tuned = "- hosts: all\n  become: '{{ playbook_become }}'\n  roles: [tuner]\n"
    check(root, tuned, "playbook_become", "playbooks", "tuner_memory")
    with pytest.raises(ConfigurationError) as caught:
        check(root, tuned, "playbook_memory")
    assert str(caught.value) == (
        "-e playbook_memory: the playbook playbook has no such variable; did you mean tuner_memory?"
    )
    for unsure in ("- hosts: all\n  roles: [tuner, free]\n", "- hosts: all\n"):
        check(root, unsure, "playbook_memory")


@pytest.mark.parametrize(
    ("playbook", "name", "near"),
    [
        ("database_upkeep", "database_upkeep_window_s", "postgres_upkeep_window_s"),
        ("database_performance", "database_performance_user", "postgres_performance_user"),
        ("backup", "backup_become_user", "vault_backup_become_user"),
        ("nba_import", "nba_import_seasons", "nba_refresh_"),
    ],
)
def test_our_own_jobs_that_are_not_named_as_their_role(playbook: str, name: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"did you mean {near}"):
        check_role_variables([name], CHECKOUT, CHECKOUT / f"playbooks/{playbook}.yml")


def test_whom_a_playbook_is_for_is_read_where_it_is_plain(root: Path) -> None:
    path = root / "playbook.yml"
    plays = ["servers", "caches:&servers", "servers", "'{{ which }}'", "[a, b]"]
    path.write_text("".join(f"- hosts: {each}\n" for each in plays))
    assert hosts_named(path) == ["servers", "caches:&servers"]
    path.write_text("- hosts: [\n")
    assert hosts_named(path) == []


def test_the_example_in_our_own_messages_exists() -> None:
    with pytest.raises(ConfigurationError) as caught:
        options.parse_extra_vars(["word"])
    example = re.search(r"-e (\w+)=", str(caught.value))
    assert example
    check_role_variables([example[1]], CHECKOUT, CHECKOUT / "playbooks/nba_refresh.yml")
    with pytest.raises(ConfigurationError, match="did you mean nba_refresh_look_back_days"):
        check_role_variables(["nba_refresh_lookback_days"], CHECKOUT, CHECKOUT / "playbooks/nba_refresh.yml")
