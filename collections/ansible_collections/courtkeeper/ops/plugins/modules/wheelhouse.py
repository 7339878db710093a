#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Build what a host needs for a venv of ours, in one archive."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wheelhouse
short_description: Build what a host needs for a venv of ours, in one archive
version_added: 0.1.0
description:
  - Runs on the controller. Collects the wheels that are pinned for hosts, for the host's Python and
    machine, builds the library's own where that is what is asked for, and packs them with their hashes.
  - One archive serves all hosts of one kind; it is built once for each release.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - courtkeeper (the Python library with its extra C(driver), for the Python that runs the module)
  - pip, and a package index that it reaches, unless the wheels are there
  - hatchling
options:
  package:
    description: What the archive is for, the courtkeeper library or certbot.
    type: str
    choices: [courtkeeper, certbot]
    default: courtkeeper
  source:
    description: Checkout of Courtkeeper.
    type: path
    required: true
  directory:
    description: Directory of the archives and of the wheels.
    type: path
    required: true
  python:
    description: The host's version of Python, in full (such as C(3.11.2)).
    type: str
    required: true
  machine:
    description: The host's machine (C(x86_64) or C(aarch64)).
    type: str
    required: true
  glibc:
    description: The host's version of the GNU C library (such as C(2.36)).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Build the wheelhouse for Debian 12
  courtkeeper.ops.wheelhouse:
    source: /srv/courtkeeper
    directory: /srv/courtkeeper/var/wheelhouse
    python: 3.11.2
    machine: x86_64
    glibc: "2.36"
  delegate_to: localhost
"""

RETURN = r"""
changed:
  description: Whether an archive was built.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: Always empty.
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
details:
  description: The release's C(digest) and C(version), and its C(archive), which in check mode may be missing.
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

from contextlib import suppress
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library

with suppress(ImportError):  # require_library says so in one sentence
    from courtkeeper.wheelhouse import Target, build


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            package=dict(choices=["courtkeeper", "certbot"], default="courtkeeper"),
            source=dict(type="path", required=True),
            directory=dict(type="path", required=True),
            python=dict(type="str", required=True),
            machine=dict(type="str", required=True),
            glibc=dict(type="str", required=True),
        ),
        supports_check_mode=True,
    )
    require_library(module)
    given = module.params
    finish(
        module,
        lambda: build(
            Path(given["source"]),
            Path(given["directory"]),
            Target(given["python"], given["machine"], given["glibc"]),
            package=given["package"],
            check=module.check_mode,
        ),
    )


if __name__ == "__main__":
    main()
