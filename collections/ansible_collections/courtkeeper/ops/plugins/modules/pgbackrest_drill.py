#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Prove a physical backup by recovering it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbackrest_drill
short_description: Prove a physical backup by recovering it into a scratch server
version_added: 0.1.0
description:
  - Restores the newest good backup into a directory of a random name, lets it replay its log on a socket
    that nobody else sees, writes to it, runs pg_amcheck on every database, and destroys it whatever happens.
  - Measures the time to the first committed write (RTO) and the age of the last transaction that came back
    (RPO).
  - A backup that came up and has no fault is marked as proven where it lies; retention keeps the last one.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.pgbackrest
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
  - pgbackrest 2.41 or later, and the programs of the server's version
options:
  until:
    description: A point in time to recover to (ISO 8601); left out, as far as the log goes.
    type: str
    default: ''
  repository:
    description: Number of the repository to read from; V(0) is any.
    type: int
    default: 0
  backup:
    description: Label of a backup; left out, the newest good one.
    type: str
    default: ''
  limits:
    description: What was agreed, C({rto_minutes, rpo_hours, amcheck}).
    type: dict
    default: {}
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Prove the newest physical backup
  courtkeeper.ops.pgbackrest_drill:
    stanza:
      name: main
      state_directory: /var/lib/courtkeeper/pgbackrest
    limits:
      rto_minutes: 15
      rpo_hours: 1
  become: true
  become_user: postgres
"""

RETURN = r"""
changed:
  description: Whether anything was proven or cleared away.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What the drill showed.
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
  description: What the drill showed, C(drills).
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library
from ansible_collections.courtkeeper.ops.plugins.module_utils.pgbackrest import stanza_option, stanza_told

try:
    from courtkeeper import progress
    from courtkeeper.settings import converted
    from courtkeeper.vault.drill.policy import DrillPolicy, checked
    from courtkeeper.vault.pgbackrest.drill import drill
    from courtkeeper.vault.pgbackrest.settings import stanza_from
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        stanza=stanza_option(),
        until=dict(type="str", default=""),
        repository=dict(type="int", default=0),
        backup=dict(type="str", default=""),
        limits=dict(type="dict", default={}),
        progress_file=dict(type="str", default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    limits = converted(module.params["limits"], DrillPolicy, "limits.")
    checked(limits, "limits.")
    return drill(
        stanza_from(stanza_told(module.params["stanza"])),
        limits,
        until=module.params["until"],
        repository=module.params["repository"],
        label=module.params["backup"],
        check_mode=module.check_mode,
        progress=progress.writer(module.params["progress_file"]),
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: run(module))


if __name__ == "__main__":
    main()
