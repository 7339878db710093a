"""What takes back the changes that were made, in a file that outlives the run."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from courtkeeper.findings import ConfigurationError, CourtkeeperError


class Record:
    """Statements that bring back what was changed, by name, in a file of the host that runs this.

    They are on the disk before the change is made: who is killed in between has lost nothing. An index is
    called by its name alone, a setting with the value it was given (`work_mem = 64MB`).
    """

    def __init__(self, directory: str, database: str) -> None:
        name = re.sub(r"[^\w.-]", "_", database)
        if name != database:  # two databases whose names differ by that alone have two files
            name += f"-{hashlib.sha256(database.encode()).hexdigest()[:8]}"
        self.path = Path(directory) / f"undo-{name}.sql"

    def ready(self) -> None:
        """See that the file can be written to. Raises ConfigurationError."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write("")
        except OSError as error:
            raise ConfigurationError(
                f"state_directory {self.path.parent} cannot be written to ({error.strerror}): name another"
            ) from error

    def kept(self) -> set[str]:
        """Return the names in the file, as `title` has them."""
        return set(re.findall(r"^-- (.+)$", self._text(), re.MULTILINE))

    @staticmethod
    def title(name: str) -> str:
        """Return a name on one line: a comment ends with its line, and what follows is run as SQL."""
        return re.sub(r"[\r\n]", lambda found: repr(found[0])[1:-1], name)

    def applied(self) -> dict[str, str]:
        """Return the settings that were changed, and to what the last time; none where it may not be read."""
        try:
            return dict(re.findall(r"^-- ([\w.]+) = (.*)$", self._text(), re.MULTILINE))
        except OSError:
            return {}

    def keep(self, name: str, undo: str) -> None:
        """Write down how a change is taken back; what is there already, from a run that was killed, stays.

        Raises CourtkeeperError where that cannot be done (a full disk): then nothing may be changed.
        """
        entry = f"-- {self.title(name)}\n{undo}\n"
        try:
            text = self._text()
            if entry not in text:
                self._write(entry if text.endswith("\n") or not text else f"\n{entry}")
        except OSError as error:
            raise CourtkeeperError(
                f"what takes the change of {name} back cannot be written to {self.path} ({error.strerror}): "
                "it was not changed; mend that and run it again"
            ) from error

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _write(self, text: str) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            left = text.encode()
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)
