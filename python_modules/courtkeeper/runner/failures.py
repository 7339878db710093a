"""Turns what Ansible prints and returns into one sentence for a person, and tells whose mistake it was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from courtkeeper.runner.options import shown
from courtkeeper.runner.secrets import one_line

SPEC_ACTIONS = {"ansible.builtin.validate_argument_spec", "validate_argument_spec"}
_LONGEST = 600
# What ansible-core 2.19 puts before the part that matters; each may follow the other.
_NOISE = re.compile(
    r"^(?:Task failed: |Module failed: |Action failed: |Finalization of task args for '[^']*' failed: "
    r"|Error while resolving value for '[^']*': |Error while evaluating conditional: "
    r"|Validation of arguments failed:\s*|The conditional check '[^']*' failed\. The error was: )"
)
# Met before a module runs, while Ansible works out what the inventory and the playbook say.
_TEMPLATING = re.compile(
    r"Finalization of task args for '|Error while (?:resolving value|evaluating conditional)|' is undefined"
)
_VARIABLE = (
    re.compile(r"'(\w+)' is undefined"),
    re.compile(r"missing required arguments?: (\w+)"),
    re.compile(r"argument '(\w+)' is of type"),
    re.compile(r"value of (\w+) must be"),
    re.compile(r"^(\w+) (?:is not set|is not defined|must be set|is required)\b"),
)

_HINT = re.compile(r"""undef\(\s*hint\s*=\s*(['"])(.+?)\1\s*\)""", re.DOTALL)
_KEY = re.compile(r"^(\w+):", re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """A task that failed on a host. `configuration`: what was asked for is wrong, not the world."""

    host: str
    task: str
    message: str
    configuration: bool = False
    unreachable: bool = False


def from_result(
    host: str, task: str, action: str, result: Mapping[str, Any], *, unreachable: bool
) -> Failure:
    """Return the failure that a `runner_on_failed` or `runner_on_unreachable` event tells of."""
    raw = str(_culprit(result).get("msg", ""))
    configuration = not unreachable and (
        action in SPEC_ACTIONS
        or bool(_culprit(result).get("configuration_error"))
        or bool(_TEMPLATING.search(raw))
    )
    return Failure(host, task, message_of(result), configuration, unreachable)


def message_of(result: Mapping[str, Any]) -> str:
    """Return a task's message on one line, without Ansible's wrapping."""
    result = _culprit(result)
    if "censored" in result:
        return "the reason is hidden, because the task has no_log"
    text = strip_noise(str(result.get("msg", "")))
    if "non-zero return code" in text and "rc" in result:  # in the words of core 2.19 and of 2.21
        return _of_command(result)
    if text.startswith("Module result deserialization failed"):
        said = _last_line(result.get("module_stderr")) or _last_line(result.get("module_stdout"))
        end = f"the module ended without a result (exit code {result.get('rc')})"
        return f"{end}: {said}" if said else end
    return text


def _culprit(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The item of a loop that failed, or the result itself."""
    items = result.get("results")
    if isinstance(items, Sequence) and not isinstance(items, str):
        for item in items:
            if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable")):
                return item
    return result


def _of_command(result: Mapping[str, Any]) -> str:
    said = _last_line(result.get("stderr")) or _last_line(result.get("stdout"))
    command = result.get("cmd")
    name = command[0] if isinstance(command, list) and command else str(command or "the command").split()[0]
    end = f"{name} ended with exit code {result.get('rc')}"
    return f"{end}: {said}" if said else end


def _last_line(text: object) -> str:
    lines = [line for line in str(text or "").splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def strip_noise(text: str) -> str:
    """Return a message of Ansible's on one line and without its prefixes, at most 600 characters long."""
    text = one_line(text)
    while (shorter := _NOISE.sub("", text)) != text:
        text = shorter
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def sentence(failures: Sequence[Failure], root: Path, inventory: Path) -> str:
    """Return one sentence for the failures of a run, the first of which matters most."""
    unreachable = list(dict.fromkeys(f.host for f in failures if f.unreachable))
    if unreachable and all(f.unreachable for f in failures):
        first = failures[0]
        if len(unreachable) == 1:
            return _ended(f"{first.host} cannot be reached: {_bare_ssh(first.message)}")
        return _ended(f"{', '.join(unreachable)} cannot be reached; {first.host}: {_bare_ssh(first.message)}")
    first = next(f for f in failures if not f.unreachable)
    text = _ended(f"{first.host}: {first.task}: {first.message}")
    if first.configuration:
        text = f"{text} {_mend(first.message, root, inventory)}"
    others = sorted({f.host for f in failures} - {first.host})
    return f"{text} Also failed: {', '.join(others)}." if others else text


def _bare_ssh(message: str) -> str:
    return message.removeprefix("Failed to connect to the host via ssh: ")


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _mend(message: str, root: Path, inventory: Path) -> str:
    home = inventory / "group_vars" / "all" / "platform.yml"
    if variable := _variable_in(message):
        return f"Set {variable} in {shown(home, root)}."
    if hinted := _hinted_by(message, inventory):
        # Whoever wrote the hint said what to do; what is missing is where it comes from.
        variable, home = hinted
        return f"({variable} in {shown(home, root)})"
    return f"Correct it in {shown(home, root)}."


def _variable_in(message: str) -> str:
    return next((match[1] for pattern in _VARIABLE if (match := pattern.search(message))), "")


def _hinted_by(message: str, inventory: Path) -> tuple[str, Path] | None:
    """Return the inventory's variable whose undef(hint=…) the message repeats: Ansible does not name it."""
    for path in sorted(inventory.glob("*_vars/**/*.yml")):
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for match in _HINT.finditer(text):
            keys = _KEY.findall(text, 0, match.start())
            if keys and one_line(match[2]) in message:
                return keys[-1], path
    return None


def start_error(lines: Iterable[str], root: Path) -> str:
    """Return why ansible-playbook ended before any task: its own [ERROR], with where that is."""
    blocks = list(_blocks(lines))
    errors = [block for block in blocks if block[0].startswith("[ERROR]: ")]
    inventory = [block for block in blocks if "Failed to parse inventory with 'yaml' plugin" in block[0]]
    if not errors:
        return one_line(" ".join(line for block in blocks for line in block))[:_LONGEST]
    main = errors[-1][0].removeprefix("[ERROR]: ")
    if "failed to parse inventory source" in main and inventory:
        # The message that matters came as a warning of the plugin that should have read the file.
        text = strip_noise(inventory[0][0].partition(" plugin: ")[2])
        where = next((o for block in blocks for o in _origins(block, root) if re.search(r":\d+$", o)), "")
        source = _relative(main.rpartition("inventory source ")[2], root)
        return _ended(f"The inventory {source} cannot be read: {text.rstrip('.')} ({where or source})")
    where = next(iter(_origins(errors[-1], root)), "")
    text = strip_noise(_relative(main, root))
    return _ended(f"{text.rstrip('.')} ({where})" if where else text)


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Ansible's messages, each with the lines that explain it."""
    block: list[str] = []
    for line in (line.strip("\r") for text in lines for line in text.splitlines()):
        if line.startswith("[") and block:
            yield block
            block = []
        if line.strip():
            block.append(line)
    if block:
        yield block


def _origins(block: list[str], root: Path) -> Iterator[str]:
    for line in block:
        if line.startswith("Origin: ") and "<" not in line:
            yield re.sub(r":\d+$", "", _relative(line.removeprefix("Origin: "), root), count=1)


def _relative(text: str, root: Path) -> str:
    return text.replace(f"{root}/", "")
