# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules of patching ask of a host's health."""

from __future__ import annotations


class ModuleDocFragment:
    """The option `health`."""

    DOCUMENTATION = r"""
options:
  health:
    description: What has to be true of the host before and after, beside its services.
    type: dict
    default: {}
    suboptions:
      services:
        description: Services that have to run afterwards, even if they do not now.
        type: list
        elements: str
        default: []
      url:
        description: URL that the host itself asks. It may hold a token, so that no message repeats it.
        type: str
        default: ''
      status:
        description: The status it has to answer.
        type: int
        default: 200
      command:
        description: Command that has to succeed, as a list. Whoever may list processes sees its arguments.
        type: list
        elements: str
        default: []
      timeout_s:
        description: How long health is waited for, in seconds.
        type: float
        default: 60.0
      settle_s:
        description: How long everything has to stay well, in seconds.
        type: float
        default: 5.0
"""
