#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Remove old files from declared directories and from the journal."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_clean
short_description: Remove old files from declared directories and from the journal
version_added: 0.1.0
description:
  - Removes regular files that were neither read nor changed for some days from directories below declared
    roots. It follows no link, stays on one file system, and leaves files that a process has open, files with
    a second name, sockets, and the private directories of systemd.
  - Lets journalctl remove archived files of the journal by age or size.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  directories:
    description: What is cleaned.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: One of the O(roots) or a directory in it.
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
  roots:
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
"""

EXAMPLES = r"""
- name: Remove what a job left in /var/tmp, and the journal of last month
  courtkeeper.ops.log_clean:
    directories:
      - path: /var/tmp
        max_age_days: 30
        patterns: ["import-*.csv"]
    journal_days: 30
"""

RETURN = r"""
changed:
  description: Whether a file was removed.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: Why nothing was cleaned, if so.
  type: list
  elements: dict
  returned: success
actions:
  description: What was removed, or in check mode would be, with the first names of each directory.
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

from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library

try:  # noqa: SIM105
    from courtkeeper.hosts.logs.clean import clean
except ImportError:
    pass  # require_library says so in one sentence


def run(parameters, check):
    """Turn the module's parameters into one call of the library."""
    return clean(
        parameters["directories"],
        parameters["roots"],
        journal_days=parameters["journal_days"],
        journal_mib=parameters["journal_mib"],
        now=datetime.now(UTC),
        check=check,
    )


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            directories=dict(
                type="list",
                elements="dict",
                default=[],
                options=dict(
                    path=dict(type="path", required=True),
                    max_age_days=dict(type="int", required=True),
                    patterns=dict(type="list", elements="str"),
                ),
            ),
            roots=dict(type="list", elements="path", default=["/tmp", "/var/tmp"]),  # noqa: S108
            journal_days=dict(type="int", default=0),
            journal_mib=dict(type="int", default=0),
        ),
        supports_check_mode=True,
    )
    require_library(module)
    finish(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
