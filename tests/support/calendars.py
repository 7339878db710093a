"""Checkouts with a calendar of one's own, to read."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from courtkeeper.calendar.load import Loaded, load

BACKUP = """
    - name: backup
      schedule: FREQ=DAILY;BYHOUR=3
"""
HOSTS = "all:\n  children:\n    databases:\n      hosts:\n        db1: {}\n"
CHRISTMAS = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:test
BEGIN:VEVENT
UID:christmas
DTSTART;VALUE=DATE:20251224
DTEND;VALUE=DATE:20251227
RRULE:FREQ=YEARLY
SUMMARY:Christmas
END:VEVENT
END:VCALENDAR
"""


def checkout(where: Path, calendar: str, playbooks: str = "backup refresh patch") -> tuple[Path, Path]:
    """Lay a checkout out with one inventory, `home`, and return the inventory's directory and the root."""
    inventory = where / "inventory" / "home"
    variables = inventory / "group_vars" / "all"
    variables.mkdir(parents=True)
    (where / "playbooks").mkdir()
    (where / "ansible.cfg").touch()
    for name in playbooks.split():
        (where / f"playbooks/{name}.yml").write_text("[]\n")
    (inventory / "hosts.yml").write_text(HOSTS)
    (variables / "christmas.ics").write_text(CHRISTMAS)
    (variables / "calendar.yml").write_text(dedent(calendar), "utf-8")
    return inventory, where


def read(where: Path, jobs: str, top: str = "time_zone: America/New_York") -> Loaded:
    body = "\n".join(f"    {line}" for line in jobs.strip("\n").splitlines())
    return load(*checkout(where, f"courtkeeper_calendar:\n  {top}\n  jobs:\n{body}\n"))
