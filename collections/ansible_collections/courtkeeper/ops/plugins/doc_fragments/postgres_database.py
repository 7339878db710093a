# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Where the modules on Postgres find their database."""

from __future__ import annotations


class ModuleDocFragment:
    """The option `database`."""

    DOCUMENTATION = r"""
options:
  database:
    description: The database.
    type: dict
    required: true
    suboptions:
      host:
        description: Host name or address, or the directory of the Unix socket. Empty is libpq's own socket.
        type: str
        default: ''
      port:
        description: Port.
        type: int
        default: 5432
      name:
        description: Name of the database.
        type: str
        required: true
      user:
        description:
          - Role that does the work; the notes say what it has to be allowed.
          - Empty means the name of the system user, as peer authentication wants it.
        type: str
        default: ''
      password:
        description: The role's password; empty with peer authentication.
        type: str
        default: ''
      options:
        description: Further words of libpq, such as C(sslmode) and C(sslrootcert).
        type: dict
        default: {}
"""
