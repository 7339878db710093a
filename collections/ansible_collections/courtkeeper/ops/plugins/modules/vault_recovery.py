#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Rebuild an empty host from its backups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_recovery
short_description: Rebuild an empty host from the backups of a vault
version_added: 0.1.0
description:
  - The steps of a recovery that are the library's; the role C(disaster_recovery) calls them in their order,
    and installs packages and starts services in between.
  - C(begin) chooses the backups and sees that all of them open and that the host is empty; it refuses
    whatever else before anything is changed. C(configuration) brings trees of files back, C(data) fills
    Postgres and Redis, C(finish) waits until the platform answers and measures how long all of it took.
  - What was done stands in a journal on the host. A recovery that was broken off goes on from there; one that
    has ended is not done again.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.vault
requirements:
  - courtkeeper (the Python library, for the Python that runs the module), with C(s3) for buckets
  - root
options:
  step:
    description: The step. In check mode only C(begin) has something to say, and it says it of all of them.
    type: str
    choices: [begin, configuration, data, finish]
    required: true
  identity:
    description: The text of the file with the private keys. It is nowhere written on the host.
    type: str
    required: true
  recovery:
    description: What is to be recovered.
    type: dict
    default: {}
    suboptions:
      sources:
        description: The sources to recover; left out, all but logs (C(growing)).
        type: list
        elements: str
      backups:
        description: The backup to take, an id, by source; left out, the newest.
        type: dict
      until:
        description: The newest backups taken no later than this (ISO 8601; UTC unless it says otherwise).
        type: str
      destination:
        description: The destination to read from first.
        type: str
      trees:
        description: By source of files, the paths to bring back; left out, all that are in the backup.
        type: dict
      replace:
        description: What is in use and may be replaced - databases, paths, or the name of a Redis source.
        type: list
        elements: str
      end_sessions:
        description: Whether sessions of a database that is replaced are ended.
        type: bool
      accept_differences:
        description: Whether what differs from its manifest is taken all the same.
        type: bool
      packages:
        description: Packages that are needed beside those that the backups ask for.
        type: list
        elements: str
      postgres_version:
        description: Another major version of Postgres than the backup's.
        type: str
      answers:
        description: URLs that have to answer with 200 in the end.
        type: list
        elements: str
      patience_s:
        description: Seconds for which a server or the platform may take to come up.
        type: float
      waited_s:
        description: Seconds that passed between the decision to recover and the first step.
        type: float
  progress_file:
    description: File to which progress is written, one JSON line a step.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Say what rebuilding this host would mean
  courtkeeper.ops.vault_recovery:
    step: begin
    vault: "{{ courtkeeper_vault }}"
    identity: "{{ lookup('ansible.builtin.file', '~/keys/nba-identity.txt') }}"
  check_mode: true
"""

RETURN = r"""
changed:
  description: Whether anything was recovered.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: What is lost, what came back, whether the platform answers and how long it took.
  type: list
  elements: dict
  returned: success
actions:
  description: What was done or, in check mode, what would be done.
  type: list
  elements: str
  returned: success
metrics:
  description: Numbers with their units in the names; after C(finish), C(rto_s) and C(rpo_s).
  type: dict
  returned: success
details:
  description: >-
    After C(begin) C(needed), C(packages), C(locales), C(services), C(plan), C(backups); later C(steps), each
    with its name and its seconds.
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
    from courtkeeper import progress
    from courtkeeper.findings import Result
    from courtkeeper.vault import keys
    from courtkeeper.vault.recovery.run import Recovery
    from courtkeeper.vault.recovery.wish import wish_from
    from courtkeeper.vault.settings import vault_from
except ImportError:
    pass  # require_library says so in one sentence


def recovery_option():
    """The option `recovery`."""
    return dict(
        type="dict",
        default={},
        options=dict(
            sources=dict(type="list", elements="str"),
            backups=dict(type="dict"),
            until=dict(type="str"),
            destination=dict(type="str"),
            trees=dict(type="dict"),
            replace=dict(type="list", elements="str"),
            end_sessions=dict(type="bool"),
            accept_differences=dict(type="bool"),
            packages=dict(type="list", elements="str"),
            postgres_version=dict(type="str"),
            answers=dict(type="list", elements="str"),
            patience_s=dict(type="float"),
            waited_s=dict(type="float"),
        ),
    )


def run(module):
    """Turn the module's parameters into one call of the library."""
    given = module.params
    if module.check_mode and given["step"] != "begin":
        return Result(msg="what this step would do is told by the first one")
    recovery = Recovery(
        vault_from(told(given["vault"]), sealing=False),
        wish_from(told(given["recovery"])),
        keys.identities_in(given["identity"]),
        progress=progress.writer(given["progress_file"]),
    )
    if given["step"] == "begin":
        return recovery.begin(check_mode=module.check_mode)
    return getattr(recovery, given["step"])()


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            step=dict(type="str", choices=["begin", "configuration", "data", "finish"], required=True),
            vault=vault_option(),
            identity=dict(type="str", required=True, no_log=True),
            recovery=recovery_option(),
            progress_file=dict(type="str", default=""),
        ),
        supports_check_mode=True,
    )
    require_library(module)
    finish(module, lambda: run(module))


if __name__ == "__main__":
    main()
