#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Plan the upgrade of a host's packages."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patch_plan
short_description: Plan the upgrade of a host's packages
version_added: 0.1.0
description:
  - Says which packages a run of M(courtkeeper.ops.patch_apply) upgrades, which of them for security, which
    services that restarts, and whether there is a way back.
  - Refuses what must not begin - outside the window, without a fresh backup, on a full disk, with a
    package tool at work, or where a protected service would be hit. In check mode that is a critical
    finding instead.
  - Fetches the index of packages, in check mode too; changes nothing else.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.patch_health
requirements:
  - apt
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  packages:
    description: Whether every package is upgraded, or only those with a security fix.
    type: str
    choices: [all, security]
    default: all
  security_origins:
    description: Repositories with security fixes beside Debian's, as patterns on C(LABEL:SUITE).
    type: list
    elements: str
    default: []
  exclude:
    description: Packages that are never upgraded, as patterns.
    type: list
    elements: str
    default: []
  protected_services:
    description: Services that must not be restarted, as patterns.
    type: list
    elements: str
    default: []
  allow_protected:
    description: Whether protected services may be restarted all the same.
    type: bool
    default: false
  protected_policy:
    description: Whether a run that would restart a protected service is refused or leaves packages out.
    type: str
    choices: [refuse, leave_out]
    default: refuse
  never_restart:
    description: Services that nobody can restart without a reboot, as patterns.
    type: list
    elements: str
    default: []
  window:
    description: When packages may be upgraded, as C(Sun 02:00-06:00). Empty means always.
    type: str
    default: ''
  time_zone:
    description: Time zone of the O(window).
    type: str
    default: Etc/UTC
  backup_marker:
    description: File that a backup touches when it is done. Empty means that no backup is asked for.
    type: str
    default: ''
  backup_max_age_h:
    description: How old the backup may be, in hours.
    type: float
    default: 26.0
  require_way_back:
    description: Whether to refuse where the old version of a package can no longer be had.
    type: bool
    default: false
  min_free_percent:
    description: How much of a file system stays free, in percent; the lesser of this and O(min_free_mib).
    type: float
    default: 10.0
  min_free_mib:
    description: How much of a file system stays free, in MiB.
    type: float
    default: 1024.0
  lock_timeout_s:
    description: How long another package tool is waited for, in seconds.
    type: float
    default: 60.0
  index_max_age_min:
    description: The index of packages is fetched when it is older than this many minutes.
    type: float
    default: 60.0
  reboot:
    description: Whether the host may be rebooted.
    type: str
    choices: [never, if_required]
    default: never
  state_directory:
    description: Where saved lists, archives and the journal of a run lie.
    type: path
    default: /var/lib/courtkeeper/patching
"""

EXAMPLES = r"""
- name: Ask what an upgrade would do
  courtkeeper.ops.patch_plan:
    packages: security
    protected_services: [postgresql@*]
  vars:
    ansible_python_interpreter: /opt/courtkeeper/venv/bin/python
  check_mode: true
  register: plan
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
  description: What was found, each with its status, a sentence and what would mend it.
  type: list
  elements: dict
  returned: always
actions:
  description: What a run would do, in order; empty where it is refused.
  type: list
  elements: str
  returned: always
metrics:
  description: Numbers of packages.
  type: dict
  returned: success
details:
  description: The C(plan) for M(courtkeeper.ops.patch_apply), whether there is C(work), whether the host is
    C(drained) from a run before, and whether this was a C(check).
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
from ansible_collections.courtkeeper.ops.plugins.module_utils.options import strings
from ansible_collections.courtkeeper.ops.plugins.module_utils.patching import health_option

try:
    from courtkeeper.hosts.patching.model import Settings, convert
    from courtkeeper.hosts.patching.plan import make_plan
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        packages=dict(type="str", choices=["all", "security"], default="all"),
        security_origins=strings(),
        exclude=strings(),
        protected_services=strings(),
        allow_protected=dict(type="bool", default=False),
        protected_policy=dict(type="str", choices=["refuse", "leave_out"], default="refuse"),
        never_restart=strings(),
        window=dict(type="str", default=""),
        time_zone=dict(type="str", default="Etc/UTC"),
        backup_marker=dict(type="str", default=""),
        backup_max_age_h=dict(type="float", default=26.0),
        require_way_back=dict(type="bool", default=False),
        min_free_percent=dict(type="float", default=10.0),
        min_free_mib=dict(type="float", default=1024.0),
        lock_timeout_s=dict(type="float", default=60.0),
        index_max_age_min=dict(type="float", default=60.0),
        reboot=dict(type="str", choices=["never", "if_required"], default="never"),
        health=health_option(),
        state_directory=dict(type="path", default="/var/lib/courtkeeper/patching"),
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)

    def work():
        settings = convert(module.params, Settings, "os_patching")
        return make_plan(settings, now=datetime.now(UTC), check=module.check_mode)

    finish(module, work)


if __name__ == "__main__":
    main()
