"""What is asked for: certificates, where they go, what is watched. Judged whole before anything is done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from courtkeeper.findings import ConfigurationError

CERTIFICATES = "certificate_renewal_certificates"
WATCH = "certificate_renewal_watch"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
DOMAIN = re.compile(rf"(?:\*\.)?{LABEL}(?:\.{LABEL})*")
UNIT = re.compile(r"[A-Za-z0-9@_.:][A-Za-z0-9@_.:\\-]*")
MODE = re.compile(r"0?[0-7]{3}")
# The kinds of file that a service can be given, each from the lineage that certbot keeps.
KINDS = ("fullchain", "certificate", "chain", "key", "bundle")


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service answers TLS, and the server name to ask for (empty: the certificate's first domain)."""

    host: str
    port: int = 443
    name: str = ""

    @property
    def address(self) -> str:
        """Return `host:port`."""
        return f"{self.host}:{self.port}"


class Deploy(msgspec.Struct, frozen=True):
    """One service that gets a certificate: its files, how it takes them into use, where it answers."""

    service: str
    fullchain: str = ""
    certificate: str = ""
    chain: str = ""
    key: str = ""
    bundle: str = ""
    owner: str = "root"
    group: str = "root"
    mode: str = "0600"
    config_test: list[str] = []
    action: Literal["reload", "restart"] = "reload"
    command: list[str] = []
    serve: list[Endpoint] = []

    def paths(self) -> dict[str, Path]:
        """Return the files that are written, by kind."""
        return {kind: Path(path) for kind in KINDS if (path := getattr(self, kind))}

    def test(self) -> list[str]:
        """Return the command that tests the service's configuration; nginx has one of its own."""
        return self.config_test or (
            ["nginx", "-t"] if self.service.removesuffix(".service") == "nginx" else []
        )


class DnsHook(msgspec.Struct, frozen=True):
    """The commands that publish and remove the record of a DNS challenge, and what their environment adds."""

    auth: list[str]
    cleanup: list[str] = []
    environment: dict[str, str] = {}


class Wanted(msgspec.Struct, frozen=True):
    """One certificate that is to be there."""

    name: str
    domains: list[str]
    challenge: Literal["http", "dns"] = "http"
    webroot: str = ""
    standalone: bool = False
    http_port: int = 80
    dns_hook: DnsHook | None = None
    key_type: Literal["ecdsa", "rsa"] = "ecdsa"
    deploy: list[Deploy] = []

    def server_name(self, endpoint: Endpoint) -> str:
        """Return the name to ask `endpoint` for."""
        return endpoint.name or self.domains[0].replace("*.", "www.")


class Watched(msgspec.Struct, frozen=True):
    """A certificate that others manage: a file (with its key), or an endpoint."""

    file: str = ""
    key: str = ""
    host: str = ""
    port: int = 443
    name: str = ""

    @property
    def subject(self) -> str:
        """Return what findings call it."""
        return self.file or f"{self.host}:{self.port}" + (f" ({self.name})" if self.name else "")


class Limits(msgspec.Struct, frozen=True):
    """Fractions of the lifetime left, for lifetimes of ten days and more and for shorter ones."""

    renew: float = 1 / 3
    renew_short: float = 1 / 2
    warn: float = 1 / 4
    crit: float = 1 / 10


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that one run is told."""

    certificates: list[Wanted] = []
    watch: list[Watched] = []
    directory_url: str = ""
    ca_bundle: str = ""
    trusted_roots: str = ""
    email: str = ""
    terms_agreed: bool = False
    certbot: str = ""
    state_directory: str = "/var/lib/courtkeeper/certificates"
    limits: Limits = Limits()
    ari: bool = True
    interval_h: float = 24
    force: list[str] = []
    retry: bool = False
    tries_per_day: int = 5
    check_dns: bool = True
    free_mib: int = 16
    served_timeout_s: float = 15
    certbot_timeout_s: float = 300


def without_none(value: Any) -> Any:  # noqa: ANN401 - whatever a module's parameters hold
    """Return `value` without what was left out: Ansible hands that over as None."""
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def settings_from(parameters: Mapping[str, Any]) -> Settings:
    """Turn a module's parameters into settings, or refuse them whole."""
    try:
        settings = msgspec.convert(without_none(parameters), Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"The request is not as certificate_renewal wants it: {error}.") from None
    refuse_odd(settings)
    return settings


def refuse_odd(settings: Settings) -> None:
    """Raise ConfigurationError for the first thing that cannot be meant; asks nothing of the host."""
    if settings.certificates and not re.fullmatch(r"https://[!-~]+", settings.directory_url):
        raise ConfigurationError(
            "certificate_renewal_directory_url must be the https address of an ACME directory."
        )
    limits = settings.limits
    if not 0 < limits.crit < limits.warn < min(limits.renew, limits.renew_short) < 1:
        raise ConfigurationError(
            "The fractions of the lifetime must be in order: 0 < certificate_renewal_crit_fraction < "
            "certificate_renewal_warn_fraction < certificate_renewal_renew_fraction(_short) < 1."
        )
    if repeated := twice(wanted.name for wanted in settings.certificates):
        raise ConfigurationError(f"{CERTIFICATES} has two entries named {repeated}: give each its own name.")
    for wanted in settings.certificates:
        refuse_odd_certificate(wanted)
    if repeated := twice(str(path) for _, deploy in deploys(settings) for path in deploy.paths().values()):
        raise ConfigurationError(
            f"{CERTIFICATES} writes {repeated} twice: give every certificate and service its own files, "
            "so that each can be put back alone."
        )
    for name in settings.force:
        if name not in {wanted.name for wanted in settings.certificates}:
            raise ConfigurationError(
                f"certificate_renewal_force names {name}, which {CERTIFICATES} does not."
            )
    for watched in settings.watch:
        refuse_odd_watch(watched)


def deploys(settings: Settings) -> Iterator[tuple[Wanted, Deploy]]:
    """Yield every deployment with its certificate."""
    for wanted in settings.certificates:
        for deploy in wanted.deploy:
            yield wanted, deploy


def twice(values: Iterator[str]) -> str:
    """Return the first of `values` that occurs more than once, or an empty string."""
    return next((value for value, count in Counter(values).items() if count > 1), "")


def refuse_odd_certificate(wanted: Wanted) -> None:
    """Refuse one entry of the certificates that cannot be meant."""
    where = f"{CERTIFICATES}[{wanted.name}]"
    if not NAME.fullmatch(wanted.name):
        raise ConfigurationError(
            f"{CERTIFICATES}: {wanted.name!r} is no name: use letters, digits, dot, dash and underscore."
        )
    if not wanted.domains:
        raise ConfigurationError(f"{where} has no domains: name at least one.")
    for domain in wanted.domains:
        if len(domain) > 253 or not DOMAIN.fullmatch(domain):
            raise ConfigurationError(f"{where}: {domain!r} is no domain name (write IDN as xn--…).")
        if domain.startswith("*.") and wanted.challenge != "dns":
            raise ConfigurationError(f"{where}: the wildcard {domain} needs challenge: dns.")
    if repeated := twice(domain.lower() for domain in wanted.domains):
        raise ConfigurationError(f"{where} names the domain {repeated} twice.")
    if wanted.challenge == "dns" and (wanted.dns_hook is None or not wanted.dns_hook.auth):
        raise ConfigurationError(f"{where}: challenge dns needs dns_hook with the command auth.")
    if wanted.challenge == "http" and bool(wanted.webroot) == wanted.standalone:
        raise ConfigurationError(f"{where}: challenge http needs either webroot or standalone: true.")
    for deploy in wanted.deploy:
        refuse_odd_deploy(deploy, f"{where}.deploy[{deploy.service}]")


def refuse_odd_deploy(deploy: Deploy, where: str) -> None:
    """Refuse one deployment that cannot be meant."""
    if not UNIT.fullmatch(deploy.service):
        raise ConfigurationError(f"{where}: {deploy.service!r} is no name of a systemd unit.")
    paths = deploy.paths()
    if not paths:
        raise ConfigurationError(f"{where} names no file to write: one of {', '.join(KINDS)}.")
    for path in paths.values():
        if not path.is_absolute() or ".." in path.parts:
            raise ConfigurationError(f"{where}: {path} is no absolute path.")
    if not MODE.fullmatch(deploy.mode):
        raise ConfigurationError(f"{where}: mode {deploy.mode!r} is not as 0600.")
    if int(deploy.mode, 8) & 0o007 and paths.keys() & {"key", "bundle"}:
        raise ConfigurationError(f"{where}: mode {deploy.mode} would let every user read the private key.")


def refuse_odd_watch(watched: Watched) -> None:
    """Refuse one entry of the watch that cannot be meant."""
    if bool(watched.file) == bool(watched.host):
        raise ConfigurationError(f"{WATCH}: an entry names either a file or a host.")
    if watched.key and not watched.file:
        raise ConfigurationError(f"{WATCH}[{watched.subject}]: a key belongs to a file.")
