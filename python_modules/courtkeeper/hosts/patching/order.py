"""In which order hosts are patched, and in which batches. Runs on the controller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from courtkeeper.findings import ConfigurationError


def batches(
    groups: Mapping[str, Sequence[str]], hosts: Sequence[str], order: Sequence[str], serial: object
) -> list[list[str]]:
    """Return `hosts` in batches: group by group in `order`, no batch with hosts of two of them.

    A host belongs to the first group that has it; those in none come last. `serial` is how many hosts a
    batch has, or a share of their group such as `25%`. Raises ConfigurationError.
    """
    found: list[list[str]] = []
    left = list(hosts)
    for name in [*order, None]:
        if name is not None and name not in groups:
            raise ConfigurationError(
                f"os_patching_groups names {name}, and the inventory has no such group: "
                "the hosts would be patched in another order than you want."
            )
        members = left if name is None else [host for host in left if host in groups[name]]
        left = [host for host in left if host not in members]
        size = _size(serial, len(members))
        found += [members[first : first + size] for first in range(0, len(members), size)]
    return found


def _size(serial: object, members: int) -> int:
    text = str(serial).strip()
    number = text.removesuffix("%")
    if not (number.isascii() and number.isdigit()) or isinstance(serial, bool) or not int(number[:9]) > 0:
        raise ConfigurationError(
            f"os_patching_serial is {serial!r}; write 1 or more, or a share such as 25%."
        )
    if text.endswith("%"):
        return max(1, members * min(int(number), 100) // 100)
    return int(number)


def described(found: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return what the playbook needs: `hosts` in order, `serial` sizes, and `after`: who comes later."""
    flat = [host for batch in found for host in batch]
    after: dict[str, list[str]] = {}
    for number, batch in enumerate(found):
        later = [host for rest in found[number + 1 :] for host in rest]
        after |= dict.fromkeys(batch, later)
    return {"hosts": flat, "serial": [len(batch) for batch in found], "after": after}
