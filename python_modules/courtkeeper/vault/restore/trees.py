"""Unpacking a tar that streams past, some of its trees, each into a place of its own."""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import IO, Any

from courtkeeper.vault.restore.feed import RestoreError

# Debian 12's Python (3.11.2) has no filters yet; where there are some, the default may not be ours.
_UNFILTERED: dict[str, Any] = {"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}


class Unpacking:
    """Takes the bytes of a tar and writes the trees named in `places` (path in use → where it goes).

    Names that lead out of a tree are refused, also by way of a link that the tar made before. Owners are set
    as root only, and by number where a name is not known here.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = {path.strip("/"): place for path, place in places.items()}
        self.count = 0
        self._problem: BaseException | None = None
        reading, writing = os.pipe()
        self._stream: IO[bytes] = os.fdopen(writing, "wb", buffering=0)
        self._thread = threading.Thread(target=self._run, args=(reading,), name="unpacking", daemon=True)
        self._thread.start()

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises RestoreError where what came before could not be unpacked."""
        view = memoryview(chunk)
        try:
            while view:
                view = view[self._stream.write(view) :]
        except BrokenPipeError:
            self.finish()

    def finish(self) -> None:
        """Wait until all is unpacked. Raises RestoreError."""
        self.close()
        if self._problem:
            text = getattr(self._problem, "strerror", None) or self._problem
            name = getattr(self._problem, "filename", None)
            where = f" ({name})" if name else ""
            raise RestoreError(f"the files cannot be unpacked: {text}{where}") from self._problem

    def close(self) -> None:
        """End, however far it came."""
        if not self._stream.closed:
            self._stream.close()
        self._thread.join()

    def _run(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as archive:
                    for place, members in self._grouped(archive):
                        archive.extractall(place, members=members(), **_UNFILTERED)  # noqa: S202 - `_kept` did
                    while stream.read(1 << 20):
                        pass
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                self._problem = error

    def _grouped(
        self, archive: tarfile.TarFile
    ) -> Iterator[tuple[str, Callable[[], Iterator[tarfile.TarInfo]]]]:
        """Yield each tree with its members: they follow each other, as the tar is written tree by tree."""
        waiting: list[tarfile.TarInfo] = []
        ended = False

        def following() -> tarfile.TarInfo | None:
            nonlocal ended
            while not ended:
                member = waiting.pop() if waiting else archive.next()
                archive.members = []  # type: ignore[attr-defined] # or its memory would grow
                if member is None:
                    ended = True
                elif self._tree(member.name):
                    return member
            return None

        while (first := following()) is not None:
            tree = self._tree(first.name)
            waiting.append(first)

            place = str(Path(self._places[tree]).parent)

            def members(tree: str = tree, place: str = place) -> Iterator[tarfile.TarInfo]:
                while (member := following()) is not None:
                    if self._tree(member.name) != tree:
                        waiting.append(member)
                        return
                    self.count += 1
                    yield _kept(self._moved(member, tree), place)

            yield place, members

    def _tree(self, name: str) -> str:
        return next((tree for tree in self._places if name == tree or name.startswith(f"{tree}/")), "")

    def _moved(self, member: tarfile.TarInfo, tree: str) -> tarfile.TarInfo:
        """Return a member under the name that its tree has beside."""
        base = Path(self._places[tree]).name
        moved = copy(member)
        moved.name = base + member.name[len(tree) :]
        if member.islnk():
            if self._tree(member.linkname) != tree:
                raise RestoreError(
                    f"{member.name} is a hard link to {member.linkname}, which is in another tree"
                )
            moved.linkname = base + member.linkname[len(tree) :]
        return moved


def _kept(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
    """Return a member as it is, unless it would be written outside of the place."""
    target = os.path.realpath(os.path.join(place, member.name))  # noqa: PTH118 - follows links, on purpose
    inside = os.path.realpath(os.path.join(place, member.name.split("/")[0]))  # noqa: PTH118
    parent = os.path.realpath(os.path.join(place, os.path.dirname(member.name)))  # noqa: PTH118, PTH120
    out = parent != os.path.realpath(place) and not f"{parent}/".startswith(f"{inside}/")
    if ".." in member.name.split("/") or (out and target):
        raise RestoreError(f"{member.name} would be written outside of its tree: do not trust this backup")
    return member
