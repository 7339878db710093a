#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Look at the courtkeeper library, or certbot, on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_info
short_description: Look at the courtkeeper library, or certbot, on a host
version_added: 0.1.0
description:
  - Says which Python, machine and C library the host has, which release of the library is installed, and
    whether it can be imported.
  - Needs nothing but the host's Python; changes nothing.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
options:
  package:
    description: What the venv holds, the courtkeeper library or certbot; each has a directory of its own.
    type: str
    choices: [courtkeeper, certbot]
    default: courtkeeper
  directory:
    description: Directory of the agent.
    type: path
    default: /opt/courtkeeper
"""

EXAMPLES = r"""
- name: Look at the library on the host
  courtkeeper.ops.agent_info:
  register: agent
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
  description: Whether the library works.
  type: list
  elements: dict
  returned: always
actions:
  description: Always empty.
  type: list
  elements: str
  returned: always
metrics:
  description: Numbers with their units in the names.
  type: dict
  returned: always
host:
  description: The host's C(python), C(machine) and C(glibc).
  type: dict
  returned: always
agent:
  description: Whether it is C(installed), its C(digest) and C(version), and the C(problem) with it.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils import agent


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            package=dict(choices=["courtkeeper", "certbot"], default="courtkeeper"),
            directory=dict(type="path", default="/opt/courtkeeper"),
        ),
        supports_check_mode=True,
    )
    directory, package = module.params["directory"], module.params["package"]
    state = agent.look(directory, package)
    found = agent.finding(directory, state, package)
    module.exit_json(
        changed=False,
        msg=found["summary"],
        findings=[found],
        actions=[],
        metrics={},
        host=agent.describe_host(),
        agent=state,
    )


if __name__ == "__main__":
    main()
