"""A YAML file with its line numbers: what stands where, and which keys were written twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from courtkeeper.findings import ConfigurationError

MOST_BYTES = 1_000_000


class UnreadableError(ConfigurationError):
    """The file cannot be used at all; `line` is where, from 1."""

    def __init__(self, sentence: str, line: int = 1) -> None:
        """Take the sentence for a person and the line."""
        super().__init__(sentence)
        self.line = line


def compose(path: Path) -> yaml.Node | None:
    """Return the root node of a YAML file, None for an empty one. Raises UnreadableError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableError("is not there; write it, or say which system with -i") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}; mend its rights") from None
    if len(raw) > MOST_BYTES:
        raise UnreadableError("is larger than 1 MB; a calendar is not")
    try:
        return yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise UnreadableError("is not UTF-8; save it so", raw[: error.start].count(b"\n") + 1) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UnreadableError(
            f"it is not YAML here: {error.problem or error.context}; mend the line", line
        ) from None
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())[:100]
        raise UnreadableError(f"it is not YAML: {said}; mend the file") from None
    except RecursionError:
        raise UnreadableError("it is nested too deeply; a calendar is not") from None


def built(node: yaml.Node) -> object:
    """Return a node as plain data, `<<` merged. Raises UnreadableError for tags and the like."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else line_of(node)
        raise UnreadableError(f"{error.problem}; write plain values", line) from None
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        raise UnreadableError(
            f"it holds what is no value: {' '.join(str(error).split())[:80]}", line_of(node)
        ) from None
    finally:
        loader.dispose()


def pairs(node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    """Return the keys and values of a mapping node in the order of the file; [] for any other."""
    return [(str(k.value), v) for k, v in node.value] if isinstance(node, yaml.MappingNode) else []


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the entries of a sequence node; [] for any other."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def at(node: yaml.Node, *path: str | int) -> yaml.Node:
    """Return the node at `path` below `node`, or the nearest above it that is there."""
    for step in path:
        if isinstance(step, int):
            below = items(node)[step : step + 1]
        else:
            below = [value for key, value in pairs(node) if key == step][-1:]
        if not below:
            return node
        node = below[0]
    return node


def line_of(node: yaml.Node) -> int:
    """Return the line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def doubled(node: yaml.Node, *, deep: bool = True) -> Iterator[tuple[str, int]]:
    """Yield each key that a mapping at (and with `deep` below) `node` has twice, and the later one's line."""
    seen: set[int] = set()
    left = [node]
    while left:
        current = left.pop()
        if id(current) in seen:
            continue  # an alias
        seen.add(id(current))
        keys: set[str] = set()
        for key, value in current.value if isinstance(current, yaml.MappingNode) else []:
            if str(key.value) in keys and key.value != "<<":
                yield str(key.value), line_of(key)
            keys.add(str(key.value))
            left += [value] if deep else []
        left += items(current) if deep else []
