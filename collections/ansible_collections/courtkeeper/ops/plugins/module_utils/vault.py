# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules of backups have in common."""

from __future__ import annotations

DESTINATION = dict(
    name=dict(type="str", required=True),
    kind=dict(type="str", required=True, choices=["directory", "s3"]),
    path=dict(type="str"),
    mounted=dict(type="bool"),
    bucket=dict(type="str"),
    prefix=dict(type="str"),
    region=dict(type="str"),
    endpoint_url=dict(type="str"),
    access_key=dict(type="str", no_log=False),  # an id, which the store's own messages name
    secret_key=dict(type="str", no_log=True),
    session_token=dict(type="str", no_log=True),
    ca_file=dict(type="str"),
    path_style=dict(type="bool"),
    insecure=dict(type="bool"),
    part_mb=dict(type="int"),
    timeout_s=dict(type="float"),
    attempts=dict(type="int"),
    storage_class=dict(type="str"),
    server_side_encryption=dict(type="str"),
)
SOURCE = dict(
    name=dict(type="str", required=True),
    kind=dict(type="str", required=True, choices=["postgres", "redis", "files"]),
    host=dict(type="str"),
    port=dict(type="int"),
    socket=dict(type="str"),
    user=dict(type="str"),
    password=dict(type="str", no_log=True),
    database=dict(type="str"),
    options=dict(type="dict"),
    databases=dict(type="list", elements="str"),
    bin_directory=dict(type="str"),
    globals=dict(type="bool"),
    checksums=dict(type="bool"),
    lock_timeout_s=dict(type="float"),
    tls=dict(type="bool"),
    ca_file=dict(type="str"),
    timeout_s=dict(type="float"),
    paths=dict(type="list", elements="str"),
    volumes=dict(type="list", elements="str"),
    exclude=dict(type="list", elements="str"),
    one_file_system=dict(type="bool"),
    growing=dict(type="bool"),
)


def vault_option():
    """The option `vault`, as the fragment `vault` describes it."""
    return dict(
        type="dict",
        required=True,
        options=dict(
            name=dict(type="str", required=True),
            recipients=dict(type="list", elements="str"),
            recipients_file=dict(type="str"),
            destinations=dict(type="list", elements="dict", required=True, options=DESTINATION),
            sources=dict(type="list", elements="dict", options=SOURCE),
            identity_file=dict(type="str"),
            signing_key_file=dict(type="str", no_log=False),  # a path
            signers=dict(type="list", elements="str"),
            state_directory=dict(type="str"),
            pace=dict(type="dict"),
            policy=dict(type="dict"),
        ),
    )


def told(value):
    """Return what was said of an option and its suboptions, without what was left out."""
    if isinstance(value, dict):
        return {key: told(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [told(entry) for entry in value]
    return value
