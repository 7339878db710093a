"""Secrets: where they come from, how they reach Ansible, and how they are kept out of all that is written."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from courtkeeper.findings import ConfigurationError
from courtkeeper.runner.options import shown

KEY = "courtkeeper_secrets_file"
MASK = "********"
_SECRET_NAME = re.compile(
    r"passw(?:or)?d|passphrase|secret|token|credential|(?:api|access|private)_?key|(?:^|_)pass(?:_|$)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/\s@]*:[^/\s@]+@|\bpassword=", re.IGNORECASE)  # an address with a password
_SHORTEST = 6  # below this a value is too common a piece of text to be told from chance


def load_secrets(root: Path, inventory: Path, explicit: Path | None) -> dict[str, Any]:
    """Return the secrets of an inventory, or {} if it names none.

    Raises ConfigurationError naming file, key and the mend; never repeats the content.
    """
    if explicit is not None:
        source = f"--secrets-file {explicit}"
        return _read_secrets(explicit.expanduser(), root, source, missing="give a file that exists")
    settings = inventory / "group_vars" / "all" / "platform.yml"
    named = _named_file(settings, root)
    if named is None:
        return {}
    path = root / Path(named).expanduser()
    embedded = path.is_relative_to(root / "var" / "platform")
    source = f"{KEY} in {shown(settings, root)}"
    if embedded:
        mend = "run `courtkeeper platform up`"
        return _read_secrets(path, root, source, missing=mend, broken=mend)
    return _read_secrets(path, root, source, missing="create it with mode 0600, or correct the key")


def _named_file(settings: Path, root: Path) -> str | None:
    import yaml

    try:
        # Composed, not constructed: an inventory may hold tags that only Ansible knows.
        node = yaml.compose(settings.read_text("utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        return None
    except yaml.MarkedYAMLError as error:
        # Its own text quotes the file, which may hold what should not be shown.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(
            f"{shown(settings, root)} is not YAML: {error.problem} (line {line}); correct that line."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigurationError(f"{shown(settings, root)} is not YAML in UTF-8: correct the file.") from None
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    value = next((item.value for key, item in pairs if key.value == KEY), None)
    if value is None:
        return None
    if not isinstance(value, str) or not value or "{{" in value:
        raise ConfigurationError(
            f"{KEY} in {shown(settings, root)} must be a plain path such as var/platform/secrets.json."
        )
    return value


def _read_secrets(
    path: Path, root: Path, source: str, *, missing: str, broken: str = "correct it"
) -> dict[str, Any]:
    file = f"The secrets file {shown(path, root)} ({source})"
    try:
        _check_owners_alone(path, file)
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{file} does not exist: {missing}.") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ConfigurationError(f'{file} must hold one JSON object, as {{"name": "value"}}: {broken}.')
    return content


def _check_owners_alone(path: Path, file: str) -> None:
    """Raise ConfigurationError unless `path` is a file, or a pipe, that its owner alone can read."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        what = "a directory" if stat.S_ISDIR(mode) else "no plain file"
        raise ConfigurationError(f"{file} is {what}: name a file.")
    if mode & 0o077:
        raise ConfigurationError(
            f"{file} can be read by others (mode {stat.S_IMODE(mode):04o}): run `chmod 600 {path}`."
        )


def one_line(text: str) -> str:
    """Return `text` on one line, each run of white space as one space."""
    return " ".join(text.split())


def looks_secret(name: str, value: object) -> bool:
    """Whether a variable, or anything in it, is one that a person would not want to see written down."""
    if isinstance(value, Mapping):
        return looks_secret(name, "") or any(looks_secret(str(key), item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(looks_secret(name, item) for item in (*value, ""))
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(str(value)))


class Redactor:
    """Replaces every secret value, however it was escaped or wrapped, in whatever is to be kept or shown."""

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        """Learn the values of `secrets`: strings and numbers, at any depth."""
        forms = {form for value in _texts(secrets) for form in _forms(value)}
        # Longest first, so that a secret that contains another leaves no tail behind. A terminal may have
        # broken a line within a value, hence the optional line end between any two characters.
        patterns = [r"(?:\r?\n)?".join(map(re.escape, form)) for form in sorted(forms, key=len, reverse=True)]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def text(self, value: str) -> str:
        """Return `value` with every secret replaced."""
        return self._pattern.sub(MASK, value) if self._pattern else value

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of an event with every secret replaced."""
        return {key: self(value) for key, value in event.items()}

    def __call__(self, value: object) -> object:
        """Return a copy of plain data (dicts, lists, scalars) with every secret replaced, keys too."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return MASK if self._pattern.fullmatch(str(value)) else value
        return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def _forms(value: str) -> Iterator[str]:
    """The ways one value may turn up: as it is, within JSON or a Python literal, within a URL, by line."""
    lines = [line.strip() for line in value.splitlines()] if "\n" in value else []
    for text in (value, value.strip(), *lines):
        if len(text) >= _SHORTEST:
            yield text
            yield json.dumps(text)[1:-1]
            yield json.dumps(text, ensure_ascii=False)[1:-1]
            yield repr(text)[1:-1]
            yield quote(text, safe="")
            yield quote(text)


def as_yaml(variables: Mapping[str, Any]) -> str:
    """Return variables as a YAML file for `ansible-playbook -e @FILE` that gives every value back as it is.

    A string that looks like a template is marked `!unsafe`, so that a password may hold `{{`. Only such a
    string: Ansible looks at a marked one as if it had no quotes, and makes a number of "0123".
    """
    return "".join(f"{_node(name)}: {_node(value)}\n" for name, value in variables.items())


def _node(value: object) -> str:
    if isinstance(value, str):
        mark = "!unsafe " if any(sign in value for sign in ("{{", "{%", "{#")) else ""
        # YAML's double quotes take any character as \UXXXXXXXX, also those a YAML file may not hold.
        plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
        return f'{mark}"{"".join(plain)}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_node(str(k))}: {_node(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_node(item) for item in value) + "]"
    return json.dumps(value)


class VariablesPipe:
    """A FIFO that hands `content` to whoever opens it, so that it never lies in a file.

    Each reader gets a FIFO of its own: the name is moved on to a fresh one before the first byte is
    written, else a second open by the writer could reach a reader that has not seen the end yet. The
    writer never waits for a reader that does not come.
    """

    def __init__(self, path: Path, content: str) -> None:
        """Prepare a FIFO at `path`, in a directory that only this user can enter."""
        self._path = path
        self._content = content.encode()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="courtkeeper-variables", daemon=True)
        self.readers = 0

    def __enter__(self) -> Self:
        """Create the FIFO and start to serve it."""
        os.mkfifo(self._path, 0o600)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving and remove the FIFO."""
        self._stop.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._stop.wait(0.005 if self.readers == 0 else 0.05):
            try:
                end = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # anything but "nobody reads": the directory is gone
                    return
                continue
            try:
                self._move_on()
                self._write(end)
            finally:
                os.close(end)
            self.readers += 1

    def _move_on(self) -> None:
        fresh = self._path.with_suffix(".next")
        os.mkfifo(fresh, 0o600)
        fresh.replace(self._path)

    def _write(self, end: int) -> None:
        rest = memoryview(self._content)
        while rest and not self._stop.is_set():
            try:
                rest = rest[os.write(end, rest) :]
            except BlockingIOError:
                self._stop.wait(0.005)
            except BrokenPipeError:
                return
