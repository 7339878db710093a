# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Where the modules on Redis and Valkey find their server."""

from __future__ import annotations


class ModuleDocFragment:
    """The option `server`."""

    DOCUMENTATION = r"""
options:
  server:
    description: The Redis or Valkey server, as the host that runs the module reaches it.
    type: dict
    required: true
    suboptions:
      host:
        description: Host name or address.
        type: str
        default: 127.0.0.1
      port:
        description: Port.
        type: int
        default: 6379
      socket:
        description: Path of a Unix socket, which goes before O(server.host) and O(server.port).
        type: str
        default: ''
      database:
        description: Number of the logical database.
        type: int
        default: 0
      user:
        description: User of the server's ACL; empty is its user V(default).
        type: str
        default: ''
      password:
        description: The user's password; empty where none is wanted.
        type: str
        default: ''
      tls:
        description: Whether to speak TLS.
        type: bool
        default: false
      ca_file:
        description: File of the CA that signed the server's certificate; empty means the system's.
        type: str
        default: ''
      cert_file:
        description: File of our own certificate, where the server wants one.
        type: str
        default: ''
      key_file:
        description: File of the key to O(server.cert_file).
        type: str
        default: ''
      timeout_s:
        description: Seconds that an answer is waited for.
        type: float
        default: 10.0
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
"""
