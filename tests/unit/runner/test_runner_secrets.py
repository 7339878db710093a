"""Where secrets come from, how they travel, and that none comes out again."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from ansible.parsing.dataloader import DataLoader
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.runner.secrets import MASK, Redactor, VariablesPipe, as_yaml, load_secrets
from support.examples import examples

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)


# Words that YAML reads as something else where they have no quotes, and what Ansible takes for templates.
TRAPS = st.sampled_from(
    ["0123", "1e3", "true", "null", "~", "2026-02-11", "=", "<<", "", "{{ x }}", "a{%b", "{#", "!x"]
)


VALUES = st.recursive(
    TEXT | TRAPS | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=4), max_leaves=6
)


@examples(300)  # small ones: a large one shows nothing that they do not
@given(st.dictionaries(TEXT.filter(lambda s: "{" not in s), VALUES, max_size=4))
def test_variables_survive_the_way_through_ansibles_own_loader(variables: dict[str, object]) -> None:
    assert (DataLoader().load(as_yaml(variables)) or {}) == variables


SECRET = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=6, max_size=20).filter(
    lambda s: len(s.strip()) >= 6 and not set(s) <= {"*"} and MASK not in s
)


@given(SECRET, TEXT, TEXT)
def test_no_secret_comes_through_however_it_is_escaped(secret: str, before: str, after: str) -> None:
    redact = Redactor({"nested": [{"password": secret}]})
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")):
        assert form not in redact.text(f"{before}{form}{after}").replace(MASK, "\0")


def test_a_secret_is_found_in_keys_lists_numbers_and_broken_lines() -> None:
    redact = Redactor({"password": "hunter2hunter2", "pin": 12345678, "short": "abc"})
    assert redact({"a hunter2hunter2": ["x", ("hunter2hunter2",), 12345678, 1.5, True, None]}) == {
        f"a {MASK}": ["x", [MASK], MASK, 1.5, True, None]
    }
    assert redact.text("hunter2hun\r\nter2") == MASK
    assert redact.text("abc hunter2") == "abc hunter2"


def test_each_line_of_a_key_is_a_secret_and_the_longer_secret_goes_first() -> None:
    redact = Redactor({"key": "BEGIN KEY\nMIIEvQIBADAN\nEND KEY\n", "a": "abcdef", "b": "abcdefghij"})
    assert redact.text("  MIIEvQIBADAN") == f"  {MASK}"
    assert redact.text("abcdefghij") == MASK


def test_without_secrets_nothing_is_touched() -> None:
    event = {"a": ["b", 1]}
    assert Redactor({}).event(event) == event


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "inventory" / "x" / "group_vars" / "all").mkdir(parents=True)
    return tmp_path


def name_file(root: Path, line: str) -> Path:
    inventory = root / "inventory" / "x"
    (inventory / "group_vars" / "all" / "platform.yml").write_text(line)
    return inventory


def put(path: Path, content: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def test_secrets_are_read_from_the_file_the_inventory_names(root: Path) -> None:
    inventory = name_file(root, "other: !vault x\ncourtkeeper_secrets_file: var/platform/secrets.json\n")
    put(root / "var/platform/secrets.json", '{"database_password": "p"}')
    assert load_secrets(root, inventory, None) == {"database_password": "p"}


def test_an_inventory_that_names_no_file_has_no_secrets(root: Path) -> None:
    assert load_secrets(root, root / "inventory" / "x", None) == {}
    assert load_secrets(root, name_file(root, "other: 1\n"), None) == {}
    assert load_secrets(root, name_file(root, ""), None) == {}


def test_a_file_that_is_missing_names_inventory_key_and_mend(root: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_secrets(root, name_file(root, "courtkeeper_secrets_file: var/platform/secrets.json"), None)
    assert str(caught.value) == (
        "The secrets file var/platform/secrets.json (courtkeeper_secrets_file in "
        "inventory/x/group_vars/all/platform.yml) does not exist: run `courtkeeper platform up`."
    )
    with pytest.raises(ConfigurationError, match="does not exist: create it with mode 0600"):
        load_secrets(root, name_file(root, "courtkeeper_secrets_file: /nowhere/s.json"), None)
    with pytest.raises(ConfigurationError, match=r"--secrets-file gone\.json"):
        load_secrets(root, root, Path("gone.json"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_others_can_read_is_refused_with_the_chmod(root: Path, mode: int) -> None:
    path = put(root / "s.json", "{}", mode)
    with pytest.raises(
        ConfigurationError, match=rf"can be read by others \(mode 0{mode:o}\): run `chmod 600 {path}`"
    ):
        load_secrets(root, root, path)


def test_what_is_no_file_is_not_to_be_given_other_rights(root: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\(--secrets-file .*\) is a directory: name a file\.$"):
        load_secrets(root, root, root)
    with pytest.raises(ConfigurationError, match=r"is no plain file: name a file\.$"):
        load_secrets(root, root, Path("/dev/null"))


@pytest.mark.parametrize("content", ["hunter2hunter2", '["hunter2hunter2"]', ""])
def test_a_file_of_another_shape_is_refused_without_showing_it(root: Path, content: str) -> None:
    with pytest.raises(ConfigurationError, match=r"must hold one JSON object, .*: correct it\.$") as caught:
        load_secrets(root, root, put(root / "s.json", content))
    assert "hunter2" not in str(caught.value)
    put(root / "var/platform/secrets.json", content)
    with pytest.raises(ConfigurationError, match="run `courtkeeper platform up`"):
        load_secrets(root, name_file(root, "courtkeeper_secrets_file: var/platform/secrets.json"), None)


@pytest.mark.parametrize("value", ["'{{ x }}'", "[a]", ""])
def test_the_key_must_be_a_plain_path(root: Path, value: str) -> None:
    with pytest.raises(ConfigurationError, match="must be a plain path such as"):
        load_secrets(root, name_file(root, f"courtkeeper_secrets_file: {value}\n"), None)


def test_settings_that_are_not_yaml_are_named_with_the_line_but_not_quoted(root: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"platform\.yml is not YAML: .* \(line 2\)") as caught:
        load_secrets(root, name_file(root, "password: [hunter2hunter2\n"), None)
    assert "hunter2" not in str(caught.value)


def test_the_pipe_serves_every_reader_once_and_whole(tmp_path: Path) -> None:
    content = "x" * 300_000  # more than a pipe holds
    with VariablesPipe(tmp_path / "variables", content) as pipe:
        assert (tmp_path / "variables").stat().st_mode & 0o777 == 0o600
        for _ in range(3):
            assert (tmp_path / "variables").read_text() == content
        assert [path.name for path in tmp_path.iterdir()] == ["variables"]
    assert pipe.readers == 3
    assert not list(tmp_path.iterdir())


def test_the_pipe_does_not_wait_for_a_reader_that_never_comes(tmp_path: Path) -> None:
    with VariablesPipe(tmp_path / "variables", "secret"):
        pass
    assert not [t for t in threading.enumerate() if t.name == "courtkeeper-variables"]


def test_the_pipe_survives_readers_that_leave_and_readers_that_stall(tmp_path: Path) -> None:
    path = tmp_path / "variables"
    with VariablesPipe(path, "y" * 300_000):
        with path.open("rb") as early:
            early.read(10)
        stalled = path.open("rb")  # opens, reads nothing, and must not keep the pipe from ending
    stalled.close()
