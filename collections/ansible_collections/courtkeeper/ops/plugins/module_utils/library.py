# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""The one way from a module into the courtkeeper library and back."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = None


def require_library(module: AnsibleModule) -> None:
    """End the module with one sentence where the library is not installed for this Python."""
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("courtkeeper"), exception=IMPORT_ERROR)


def finish(module: AnsibleModule, work: Callable[[], Result]) -> None:
    """Do the work and end the module with its result, or with its error's one sentence.

    Where work was done before an error, the failure says what: the world has changed by it.
    """
    try:
        result = work()
    except CourtkeeperError as error:
        done = error.partial.to_builtins() if error.partial else {}
        wrong = isinstance(error, ConfigurationError)
        module.fail_json(**{**done, "msg": str(error), "configuration_error": wrong})
    else:
        module.exit_json(**result.to_builtins())
