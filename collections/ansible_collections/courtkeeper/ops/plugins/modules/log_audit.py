#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Find what is wrong with the rotation of a host's logs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_audit
short_description: Find what is wrong with the rotation of a host's logs
version_added: 0.1.0
description:
  - Reads logrotate's whole configuration and status, its last run, the logs, the journal and the files that
    processes hold open, and says what does not fit. It changes nothing.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.log_limits
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  roots:
    description: Directories that hold logs.
    type: list
    elements: path
    default: [/var/log]
"""

EXAMPLES = r"""
- name: Look for logs that nobody rotates
  courtkeeper.ops.log_audit:
    roots: [/var/log, /srv/app/logs]
"""

RETURN = r"""
changed:
  description: Always false.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: Each fault with what would mend it, and what was looked at and is well.
  type: list
  elements: dict
  returned: success
actions:
  description: Always empty.
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
from ansible_collections.courtkeeper.ops.plugins.module_utils.logs import limits_spec

try:
    from courtkeeper.hosts.logs.audit import Limits
    from courtkeeper.hosts.logs.look import check
except ImportError:
    pass  # require_library says so in one sentence


def run(parameters):
    """Turn the module's parameters into one call of the library."""
    roots = parameters.pop("roots")
    return check(roots, Limits(**parameters), datetime.now(UTC))


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            roots=dict(type="list", elements="path", default=["/var/log"]),
            **limits_spec(),
        ),
        supports_check_mode=True,
    )
    require_library(module)
    finish(module, lambda: run(module.params))


if __name__ == "__main__":
    main()
