"""The terminal in which ansible-runner starts ansible-playbook, without its rest at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pexpect

if TYPE_CHECKING:
    Spawn = pexpect.spawn[str]
else:
    Spawn = pexpect.spawn


class Terminal(Spawn):
    """pexpect's own, but for the tenth of a second that it sleeps so that the kernel may note a child's end.

    ansible-runner closes it once the child has been waited for: there is nothing left to be noted.
    """

    ptyproc: Any

    def close(self, force: bool = True) -> None:
        """Close it; what still lives is ended as pexpect does it."""
        if not self.isalive():
            self.ptyproc.delayafterclose = 0.0
        super().close(force)


def use() -> None:
    """Let ansible-runner take it, which has no setting for that and asks the package each time."""
    pexpect.spawn = Terminal  # type: ignore[assignment,misc]
