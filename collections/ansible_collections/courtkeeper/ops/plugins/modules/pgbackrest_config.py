#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Configure pgBackRest and archiving on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbackrest_config
short_description: Configure pgBackRest and archiving on a host
version_added: 0.1.0
description:
  - Writes pgBackRest's configuration, C(0640) and owned by the server's user, the repositories' directories,
    the server's settings for archiving, and the file that C(courtkeeper check backups) reads.
  - What pgBackRest itself is to keep is set to all, as M(courtkeeper.ops.pgbackrest_backup) plans what goes.
  - Nothing is asked of the server; M(courtkeeper.ops.pgbackrest_archiving) lets it take the settings up.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  name:
    description: Name of the stanza.
    type: str
    required: true
  cluster:
    description: Debian's name of the cluster.
    type: str
    default: main
  version:
    description: Its major version, where several clusters of that name are on the host.
    type: str
    default: ''
  host:
    description: Directory of the server's Unix socket.
    type: str
    default: /var/run/postgresql
  port:
    description: Port of the server.
    type: int
    default: 5432
  repositories:
    description: The repositories, in the shape of the variable C(postgres_backup_repositories) of the role.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: What it is.
        type: str
        required: true
        choices: [directory, s3]
      path:
        description: The directory, or the path in the bucket.
        type: str
        required: true
      cipher_pass:
        description: Passphrase of the encryption (AES-256).
        type: str
        required: true
      bucket:
        description: The bucket.
        type: str
      endpoint:
        description: Host name of the store.
        type: str
      port:
        description: Its port.
        type: int
      region:
        description: The bucket's region.
        type: str
      path_style:
        description: Whether the bucket is named in the path instead of the host.
        type: bool
      ca_file:
        description: Certificate of the store's CA.
        type: str
      access_key:
        description: Key id; empty with a role of the machine.
        type: str
      secret_key:
        description: The key.
        type: str
  standby:
    description: A replica that files are copied from, C({path, port, host, user}).
    type: dict
    default: {}
  compress:
    description: How files are compressed.
    type: str
    default: zst
    choices: [zst, lz4, gz, bz2, none]
  compress_level:
    description: How hard.
    type: int
    default: 3
  processes:
    description: Processes that compress and copy; V(0) is the CPUs, at most 4.
    type: int
    default: 0
  archive_timeout_s:
    description: Seconds after which a segment is archived at the latest.
    type: int
    default: 60
  config:
    description: The file with pgBackRest's configuration.
    type: str
    default: /etc/pgbackrest/pgbackrest.conf
  settings_file:
    description: File for the command line; empty where there is to be none.
    type: str
    default: ''
  state_directory:
    description: Holds the lock, and what is remembered between runs.
    type: str
    default: ''
  policy:
    description: Calendar, retention and limits, for the command line.
    type: dict
    default: {}
  owner:
    description: The system user that the server runs as.
    type: str
    default: postgres
"""

EXAMPLES = r"""
- name: Configure a stanza with a repository on a disk
  courtkeeper.ops.pgbackrest_config:
    name: main
    repositories:
      - kind: directory
        path: /srv/pgbackrest
        cipher_pass: "{{ courtkeeper_secrets.pgbackrest_cipher_pass }}"
"""

RETURN = r"""
changed:
  description: Whether a file or a directory differs from before.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: None; the other modules of pgBackRest judge.
  type: list
  elements: dict
  returned: always
actions:
  description: What was done or, in check mode, what would be done.
  type: list
  elements: str
  returned: success
metrics:
  description: Numbers with their units in the names.
  type: dict
  returned: success
details:
  description: The server's C(data_directory) and C(version), and the stanza's C(settings).
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

from contextlib import suppress

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library

with suppress(ImportError):  # require_library says so in one sentence
    from courtkeeper.vault.pgbackrest.setup import configure


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        name=dict(type="str", required=True),
        cluster=dict(type="str", default="main"),
        version=dict(type="str", default=""),
        host=dict(type="str", default="/var/run/postgresql"),
        port=dict(type="int", default=5432),
        repositories=dict(
            type="list",
            elements="dict",
            required=True,
            options=dict(
                kind=dict(type="str", required=True, choices=["directory", "s3"]),
                path=dict(type="str", required=True),
                cipher_pass=dict(type="str", required=True, no_log=True),
                bucket=dict(type="str"),
                endpoint=dict(type="str"),
                port=dict(type="int"),
                region=dict(type="str"),
                path_style=dict(type="bool"),
                ca_file=dict(type="str"),
                access_key=dict(type="str", no_log=False),  # an id, which the store's own messages name
                secret_key=dict(type="str", no_log=True),
            ),
        ),
        standby=dict(type="dict", default={}),
        compress=dict(type="str", default="zst", choices=["zst", "lz4", "gz", "bz2", "none"]),
        compress_level=dict(type="int", default=3),
        processes=dict(type="int", default=0),
        archive_timeout_s=dict(type="int", default=60),
        config=dict(type="str", default="/etc/pgbackrest/pgbackrest.conf"),
        settings_file=dict(type="str", default=""),
        state_directory=dict(type="str", default=""),
        policy=dict(type="dict", default={}),
        owner=dict(type="str", default="postgres"),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    told = dict(module.params)
    told["stanza"] = told.pop("name")
    told["repositories"] = [
        {key: value for key, value in entry.items() if value is not None} for entry in told["repositories"]
    ]
    return configure(told, check_mode=module.check_mode)


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: run(module))


if __name__ == "__main__":
    main()
