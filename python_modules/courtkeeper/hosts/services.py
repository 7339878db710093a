"""Services of a host, through systemd."""

from __future__ import annotations

from courtkeeper.findings import ConfigurationError
from courtkeeper.hosts import commands

ASK_S = 30
CHANGE_S = 180


def exists(unit: str) -> bool:
    """Tell whether systemd knows `unit` (a name such as `nginx` or `nginx.service`)."""
    shown = commands.run(
        ["systemctl", "show", "--property", "LoadState", "--value", "--", unit], timeout_s=ASK_S
    )
    return shown.stdout.strip() not in {"", "not-found"}


def can_reload(unit: str) -> bool:
    """Tell whether systemd knows how to reload `unit`."""
    shown = commands.run(
        ["systemctl", "show", "--property", "CanReload", "--value", "--", unit], timeout_s=ASK_S
    )
    return shown.stdout.strip() == "yes"


def is_active(unit: str) -> bool:
    """Tell whether `unit` runs."""
    asked = commands.run(
        ["systemctl", "is-active", "--quiet", "--", unit], timeout_s=ASK_S, allowed=(0, 1, 3, 4)
    )
    return asked.code == 0


def reload(unit: str) -> None:
    """Let `unit` read its configuration again, without an interruption. Raises CommandError."""
    commands.run(["systemctl", "reload", "--", unit], timeout_s=CHANGE_S)


def restart(unit: str) -> None:
    """Stop and start `unit`. Raises CommandError."""
    commands.run(["systemctl", "restart", "--", unit], timeout_s=CHANGE_S)


def revive(unit: str) -> None:
    """Start `unit` again after a failure, even one too often for systemd. Raises CommandError."""
    commands.run(["systemctl", "reset-failed", "--", unit], timeout_s=ASK_S, allowed=range(256))
    restart(unit)


def refuse_unknown(units: list[str], where: str) -> None:
    """Raise ConfigurationError naming the first of `units` that this host lacks; `where` is the variable."""
    for unit in units:
        if not exists(unit):
            raise ConfigurationError(f"{where} names {unit}, and this host has no such service.")
