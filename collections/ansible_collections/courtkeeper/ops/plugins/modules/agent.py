#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Put the courtkeeper library or certbot on a host, or take it away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent
short_description: Put the courtkeeper library or certbot on a host, or take it away
version_added: 0.1.0
description:
  - Makes a venv from an archive that M(courtkeeper.ops.wheelhouse) built and that was copied to the host,
    without a package index and without a compiler.
  - A new release is built beside the one in use and taken into use only after it could be imported; a
    release that fails leaves the old one as it was.
  - Needs nothing but the host's Python.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
options:
  package:
    description: What the venv holds, the courtkeeper library or certbot; each has a directory of its own.
    type: str
    choices: [courtkeeper, certbot]
    default: courtkeeper
  state:
    description: Whether the library is to be on the host.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description:
      - Directory of the agent. The venv is the link C(venv) in it.
      - With O(state=absent), what the agent put there is removed, and the directory too if that was all.
    type: path
    default: /opt/courtkeeper
  archive:
    description: The archive on the host; it is removed afterwards.
    type: path
  digest:
    description: Digest of the release, as M(courtkeeper.ops.wheelhouse) returned it.
    type: str
  version:
    description: Version of the release, for messages.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Take the release into use
  courtkeeper.ops.agent:
    archive: /opt/courtkeeper/wheelhouse.tar
    digest: "{{ wheelhouse.details.digest }}"

- name: Remove the library
  courtkeeper.ops.agent:
    state: absent
"""

RETURN = r"""
changed:
  description: Whether the library on the host differs from before.
  type: bool
  returned: always
msg:
  description: One sentence for a person.
  type: str
  returned: always
findings:
  description: Whether the library works.
  type: list
  elements: dict
  returned: success
actions:
  description: What was done, or in check mode would be done.
  type: list
  elements: str
  returned: success
metrics:
  description: Numbers with their units in the names.
  type: dict
  returned: success
"""

import os
import tarfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.courtkeeper.ops.plugins.module_utils import agent


def plan(parameters, before):
    """What has to be done; empty when nothing."""
    directory, digest = parameters["directory"], parameters["digest"]
    if parameters["state"] == "absent":
        link = os.path.join(directory, "venv")
        return [f"remove {path}" for path in [link, *agent.others(directory)] if os.path.lexists(path)]
    if before["digest"] == digest and not before["problem"]:
        return []
    old = f" in place of {before['version'] or 'a broken one'}" if before["installed"] else ""
    venv = os.path.join(directory, "venv")
    name = agent.NAMES[parameters["package"]]
    name = "the library" if name == "library" else name
    return [f"install {name} {parameters['version']} ({digest[:12]}) in {venv}{old}"]


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec=dict(
            package=dict(choices=["courtkeeper", "certbot"], default="courtkeeper"),
            state=dict(choices=["present", "absent"], default="present"),
            directory=dict(type="path", default="/opt/courtkeeper"),
            archive=dict(type="path"),
            digest=dict(type="str"),
            version=dict(type="str", default=""),
        ),
        required_if=[("state", "present", ("archive", "digest"))],
        supports_check_mode=True,
    )
    parameters, started = module.params, time.monotonic()
    directory, archive, package = parameters["directory"], parameters["archive"], parameters["package"]
    before = after = agent.look(directory, package)
    try:
        agent.refuse_odd_directory(directory, package)
        actions = plan(parameters, before)
        if actions and not module.check_mode:
            if parameters["state"] == "absent":
                agent.remove(directory)
            else:
                agent.install(directory, archive, parameters["digest"], package)
            after = agent.look(directory, package)
    except (agent.AgentError, OSError, tarfile.TarError, ValueError, KeyError) as error:
        module.fail_json(msg=f"The agent was left as it was: {error}.")
    finally:
        if archive and os.path.exists(archive) and not module.check_mode:
            os.unlink(archive)
    found = agent.finding(directory, after, package)
    module.exit_json(
        changed=bool(actions),
        msg="; ".join(actions) or found["summary"],
        findings=[found],
        actions=actions,
        metrics=dict(duration_s=round(time.monotonic() - started, 3)),
        diff=dict(before=f"{before['version']} {before['digest'][:12]}".strip(), after=wanted(parameters)),
    )


def wanted(parameters):
    """What the diff says is there afterwards."""
    if parameters["state"] == "absent":
        return ""
    return f"{parameters['version']} {parameters['digest'][:12]}".strip()


if __name__ == "__main__":
    main()
