#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Judge certificates in files and at endpoints."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_check
short_description: Judge certificates in files and at endpoints
version_added: 0.1.0
description:
  - Looks at chains in files and at what endpoints serve over TLS, and judges how much of the lifetime
    is left, the names, the chain's order and completeness, the strength, and the key with its permissions.
  - Changes nothing.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.certificate_watch
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
options: {}
"""

EXAMPLES = r"""
- name: Judge what the load balancer serves
  courtkeeper.ops.certificate_check:
    watch:
      - host: www.example.net
      - file: /etc/ssl/private/mail.pem
        key: /etc/ssl/private/mail.key
        name: mail.example.net
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
  description: Always empty.
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

from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils.certificates import watch_spec
from ansible_collections.courtkeeper.ops.plugins.module_utils.library import finish, require_library

try:
    from courtkeeper.hosts.certificates.settings import settings_from
    from courtkeeper.hosts.certificates.watch import check
except ImportError:
    pass  # require_library says so in one sentence


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=watch_spec(), supports_check_mode=True)
    require_library(module)
    finish(module, lambda: check(settings_from(module.params), now=datetime.now(UTC)))


if __name__ == "__main__":
    main()
