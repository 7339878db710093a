# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What every module of the collection says about itself."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes that hold for all modules which change something through the library."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what would be done without doing it.
    support: full
  diff_mode:
    description: Returns what differs before and after when in diff mode.
    support: full
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: full
"""
