"""Values as a server gives them back, so that what is wanted can be compared with what is.

Each rule was observed on Redis 7.0.15 and Valkey 9.1: `1gb` reads back as 1073741824, `replica` as `slave`,
`KEA` as `AKE`, and one class of `client-output-buffer-limit` set leaves the others as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.tuning.parameters import MEMORY, NUMBERS, WORDS, one_name

# util.c: memtoull(). Decimal by one letter, binary by two.
_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1000**2, "mb": 1 << 20, "g": 1000**3, "gb": 1 << 30}
_EVENTS = "g$lshzxetd"  # notify.c: what the flag A stands for
_CLASSES = {"normal": "normal", "slave": "slave", "replica": "slave", "pubsub": "pubsub"}
_MOST_HZ = 500  # server.h: CONFIG_MAX_HZ; more is taken, and cut

Given = str | int | float | bool | list[object]


def memory(text: str) -> int | None:
    """Return the bytes that `1gb` means to the server; None where it would not take it."""
    found = re.fullmatch(r"([0-9]{1,20})([a-z]*)", text, re.IGNORECASE | re.ASCII)
    if found is None or found[2].lower() not in _UNITS:
        return None
    return int(found[1]) * _UNITS[found[2].lower()]


def text_of(name: str, given: object) -> str:
    """Return what an inventory gives as the server's text: `true` is `yes`, a list its words.

    Raises ConfigurationError, naming the parameter, for what is no value.
    """
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, float) and given == given and abs(given) < 1e15:
        return f"{given:.12g}"
    if isinstance(given, str | int):
        text = str(given)
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in text.strip()):
            raise ConfigurationError(f"the value of {name} holds a control character: write it on one line")
        return text.strip()
    if isinstance(given, list):
        return " ".join(text_of(name, part) for part in given)
    raise ConfigurationError(
        f"the value of {name} is no text, number, yes or no: write it as in a redis.conf"
    )


def canonical(name: str, text: str, now: str = "") -> str:
    """Return `text`, wanted for the parameter `name`, as CONFIG GET would give it back.

    `now` is what it gives at present, which `client-output-buffer-limit` changes in part. What is not
    understood stays as it is: the server judges it. Doing it twice is doing it once.
    """
    wanted, text = one_name(name), text.strip()
    if wanted in MEMORY:
        return _memory(text)
    if wanted == "save":
        return " ".join(text.split())
    if wanted == "client-output-buffer-limit":
        return _limits(text, now)
    if wanted == "notify-keyspace-events":
        return _events(text)
    if wanted == "hz":
        return str(min(int(text), _MOST_HZ)) if _whole(text) else text
    if wanted in NUMBERS:
        return " ".join(_number(part) for part in text.split())
    if wanted == "oom-score-adj" and text.lower() == "relative":
        return "yes"
    if wanted in WORDS or text.lower() in {"yes", "no"}:
        return text.lower()
    return str(int(text)) if _whole(text) else text


def same(name: str, one: str, other: str) -> bool:
    """Tell whether two values of a parameter mean the same."""
    return canonical(name, one, other) == canonical(name, other, one)


def _whole(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) is not None


def _memory(text: str) -> str:
    if text.endswith("%"):
        return f"{int(text[:-1])}%" if _whole(text[:-1]) else text
    size = memory(text)
    return text if size is None else str(size)


def _number(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return f"{value:.12g}" if abs(value) < 1e12 else text


def _events(text: str) -> str:
    if not set(text) <= {*_EVENTS, *"AKEmn"}:
        return text
    flags = {*text, *_EVENTS} if "A" in text else set(text)
    whole = set(_EVENTS) <= flags
    # Where all are set, the server says A and leaves n out.
    shown = "A" if whole else "".join(flag for flag in _EVENTS if flag in flags)
    rest = "KEm" if whole else "KEmn"
    return shown + "".join(flag for flag in rest if flag in flags)


def _limits(text: str, now: str) -> str:
    told, present = _by_class(text.split()), _by_class(now.split())
    if told is None:
        return " ".join(text.split())
    merged = (present or {}) | told
    return " ".join(word for name in _order(merged) for word in (name, *merged[name]))


def _order(names: Iterable[str]) -> list[str]:
    return [name for name in ("normal", "slave", "pubsub") if name in set(names)]


def _by_class(words: list[str]) -> dict[str, tuple[str, str, str]] | None:
    if len(words) % 4:
        return None
    found = {}
    for name, hard, soft, seconds in zip(*[iter(words)] * 4, strict=True):
        bytes_ = memory(hard), memory(soft)
        if name.lower() not in _CLASSES or None in bytes_ or not _whole(seconds):
            return None
        found[_CLASSES[name.lower()]] = (str(bytes_[0]), str(bytes_[1]), str(int(seconds)))
    return found
