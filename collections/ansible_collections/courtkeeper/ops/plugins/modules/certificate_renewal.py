#!/usr/bin/python
# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Issue, renew, deploy and watch the certificates of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_renewal
short_description: Issue, renew, deploy and watch the certificates of a host
version_added: 0.1.0
description:
  - Issues what is missing and renews what is due, by certbot; the fraction of the lifetime decides, or the CA
    where it offers renewal information (RFC 9773).
  - Gives services their files, lets them take these into use, and compares what they then serve over TLS with
    the files. A service that does not take them gets the old ones back.
  - Judges all of these and whatever else is watched.
author:
  - The Courtkeeper developers (@courtkeeper)
extends_documentation_fragment:
  - courtkeeper.ops.attributes
  - courtkeeper.ops.certificate_watch
requirements:
  - courtkeeper (the Python library, for the Python that runs the module)
  - certbot
options:
  certificates:
    description: The certificates that are to be there.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the certificate.
        type: str
        required: true
      domains:
        description: Domains that it is for.
        type: list
        elements: str
        required: true
      challenge:
        description: How the CA is shown that the domains are ours. Wildcards need V(dns).
        type: str
        choices: [http, dns]
        default: http
      webroot:
        description: Directory that is served at C(/) over HTTP on port 80.
        type: str
      standalone:
        description: Answer the challenge by a server of certbot's own, where nothing listens on the port.
        type: bool
        default: false
      http_port:
        description: Port of O(certificates[].standalone).
        type: int
        default: 80
      dns_hook:
        description: Commands that publish and remove the record of a DNS challenge.
        type: dict
        suboptions:
          auth:
            description: Command; it finds C(CERTBOT_DOMAIN) and C(CERTBOT_VALIDATION) in its environment.
            type: list
            elements: str
            required: true
          cleanup:
            description: Command that removes the record.
            type: list
            elements: str
          environment:
            description: What else the commands find in their environment, such as a token.
            type: dict
      key_type:
        description: Kind of the key.
        type: str
        choices: [ecdsa, rsa]
        default: ecdsa
      deploy:
        description: Services that get the certificate.
        type: list
        elements: dict
        default: []
        suboptions:
          service:
            description: Unit of systemd.
            type: str
            required: true
          fullchain:
            description: File for leaf and intermediates.
            type: str
          certificate:
            description: File for the leaf.
            type: str
          chain:
            description: File for the intermediates.
            type: str
          key:
            description: File for the private key.
            type: str
          bundle:
            description: File for leaf, intermediates and private key.
            type: str
          owner:
            description: Owner of the files.
            type: str
            default: root
          group:
            description: Group of the files.
            type: str
            default: root
          mode:
            description: Mode of the files that hold the key; the others are readable by all.
            type: str
            default: '0600'
          config_test:
            description: Command that tests the configuration. For nginx it is C(nginx -t) if left out.
            type: list
            elements: str
          action:
            description: How the service takes its files into use.
            type: str
            choices: [reload, restart]
            default: reload
          command:
            description: Command in place of O(certificates[].deploy[].action).
            type: list
            elements: str
          serve:
            description: Endpoints at which the service then must serve what is in the files.
            type: list
            elements: dict
            default: []
            suboptions:
              host:
                description: Host name or address.
                type: str
                required: true
              port:
                description: Port.
                type: int
                default: 443
              name:
                description: Server name to ask for; the first of the domains if left out.
                type: str
  directory_url:
    description: Directory of the ACME CA.
    type: str
    default: ''
  ca_bundle:
    description: File with the roots in PEM by which the CA's own server is trusted, for a private CA.
    type: str
    default: ''
  email:
    description: Address of the account at the CA.
    type: str
    default: ''
  terms_agreed:
    description: Whether the terms of the CA are agreed to; without it nothing is issued.
    type: bool
    default: false
  certbot:
    description: The program.
    type: path
    default: /opt/courtkeeper-certbot/venv/bin/certbot
  state_directory:
    description: Directory of certbot's and our own state.
    type: path
    default: /var/lib/courtkeeper/certificates
  ari:
    description: Whether a CA that offers renewal information is asked for it.
    type: bool
    default: true
  interval_h:
    description: Hours until the next run; a moment suggested by the CA that comes before it is due now.
    type: float
    default: 24
  force:
    description: Names of certificates to issue anew although they are not due.
    type: list
    elements: str
    default: []
  retry:
    description: Ask the CA although it is too early after a failure.
    type: bool
    default: false
  tries_per_day:
    description: At most so often a day is the CA asked for one certificate.
    type: int
    default: 5
  check_dns:
    description: Whether domains must resolve on the host before the CA is asked.
    type: bool
    default: true
  free_mib:
    description: Mebibytes that must be free wherever something is written.
    type: int
    default: 16
  served_timeout_s:
    description: Seconds within which a service must serve its new certificate.
    type: float
    default: 15
  certbot_timeout_s:
    description: Seconds after which certbot is stopped.
    type: float
    default: 300
"""

EXAMPLES = r"""
- name: Keep the certificate of the web server
  courtkeeper.ops.certificate_renewal:
    directory_url: https://acme-v02.api.letsencrypt.org/directory
    email: ops@example.net
    terms_agreed: true
    certificates:
      - name: www
        domains: [www.example.net]
        webroot: /var/www/html
        deploy:
          - service: nginx
            fullchain: /etc/nginx/tls/www.pem
            key: /etc/nginx/tls/www.key
            serve:
              - host: 127.0.0.1
"""

RETURN = r"""
changed:
  description: Whether a certificate was issued or a service was given one.
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
  description: What was done, or in check mode would be done.
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
    from courtkeeper.hosts.certificates.renew import renew
    from courtkeeper.hosts.certificates.settings import settings_from
except ImportError:
    pass  # require_library says so in one sentence


def text(default=""):
    """An option that is a text."""
    return dict(type="str", default=default)


def command():
    """An option that is a command as a list."""
    return dict(type="list", elements="str")


def files_spec():
    """The options of one deployment."""
    serve = dict(
        host=dict(type="str", required=True), port=dict(type="int", default=443), name=dict(type="str")
    )
    return dict(
        service=dict(type="str", required=True),
        fullchain=dict(type="str"),
        certificate=dict(type="str"),
        chain=dict(type="str"),
        key=dict(type="str", no_log=False),  # where it lies is no secret
        bundle=dict(type="str"),
        owner=text("root"),
        group=text("root"),
        mode=text("0600"),
        config_test=command(),
        action=dict(choices=["reload", "restart"], default="reload"),
        command=command(),
        serve=dict(type="list", elements="dict", default=[], options=serve),
    )


def certificates_spec():
    """The options of one certificate."""
    hook = dict(
        auth=dict(type="list", elements="str", required=True),
        cleanup=command(),
        environment=dict(type="dict", no_log=True),
    )
    return dict(
        name=dict(type="str", required=True),
        domains=dict(type="list", elements="str", required=True),
        challenge=dict(choices=["http", "dns"], default="http"),
        webroot=dict(type="str"),
        standalone=dict(type="bool", default=False),
        http_port=dict(type="int", default=80),
        dns_hook=dict(type="dict", options=hook),
        key_type=dict(choices=["ecdsa", "rsa"], default="ecdsa", no_log=False),
        deploy=dict(type="list", elements="dict", default=[], options=files_spec()),
    )


def argument_spec():
    """The options of the module, as DOCUMENTATION describes them."""
    return watch_spec() | dict(
        certificates=dict(type="list", elements="dict", default=[], options=certificates_spec()),
        directory_url=text(),
        ca_bundle=text(),
        email=text(),
        terms_agreed=dict(type="bool", default=False),
        certbot=dict(type="path", default="/opt/courtkeeper-certbot/venv/bin/certbot"),
        state_directory=dict(type="path", default="/var/lib/courtkeeper/certificates"),
        ari=dict(type="bool", default=True),
        interval_h=dict(type="float", default=24),
        force=dict(type="list", elements="str", default=[]),
        retry=dict(type="bool", default=False),
        tries_per_day=dict(type="int", default=5),
        check_dns=dict(type="bool", default=True),
        free_mib=dict(type="int", default=16),
        served_timeout_s=dict(type="float", default=15),
        certbot_timeout_s=dict(type="float", default=300),
    )


def main():
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    require_library(module)
    finish(
        module,
        lambda: renew(settings_from(module.params), now=datetime.now(UTC), check=module.check_mode),
    )


if __name__ == "__main__":
    main()
