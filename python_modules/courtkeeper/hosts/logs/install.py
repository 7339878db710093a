"""Take declared stanzas into use: tried on a copy of the whole configuration, then installed, or put back.

A journal (`pending.json`) is written before the first change and removed after logrotate has read the result
without a new complaint. A run that finds one, because it was killed, undoes what it says before all else,
the duty's state included: only that knows which files of packages were set aside.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.hosts import commands, files
from courtkeeper.hosts.logs import config, paths, state
from courtkeeper.hosts.logs.stanzas import HEADER, Stanza, render

PREFIX = "courtkeeper-"
ASIDE = ".disabled"  # one of the endings that logrotate passes over
ASK_S = 60


class Place(msgspec.Struct, frozen=True):
    """Where logrotate's configuration and the duty's state lie."""

    main: Path = Path(config.MAIN)
    directory: Path = Path("/etc/logrotate.d")
    state: Path = state.DIRECTORY


class Operation(msgspec.Struct, frozen=True):
    """One change: write `path` (None: remove it), or move it to `target`; `before` is its old content."""

    path: str
    target: str = ""
    content: str | None = None
    before: str | None = None

    def sentence(self) -> str:
        """Say what is done, for `actions`."""
        if self.target:
            return f"move {self.path} to {self.target}"
        return f"remove {self.path}" if self.content is None else f"write {self.path}"


class Pending(msgspec.Struct, frozen=True):
    """What a run is about to do, and the duty's state before it."""

    operations: list[Operation]
    known: state.State


def plan(
    stanzas: Sequence[Stanza], known: state.State, keeper: str, archive: str, place: Place
) -> list[Operation]:
    """Decide what has to change so that exactly `stanzas` are in use. Raises ConfigurationError."""
    wanted = {
        str(place.directory / f"{PREFIX}{each.name}"): render(each, keeper=keeper, archived=bool(archive))
        for each in stanzas
    }
    present = {str(path): _text(path) for path in sorted(place.directory.glob(f"{PREFIX}*")) if _ours(path)}
    operations = [Operation(p, content=None, before=t) for p, t in present.items() if p not in wanted]
    replaced = {each.replaces: each.name for each in stanzas if each.replaces}
    operations += [
        Operation(path + ASIDE, target=path)
        for path in known.replaced
        if path not in replaced and Path(path + ASIDE).is_file() and not Path(path).exists()
    ]
    for path, name in replaced.items():
        operations += [move for move in [_set_aside(path, name)] if move]
        _refuse_forgotten(path, name, stanzas)
    for path, content in wanted.items():
        if path not in present and Path(path).exists():
            raise ConfigurationError(
                f"{path} is not ours and has the name that log_rotation_stanzas needs: move it."
            )
        if present.get(path) != content:
            operations.append(Operation(path, content=content, before=present.get(path)))
    return operations


def _set_aside(path: str, name: str) -> Operation | None:
    """Return the move that takes a replaced file out of use; None where that is done already."""
    file, aside = Path(path), Path(path + ASIDE)
    if not file.exists():
        if not aside.exists():
            raise ConfigurationError(
                f"log_rotation_stanzas ({name}): replaces is {path}, and this host has no such file."
            )
        return None
    if not file.is_file() or file.is_symlink():
        raise ConfigurationError(
            f"log_rotation_stanzas ({name}): replaces is {path}, which is no regular file."
        )
    if aside.exists() and aside.read_bytes() != file.read_bytes():
        raise ConfigurationError(
            f"log_rotation_stanzas ({name}): {path} came back and differs from {aside}: remove one."
        )
    return Operation(path, target=str(aside))


def _refuse_forgotten(path: str, name: str, stanzas: Sequence[Stanza]) -> None:
    """Refuse to set a file aside that rotates logs which no declared stanza takes over."""
    file = Path(path) if Path(path).exists() else Path(path + ASIDE)
    declared = [pattern for each in stanzas for pattern in each.paths]
    for block in config.parse(_text(file), path).blocks:
        for pattern in block.patterns:
            if not any(paths.matches(pattern, ours) for ours in declared):  # a wildcard as a letter of a name
                raise ConfigurationError(
                    f"log_rotation_stanzas ({name}): replaces is {path}, which rotates {pattern} as well: "
                    "declare a stanza for it, or nobody would rotate it."
                )


def _text(path: Path) -> str:
    """Read a file whose bytes may be no UTF-8, so that it can be written again as it was."""
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _ours(path: Path) -> bool:
    """Tell whether `path` was written by this duty: our line is in it, whatever else was changed by hand."""
    return (
        path.is_file()
        and not path.is_symlink()
        and not config.taboo(path.name)
        and HEADER[:40] in _text(path)
    )


def complaints(main: Path, shown_as: tuple[str, str] = ("\0", "")) -> list[str]:
    """Return what logrotate says is wrong with the configuration `main`, without rotating anything."""
    said = commands.run(
        ["logrotate", "--debug", "--state", "/dev/null", main], timeout_s=ASK_S, allowed=range(256)
    )
    text = (said.stdout + "\n" + said.stderr).replace(*shown_as)
    # logrotate does not end every message with a newline.
    return re.findall(r"(?:^|removed|rotated)error: (.*)", text, re.MULTILINE)


def refuse_unusable(operations: Sequence[Operation], place: Place) -> None:
    """Raise ConfigurationError if logrotate would complain of the configuration after `operations`.

    Asked of a copy, so that the host never has a wrong configuration, and check mode knows it too.
    """
    with tempfile.TemporaryDirectory(prefix="courtkeeper-logrotate-") as scratch:
        copy = Path(scratch) / "logrotate.d"
        copy.mkdir()
        for path in place.directory.iterdir():
            if path.is_file():
                shutil.copy2(path, copy)
        main = Path(scratch) / "logrotate.conf"
        include = re.compile(
            rf"^(\s*include[\s=]+)[\"']?{re.escape(str(place.directory))}/?[\"']?\s*$", re.MULTILINE
        )
        text, found = include.subn(lambda match: f"{match[1]}{copy}", _text(place.main))
        if not found:
            raise ConfigurationError(
                f"{place.main} does not include {place.directory}: no stanza there would ever be used; "
                "add the line or reinstall the package logrotate."
            )
        main.write_text(text, encoding="utf-8", errors="surrogateescape")
        names = (f"{scratch}/", "")
        before = complaints(main, names)
        for each in operations:
            _apply(Operation(_within(each.path, copy), _within(each.target, copy), each.content))
        worse = [line for line in complaints(main, names) if line not in before]
    if worse:
        raise ConfigurationError(
            f"logrotate does not accept what log_rotation_stanzas declares: {worse[0]}; nothing was changed."
        )


def _within(path: str, folder: Path) -> str:
    """Return the path of the same name in `folder`."""
    return str(folder / Path(path).name) if path else ""


def _apply(each: Operation) -> None:
    """Make one change; one that was made already is no error."""
    path = Path(each.path)
    if each.target:
        if path.exists():
            path.replace(each.target)
    elif each.content is None:
        path.unlink(missing_ok=True)
    else:
        files.write(path, each.content.encode("utf-8", "surrogateescape"), 0o644)


def _revert(each: Operation) -> None:
    """Take one change back; one that was not made is no error."""
    if each.target:
        _apply(Operation(each.target, target=each.path))
    else:
        _apply(Operation(each.path, content=each.before))


def install(operations: Sequence[Operation], after: state.State, place: Place) -> None:
    """Make the changes; put all back, with an error, if logrotate complains of what it did not before."""
    pending = place.state / "pending.json"
    before = complaints(place.main)
    try:
        place.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        journal = Pending(list(operations), state.read(place.state))
        files.write(pending, json.dumps(msgspec.to_builtins(journal)).encode())  # knows odd bytes
    except OSError as error:
        raise CourtkeeperError(
            f"{pending} cannot be written: {error.strerror}; nothing was changed."
        ) from None
    try:
        for each in operations:
            _apply(each)
        worse = [line for line in complaints(place.main) if line not in before]
        if not worse:
            files.write(place.state / "state.json", msgspec.json.encode(after))
    except (OSError, CourtkeeperError) as error:
        reason = f"the stanzas could not be installed: {str(error).rstrip('.')}"
        try:
            take_back(place)
        except CourtkeeperError as second:
            raise CourtkeeperError(f"{reason}; {second}") from None
        raise CourtkeeperError(f"{reason}; they were put back.") from None
    if worse:
        take_back(place)
        raise CourtkeeperError(f"logrotate complained of the new stanzas, which were put back: {worse[0]}.")
    pending.unlink()


def interrupted(place: Place) -> Pending | None:
    """Return what a run that was killed before it could judge its changes had begun; None where none was."""
    pending = place.state / "pending.json"
    try:
        return msgspec.convert(json.loads(pending.read_bytes()), Pending)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CourtkeeperError(
            f"{pending} cannot be read ({error}): compare /etc/logrotate.d by hand."
        ) from None


def take_back(place: Place) -> None:
    """Undo what the journal says and remove it; where that cannot be (CourtkeeperError) it stays."""
    begun, pending = interrupted(place), place.state / "pending.json"
    try:
        if begun:
            for each in begun.operations[::-1]:
                _revert(each)
            files.write(place.state / "state.json", msgspec.json.encode(begun.known))
            pending.unlink(missing_ok=True)
    except OSError as error:
        raise CourtkeeperError(
            f"what {pending} says could not be taken back ({error.filename}: {error.strerror}): mend that "
            "and run again."
        ) from None


def difference(operations: Sequence[Operation]) -> dict[str, str]:
    """Return the texts before and after, as Ansible's diff shows them."""
    before, after = [], []
    for each in operations:
        if each.target:
            before.append(f"{each.path}\n")
            after.append(f"{each.target}\n")
            continue
        before.append(f"# {each.path}\n{each.before}" if each.before is not None else "")
        after.append(f"# {each.path}\n{each.content}" if each.content is not None else "")
    if not operations:
        return {}
    readable = ("".join(text).encode("utf-8", "replace").decode() for text in (before, after))
    return dict(zip(("before", "after"), readable, strict=True))
