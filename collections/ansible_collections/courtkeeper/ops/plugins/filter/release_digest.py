# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Know, without a module's run on the controller, which release a host should have."""

from __future__ import annotations

DOCUMENTATION = r"""
name: release_digest
short_description: The digest of the release that a checkout puts on a kind of host
version_added: 0.1.0
description:
  - The C(details.digest) of M(courtkeeper.ops.wheelhouse), without building anything. Hosts that have it need
    no wheelhouse.
  - V(unknown) where that module would refuse; it says why.
author:
  - The Courtkeeper developers (@courtkeeper)
positional: source, package
options:
  _input:
    description: The kind of host, the C(host) that M(courtkeeper.ops.agent_info) returns.
    type: dict
    required: true
  source:
    description: Checkout of Courtkeeper on the controller.
    type: path
    required: true
  package:
    description: What the release holds.
    type: str
    choices: [courtkeeper, certbot]
    default: courtkeeper
"""

EXAMPLES = r"""
- name: Say which hosts are behind
  when: found.agent.digest != found.host | courtkeeper.ops.release_digest('/srv/courtkeeper')
  ansible.builtin.debug:
    msg: Run the role agent.
"""

RETURN = r"""
_value:
  description: The digest.
  type: str
"""

from pathlib import Path

from ansible.errors import AnsibleFilterError

try:
    from courtkeeper.findings import ConfigurationError
    from courtkeeper.wheelhouse import Target, release
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""


def release_digest(host, source, package="courtkeeper"):
    """The digest, as DOCUMENTATION describes it."""
    if MISSING:
        raise AnsibleFilterError(f"The courtkeeper library is not installed for Ansible's Python: {MISSING}")
    target = Target(host["python"], host["machine"], host["glibc"])
    try:
        return release(Path(source), target, package)[2]
    except ConfigurationError:
        return "unknown"


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Their names."""
        return dict(release_digest=release_digest)
