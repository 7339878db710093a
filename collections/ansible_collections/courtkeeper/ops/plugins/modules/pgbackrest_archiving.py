#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Let a server take its settings for archiving up."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbackrest_archiving
short_description: Let a server take its settings for archiving up
version_added: 0.1.0
description:
  - Compares what the server uses with what archiving by pgBackRest needs, and reloads it where that helps.
  - What needs a restart is returned as C(details.restart), and is a finding; the server is not restarted.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.pgbackrest
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  archive_timeout_s:
    description: Seconds after which a segment is archived at the latest.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Let the server archive
  courtkeeper.ops.pgbackrest_archiving:
    stanza:
      name: main
  become: true
  become_user: postgres
  register: archiving
"""

RETURN = r"""
changed:
  description: Whether the server was reloaded.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: That a restart is needed, where it is.
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
  description: C(restart), whether the server has to be restarted.
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
    from courtkeeper.vault.pgbackrest.settings import stanza_from
    from courtkeeper.vault.pgbackrest.setup import reload
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(stanza=stanza_option(), archive_timeout_s=dict(type="int", default=60))


def run(module):
    """Turn the module's parameters into one call of the library."""
    stanza = stanza_told(module.params["stanza"])
    stanza.pop("state_directory", None)  # in check mode it may not be there yet
    return reload(
        stanza_from(stanza),
        archive_timeout_s=module.params["archive_timeout_s"],
        check_mode=module.check_mode,
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: run(module))


if __name__ == "__main__":
    main()
