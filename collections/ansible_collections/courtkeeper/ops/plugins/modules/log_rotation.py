#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Rotate, keep, clean and check the logs of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_rotation
short_description: Rotate, keep, clean and check the logs of a host
version_added: 0.1.0
description:
  - Writes one file in C(/etc/logrotate.d) for each declared stanza, after logrotate has accepted them on a
    copy of the whole configuration. What logrotate refuses is never in use, in check mode either.
  - Compresses rotated files after some days and archives or removes them after more. A file that a process
    still writes is left alone.
  - A stanza that is no longer declared goes, and the file that it replaced comes back.
  - Removes regular files that were neither read nor changed for some days from declared directories. It
    follows no link, stays on one file system, and leaves files that a process has open, files with a second
    name, sockets, and the private directories of systemd.
  - Then looks at all logs, as M(courtkeeper.ops.log_audit) does.
  - A wrong option is refused before anything is changed.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.log_limits
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
  clean:
    description: Directories whose old files are removed.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: One of O(clean_roots) or a directory in it.
        type: path
        required: true
      max_age_days:
        description: Files untouched for longer are removed.
        type: int
        required: true
      patterns:
        description: Names of the files that may be removed; all where left out.
        type: list
        elements: str
  clean_roots:
    description: Directories that may be cleaned; nothing outside is touched.
    type: list
    elements: path
    default: [/tmp, /var/tmp]
  journal_days:
    description: Archived files of the journal older than this are removed; V(0) leaves them.
    type: int
    default: 0
  journal_mib:
    description: Archived files of the journal are removed until it is not larger; V(0) leaves them.
    type: int
    default: 0
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
    clean:
      - path: /var/tmp
        max_age_days: 30
        patterns: ["import-*.csv"]
    journal_days: 30
"""

RETURN = r"""
changed:
  description: Whether a stanza, a rotated file or a cleaned directory differs from before.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: The stanzas in use, with how to take them back, files that were left alone, and faults.
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
from ansible_collections.courtkeeper.ops.plugins.module_utils.logs import LIMITS, limits_spec

try:
    from courtkeeper import progress
    from courtkeeper.hosts.logs.audit import Limits
    from courtkeeper.hosts.logs.duty import Cleaning
    from courtkeeper.hosts.logs.duty import run as whole_duty
    from courtkeeper.hosts.logs.rotation import Wanted
except ImportError:
    pass  # require_library says so in one sentence


def run(parameters, check):
    """Turn the module's parameters into one call of the library."""
    names = ("stanzas", "roots", "compress_after_days", "keep_days", "archive")
    return whole_duty(
        Wanted(**{name: parameters[name] for name in names}),
        Cleaning(
            entries=parameters["clean"],
            roots=parameters["clean_roots"],
            journal_days=parameters["journal_days"],
            journal_mib=parameters["journal_mib"],
        ),
        Limits(**{name: parameters[name] for name in LIMITS}),
        keeper=sys.executable,
        now=datetime.now(UTC),
        check=check,
        progress=progress.writer(parameters["progress_file"]),
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
            clean=dict(
                type="list",
                elements="dict",
                default=[],
                options=dict(
                    path=dict(type="path", required=True),
                    max_age_days=dict(type="int", required=True),
                    patterns=dict(type="list", elements="str"),
                ),
            ),
            # No file of ours is put there: these are the directories that may be cleaned.
            clean_roots=dict(type="list", elements="path", default=["/tmp", "/var/tmp"]),  # noqa: S108
            journal_days=dict(type="int", default=0),
            journal_mib=dict(type="int", default=0),
            **limits_spec(),
            progress_file=dict(type="str", default=""),
        ),
        supports_check_mode=True,
    )
    require_library(module)
    finish(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
