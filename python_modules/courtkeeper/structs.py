"""Structs for threads: what msgspec knows of a type is made before two threads can ask for it at once.

msgspec looks at a type when it first decodes one. A second thread that comes meanwhile takes what is not
finished, and the process ends by SIGSEGV (0.22.0; one start of the scheduler in fifty).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


def prepare() -> None:
    """Make what msgspec has to know of every Struct that is imported by now. It takes about 10 ms."""
    for each in _below(msgspec.Struct):
        msgspec.json.Decoder(each)


def _below(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
