#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Back a Postgres server up by pgBackRest, and judge its backups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbackrest_backup
short_description: Back a Postgres server up by pgBackRest, and judge its backups
version_added: 0.1.0
description:
  - Makes the stanza where a repository has none, and takes a full, differential or incremental backup into
    each repository that is due for one by the calendar.
  - Reads the repositories' files and marks a backup whose files are damaged; looks for log that is missing,
    up to the server's own position; names damaged pages. None of this pgBackRest tells by an exit code.
  - Lets go what retention does not need, by one plan of days, weeks and months. A good backup never goes for
    a bad one, and the last proven one never at all.
  - A repository that fails is a critical finding and keeps no other from its turn.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.pgbackrest
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
  - pgbackrest 2.41 or later
options:
  type:
    description: The backup to take; V(auto) is what the calendar says.
    type: str
    default: auto
    choices: [auto, full, diff, incr]
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Back up as the calendar says
  courtkeeper.ops.pgbackrest_backup:
    stanza:
      name: main
      state_directory: /var/lib/courtkeeper/pgbackrest
      policy:
        full_on: [sun]
        retention: {daily: 30, weekly: 12, monthly: 24, window_days: 7}
  become: true
  become_user: postgres
"""

RETURN = r"""
changed:
  description: Whether there is a new backup, or one went.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What is missing, old, broken or damaged, and what is well.
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
  description: What stays and what goes, C(retention), for each repository.
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
    from courtkeeper.vault.pgbackrest.run import backup
    from courtkeeper.vault.pgbackrest.settings import stanza_from
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        stanza=stanza_option(),
        type=dict(type="str", default="auto", choices=["auto", "full", "diff", "incr"]),
        progress_file=dict(type="str", default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    stanza = stanza_told(module.params["stanza"])
    if module.check_mode:
        stanza.pop("state_directory", None)  # which may not be there yet
    return backup(
        stanza_from(stanza),
        kind=module.params["type"],
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
