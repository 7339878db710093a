#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Remove the backups that retention does not keep."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_prune
short_description: Remove the backups that retention does not keep
version_added: 0.1.0
description:
  - Keeps the newest backup of each of the newest days, weeks and months that have one (30, 12 and 24 by
    default), planned for every source on every destination by what that destination has itself.
  - Never removed are the last good backup, the last one that a drill proved, what is held, what a kept one
    needs, and what cannot be read. Where clocks disagree, a backup stays.
  - A backup goes manifest first, so that what a kill leaves is no backup to anybody; it is cleared away by a
    later run, as is what killed backups left.

author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.vault
requirements:
  - courtkeeper (the Python library, for the Python that runs the module), with C(s3) for buckets
options:
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Keep two weeks of days, eight weeks and a year of months
  courtkeeper.ops.vault_prune:
    vault:
      name: nba
      destinations:
        - name: frankfurt
          kind: s3
          bucket: nba-backups
          region: eu-central-1
      sources:
        - name: database
          kind: postgres
          host: /var/run/postgresql
      state_directory: /var/lib/courtkeeper/vault
      policy:
        retention:
          daily: 14
          weekly: 8
          monthly: 12
          time_zone: Europe/Berlin
"""

RETURN = r"""
changed:
  description: Whether anything was removed.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What stays and what went on each destination, and what a person has to look at.
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
  description: C(retention), what is kept and why, and what is removed, of each source on each destination.
  type: dict
  returned: success
configuration_error:
  description: Whether the request or the inventory has to be mended before another try.
  type: bool
  returned: failure
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library
from ansible_collections.courtkeeper.ops.plugins.module_utils.vault import told, vault_option

try:
    from datetime import UTC, datetime

    from courtkeeper import progress
    from courtkeeper.vault.policy import policy_from
    from courtkeeper.vault.prune import prune_vault
    from courtkeeper.vault.settings import vault_from
except ImportError:
    pass  # require_library says so in one sentence


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return dict(
        vault=vault_option(),
        progress_file=dict(type="str", default=""),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    settings = vault_from(told(module.params["vault"]), sealing=False)
    return prune_vault(
        settings,
        policy_from(settings.policy),
        now=datetime.now(UTC),
        check=module.check_mode,
        progress=progress.writer(module.params["progress_file"]),
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: run(module))


if __name__ == "__main__":
    main()
