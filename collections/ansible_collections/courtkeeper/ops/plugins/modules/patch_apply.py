#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Upgrade a host's packages as planned, and go back when the gate fails."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patch_apply
short_description: Upgrade a host's packages as planned, and go back when the gate fails
version_added: 0.1.0
description:
  - Saves the list of packages, upgrades exactly what the plan of M(courtkeeper.ops.patch_plan) names,
    restarts what has to be, and waits until every service that ran before runs again and the host is healthy.
  - Where it is not, exactly those packages go back to their old versions, and the module fails with both
    reasons.
  - A run that was cut off is finished by the next one.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - apt
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  plan:
    description: The C(details.plan) that M(courtkeeper.ops.patch_plan) returned.
    type: dict
    required: true
  keep_lists:
    description: How many saved package lists stay on the host.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Upgrade what the plan names
  courtkeeper.ops.patch_apply:
    plan: "{{ plan.details.plan }}"
  vars:
    ansible_python_interpreter: /opt/courtkeeper/venv/bin/python
"""

RETURN = r"""
changed:
  description: Whether a package or a service differs from before.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What was found, each with its status, a sentence and how to take it back.
  type: list
  elements: dict
  returned: always
actions:
  description: What was done, or in check mode would be done.
  type: list
  elements: str
  returned: always
metrics:
  description: Numbers with their units in the names.
  type: dict
  returned: success
details:
  description: Whether the host is C(healthy), and whether it waits for a C(reboot) and another call.
  type: dict
  returned: always
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library

try:
    from courtkeeper.hosts.patching.apply import apply_plan
except ImportError:
    apply_plan = None  # require_library says so in one sentence


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            plan=dict(type="dict", required=True),
            keep_lists=dict(type="int", default=10),
        ),
        supports_check_mode=True,
    )
    require_library(module)
    finish(
        module,
        lambda: apply_plan(
            module.params["plan"],
            keep=module.params["keep_lists"],
            now=datetime.now(UTC),
            check=module.check_mode,
        ),
    )


if __name__ == "__main__":
    main()
