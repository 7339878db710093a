#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Look at the identities in a file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_identity
short_description: Look at the identities that open the backups of a vault
version_added: 0.1.0
description:
  - Reads a file of private keys as C(age-keygen) writes it, and returns the public ones. It fails, before
    anything is done with a host, where the file is missing, holds no key, or may be read by others.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options:
  file:
    description: The file. It belongs outside the platform.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: See on the controller that there is a key
  courtkeeper.ops.vault_identity:
    file: ~/keys/nba-identity.txt
  delegate_to: localhost
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
  description: Always empty.
  type: list
  elements: dict
  returned: success
actions:
  description: Always empty.
  type: list
  elements: str
  returned: success
metrics:
  description: Always empty.
  type: dict
  returned: success
details:
  description: C(recipients), the public keys.
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
    from courtkeeper.findings import ConfigurationError, Result
    from courtkeeper.vault import keys
except ImportError:
    pass  # require_library says so in one sentence


def run(module):
    """Read the file."""
    if not module.params["file"]:
        raise ConfigurationError(
            "no identity is given: name the file with the private key, which lies outside the platform; "
            "without it nobody opens a backup"
        )
    public = keys.public_of(module.params["file"])
    return Result(msg=f"The file holds the key of {', '.join(public)}.", details={"recipients": public})


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(file=dict(type="path", required=True)), supports_check_mode=True
    )
    require_library(module)
    finish(module, lambda: run(module))


if __name__ == "__main__":
    main()
