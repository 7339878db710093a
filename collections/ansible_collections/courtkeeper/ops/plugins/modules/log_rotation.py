#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Declare logrotate stanzas, and compress, archive and remove rotated logs by age."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_rotation
short_description: Declare logrotate stanzas, and compress, archive and remove rotated logs by age
version_added: 0.1.0
description:
  - Writes one file in C(/etc/logrotate.d) for each declared stanza, after logrotate has accepted them on a
    copy of the whole configuration. What logrotate refuses is never in use, in check mode either.
  - Compresses rotated files after some days and archives or removes them after more. A file that a process
    still writes is left alone.
  - A stanza that is no longer declared goes, and the file that it replaced comes back.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  stanzas:
    description:
      - The stanzas, in the shape of the variable C(log_rotation_stanzas) of the role C(log_rotation).
    type: list
    elements: dict
    default: []
  roots:
    description: Directories that hold logs; a stanza may name no path outside them.
    type: list
    elements: path
    default: [/var/log]
  compress_after_days:
    description: Age in days after which a rotated file is compressed.
    type: int
    default: 7
  keep_days:
    description: Age in days after which a rotated file is removed, or archived.
    type: int
    default: 30
  archive:
    description: Directory that takes what is past its days; empty where it is removed.
    type: str
    default: ''
  progress_file:
    description: File to which progress is written, one JSON line a file.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Rotate the logs of the platform
  courtkeeper.ops.log_rotation:
    stanzas:
      - name: nginx
        kind: nginx
        replaces: /etc/logrotate.d/nginx
      - name: platform
        paths: [/var/log/platform/*.log]
        service: platform.service
        signal: HUP
        owner: platform
        group: adm
    archive: /srv/log-archive
"""

RETURN = r"""
changed:
  description: Whether a stanza or a rotated file differs from before.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: The stanzas in use, with how to take them back, and rotated files that were left alone.
  type: list
  elements: dict
  returned: success
actions:
  description: What was done, or in check mode would be done.
  type: list
  elements: str
  returned: success
metrics:
  description: Numbers with their units in the names.
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

import sys
from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library

try:
    from courtkeeper import progress
    from courtkeeper.hosts.logs.install import Place
    from courtkeeper.hosts.logs.rotation import Wanted, rotate
except ImportError:
    pass  # require_library says so in one sentence


def run(parameters, check):
    """Turn the module's parameters into one call of the library."""
    writer = progress.writer(parameters.pop("progress_file"))
    return rotate(
        Wanted(**parameters),
        keeper=sys.executable,
        now=datetime.now(UTC),
        check=check,
        place=Place(),
        progress=writer,
    )


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            stanzas=dict(type="list", elements="dict", default=[]),
            roots=dict(type="list", elements="path", default=["/var/log"]),
            compress_after_days=dict(type="int", default=7),
            keep_days=dict(type="int", default=30),
            archive=dict(type="str", default=""),
            progress_file=dict(type="str", default=""),
        ),
        supports_check_mode=True,
    )
    require_library(module)
    finish(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
