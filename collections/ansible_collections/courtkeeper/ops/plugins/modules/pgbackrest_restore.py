#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Bring a Postgres server to a point in time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbackrest_restore
short_description: Bring a Postgres server to a point in time by pgBackRest
version_added: 0.1.0
description:
  - Restores the newest good backup before the point beside the data directory, lets it recover there, looks
    at it, and lets both change places. What was in use stays beside until somebody removes it.
  - Refuses a server that is in use unless O(replace) names its stanza, log that ends too early, and a disk
    that would not hold both. An empty data directory is filled.
  - Check mode says from which backup, how long it should take, and what would be lost.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.pgbackrest
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
  - pgbackrest 2.41 or later, and the programs of the server's version
options:
  data_directory:
    description: The server's data directory.
    type: str
    required: true
  until:
    description: The point in time (ISO 8601; UTC unless it says otherwise); left out, as far as the log goes.
    type: str
    default: ''
  repository:
    description: Number of the repository to read from; V(0) is any.
    type: int
    default: 0
  backup:
    description: Label of the backup to begin with; left out, the newest good one before the point.
    type: str
    default: ''
  beside:
    description: Whether it stays beside what is in use and is not swapped in.
    type: bool
    default: false
  replace:
    description: The stanza, where its server may be replaced.
    type: list
    elements: str
    default: []
  service:
    description: The server's service, which is stopped and started; empty where it does not run.
    type: str
    default: ''
  accept_gap:
    description: Whether it is done even where the log ends too early.
    type: bool
    default: false
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Take the server back to before the mistake
  courtkeeper.ops.pgbackrest_restore:
    stanza:
      name: main
      state_directory: /var/lib/courtkeeper/pgbackrest
    data_directory: /var/lib/postgresql/17/main
    service: postgresql@17-main
    until: "2026-02-12T06:59:00+00:00"
    replace: [main]
"""

RETURN = r"""
changed:
  description: Whether anything was restored.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: How long it should take, what is lost, and what was refused.
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
  description: None.
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
    from courtkeeper.vault.pgbackrest.revert import Reversion, revert
    from courtkeeper.vault.pgbackrest.settings import stanza_from
except ImportError:
    pass  # require_library says so in one sentence

REQUEST = ("data_directory", "until", "repository", "backup", "beside", "replace", "service", "accept_gap")


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        stanza=stanza_option(),
        data_directory=dict(type="str", required=True),
        until=dict(type="str", default=""),
        repository=dict(type="int", default=0),
        backup=dict(type="str", default=""),
        beside=dict(type="bool", default=False),
        replace=dict(type="list", elements="str", default=[]),
        service=dict(type="str", default=""),
        accept_gap=dict(type="bool", default=False),
        progress_file=dict(type="str", default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    return revert(
        stanza_from(stanza_told(module.params["stanza"])),
        converted({name: module.params[name] for name in REQUEST}, Reversion),
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
