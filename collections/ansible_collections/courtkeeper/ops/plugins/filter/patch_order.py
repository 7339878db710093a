# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Put hosts into the batches in which they are patched."""

from __future__ import annotations

DOCUMENTATION = r"""
name: patch_order
short_description: Put hosts into the batches in which they are patched
version_added: 0.1.0
description:
  - Orders hosts group by group, and cuts each group into batches, so that no batch has hosts of two groups.
author:
  - The Courtkeeper developers (@courtkeeper)
positional: hosts, order, serial
options:
  _input:
    description: The inventory's C(groups).
    type: dict
    required: true
  hosts:
    description: The hosts to be patched.
    type: list
    elements: str
    required: true
  order:
    description: Groups in the order in which they are patched; hosts in none of them come last.
    type: list
    elements: str
    required: true
  serial:
    description: How many hosts a batch has, or a share of the group such as V(25%).
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Replicas before primaries, two at a time
  ansible.builtin.set_fact:
    order: "{{ groups | courtkeeper.ops.patch_order(ansible_play_hosts_all, ['replicas', 'primaries'], 2) }}"
"""

RETURN = r"""
_value:
  description: The C(hosts) in order, the sizes of the batches (C(serial)), and who comes C(after) each host.
  type: dict
"""

from ansible.errors import AnsibleFilterError

try:
    from courtkeeper.findings import CourtkeeperError
    from courtkeeper.hosts.patching import order as orders
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""


def patch_order(groups, hosts, order, serial):
    """The batches for `hosts`, as RETURN describes them."""
    if MISSING:
        raise AnsibleFilterError(f"The courtkeeper library is not installed for Ansible's Python: {MISSING}")
    try:
        return orders.described(orders.batches(groups, list(hosts), list(order), serial))
    except CourtkeeperError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Their names."""
        return dict(patch_order=patch_order)
