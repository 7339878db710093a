# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What every module of physical backups is told of the stanza."""

from __future__ import annotations


class ModuleDocFragment:
    """The option `stanza`."""

    DOCUMENTATION = r"""
options:
  stanza:
    description: The stanza. What is left out has the library's default, which docs/postgres_backup.md names.
    type: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      config:
        description: The file with pgBackRest's configuration.
        type: str
      program:
        description: pgBackRest itself.
        type: str
      host:
        description: Directory of the server's Unix socket, or its address.
        type: str
      port:
        description: Its port.
        type: int
      user:
        description: The role that asks it, a superuser or one with pg_monitor.
        type: str
      database:
        description: The database to connect to.
        type: str
      bin_directory:
        description: Where the server's own programs are.
        type: str
      state_directory:
        description: Holds the lock, and what is remembered between runs. A restore needs it.
        type: str
      scratch_directory:
        description: Where drills restore to.
        type: str
      policy:
        description: Calendar, retention and limits.
        type: dict
"""
