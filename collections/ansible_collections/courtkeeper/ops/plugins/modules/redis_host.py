#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Check the host below a Redis or Valkey server, and change what is told."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_host
short_description: Check the host below a Redis or Valkey server, and change what is told
version_added: 0.1.0
description:
  - Looks at transparent huge pages, C(vm.overcommit_memory), C(net.core.somaxconn) against the server's
    C(tcp-backlog), the files that its unit and its process may open against C(maxclients), and the clock
    source. What is right now and would be wrong after a reboot is found, too.
  - Changes nothing that O(change) does not name. What it changes holds at once and over a reboot, by a file
    in C(/etc/sysctl.d), C(/etc/tmpfiles.d) or a drop-in of the unit, and is read back; if it does not hold,
    all of the run is taken back. The value before is kept on the host, and O(undo) puts it back.
  - A setting that cannot be set from the host, as in most containers, is left alone and named.
  - Restarts nothing. A server that has to be restarted to get what its host gives it now is a finding.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  servers:
    description: The servers of the host.
    type: list
    elements: dict
    default: [{}]
    suboptions:
      service:
        description: The unit that runs it.
        type: str
        default: redis-server
      config_file:
        description: Its configuration file, for C(tcp-backlog) and C(maxclients).
        type: path
        default: /etc/redis/redis.conf
  change:
    description: What may be changed.
    type: list
    elements: str
    choices: [transparent_huge_pages, overcommit_memory, somaxconn, open_files]
    default: []
  undo:
    description: What is put back to what it was before the first change.
    type: list
    elements: str
    choices: [transparent_huge_pages, overcommit_memory, somaxconn, open_files]
    default: []
  transparent_huge_pages:
    description: What they are to be; V(never) will do where V(madvise) is wanted.
    type: str
    choices: [madvise, never]
    default: madvise
  overcommit_memory:
    description: What C(vm.overcommit_memory) is to be.
    type: int
    choices: [0, 1, 2]
    default: 1
  open_files:
    description: Least C(LimitNOFILE) that a unit gets; V(0) is what C(maxclients) needs.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Check the host
  courtkeeper.ops.redis_host:

- name: Make it fit for the server, now and after a reboot
  courtkeeper.ops.redis_host:
    change: [transparent_huge_pages, overcommit_memory, somaxconn, open_files]

- name: Put the memory's setting back
  courtkeeper.ops.redis_host:
    undo: [overcommit_memory]
"""

RETURN = r"""
changed:
  description: Whether the kernel's settings or a file differ from before.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What was looked at, each with its status, a sentence, what would mend it and what was done.
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library

try:
    from courtkeeper.hosts.caches import duty
    from courtkeeper.hosts.caches.settings import wanted_from
except ImportError:
    pass  # require_library says so in one sentence

CHANGEABLE = ["transparent_huge_pages", "overcommit_memory", "somaxconn", "open_files"]


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            servers=dict(
                type="list",
                elements="dict",
                default=[{}],
                options=dict(
                    service=dict(type="str", default="redis-server"),
                    config_file=dict(type="path", default="/etc/redis/redis.conf"),
                ),
            ),
            change=dict(type="list", elements="str", choices=CHANGEABLE, default=[]),
            undo=dict(type="list", elements="str", choices=CHANGEABLE, default=[]),
            transparent_huge_pages=dict(type="str", choices=["madvise", "never"], default="madvise"),
            overcommit_memory=dict(type="int", choices=[0, 1, 2], default=1),
            open_files=dict(type="int", default=0),
        ),
        supports_check_mode=True,
    )
    require_library(module)
    finish(module, lambda: duty.run(wanted_from(module.params), check=module.check_mode))


if __name__ == "__main__":
    main()
