"""What this host lacks for what is asked: looked at as a whole, before anything is changed."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from courtkeeper.findings import ConfigurationError
from courtkeeper.hosts import commands, services
from courtkeeper.hosts.certificates import journal, state, x509
from courtkeeper.hosts.certificates.settings import (
    CERTIFICATES,
    Deploy,
    Settings,
    Wanted,
    deploys,
    refuse_twice_written,
)

Resolve = Callable[[str], bool]


def resolves(domain: str) -> bool:
    """Tell whether this host finds an address for `domain`."""
    try:
        return bool(socket.getaddrinfo(domain, None))
    except (OSError, UnicodeError):
        return False


def refuse(settings: Settings) -> None:
    """Raise ConfigurationError for the first thing that this host lacks for what is asked."""
    for path, variable in (
        (settings.ca_bundle, "certificate_renewal_ca_bundle"),
        (settings.trusted_roots, "certificate_renewal_trusted_roots"),
    ):
        if path:
            try:
                x509.read_chain(x509.read_file(Path(path)), path)
            except x509.CertificateError as error:
                raise ConfigurationError(f"{variable}: {error}.") from None
    refuse_odd_state_directory(Path(settings.state_directory))
    for wanted in settings.certificates:
        where = f"{CERTIFICATES}[{wanted.name}]"
        if wanted.webroot and not Path(wanted.webroot).is_dir():
            raise ConfigurationError(f"{where}: the webroot {wanted.webroot} is not there.")
        for command in (wanted.dns_hook.auth, wanted.dns_hook.cleanup) if wanted.dns_hook else ():
            refuse_missing_tool(command, f"{where}.dns_hook")
    for wanted, deploy in deploys(settings):
        refuse_deploy(settings, wanted, deploy, f"{CERTIFICATES}[{wanted.name}].deploy[{deploy.service}]")
    # Again with links resolved: the host may know one directory by two names.
    refuse_twice_written(
        os.path.realpath(path) for _, deploy in deploys(settings) for path in deploy.paths().values()
    )
    refuse_full_disk(settings)


def refuse_odd_state_directory(directory: Path) -> None:
    """Refuse a directory that others use: it is closed to them (0700) as soon as it is ours."""
    if not directory.is_absolute() or ".." in directory.parts:
        raise ConfigurationError(f"certificate_renewal_state_directory: {directory} is no absolute path.")
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"certificate_renewal_state_directory: {directory} is no directory.")
    if directory.exists() and not (directory / state.LOCK).exists() and any(directory.iterdir()):
        raise ConfigurationError(
            f"certificate_renewal_state_directory: {directory} holds what is not ours: name one of its own."
        )


def refuse_missing_tool(command: list[str], where: str) -> None:
    """Refuse a command whose program this host does not have."""
    if command and shutil.which(command[0], path=commands.PATH) is None:
        raise ConfigurationError(f"{where}: there is no command {command[0]} on this host.")


def refuse_deploy(settings: Settings, wanted: Wanted, deploy: Deploy, where: str) -> None:
    """Refuse a deployment to a service, a user or a directory that this host does not have."""
    services.refuse_unknown([deploy.service], where)
    refuse_missing_tool(deploy.test(), where)
    refuse_missing_tool(deploy.command, where)
    try:
        pwd.getpwnam(deploy.owner)
        grp.getgrnam(deploy.group)
    except KeyError as error:
        raise ConfigurationError(f"{where}: this host has no such owner or group: {error.args[0]}.") from None
    for path in deploy.paths().values():
        if not path.parent.is_dir():
            raise ConfigurationError(f"{where}: the directory {path.parent} is not there: create it.")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise ConfigurationError(f"{where}: {path} is not a file of its own, but a link or a directory.")
    # Files between two renames do not fit each other; the snapshot of an interrupted run does.
    if not journal.place(Path(settings.state_directory), wanted, deploy).exists():
        refuse_foreign_files(deploy, where)


def refuse_foreign_files(deploy: Deploy, where: str) -> None:
    """Refuse to write over what is not a certificate and its key: it is not ours, or no way back."""
    leaf = key = b""
    key_path = ""
    for kind, path in deploy.paths().items():
        if not path.exists():
            continue
        try:
            data = x509.read_file(path)
            if kind in {"key", "bundle"}:
                key, key_path = x509.read_key(data, str(path)), str(path)
            if kind == "chain":
                # Empty where a CA signs without an intermediate.
                x509.read_chain(data, str(path)) if data else None
            elif kind != "key":
                leaf = x509.read_chain(data, str(path))[0].public_key
        except x509.CertificateError as error:
            raise ConfigurationError(f"{where}: {error}; move it away or name another path.") from None
    if leaf and key and leaf != key:
        raise ConfigurationError(
            f"{where}: {key_path} is not the key of the certificate beside it, so there would be no way "
            "back; put the right one there, or move both away."
        )


def refuse_full_disk(settings: Settings) -> None:
    """Refuse to begin where a file could not be written whole."""
    directories = {Path(settings.state_directory)}
    for wanted in settings.certificates:
        directories |= {Path(wanted.webroot)} if wanted.webroot else set()
    for _, deploy in deploys(settings):
        directories |= {path.parent for path in deploy.paths().values()}
    for directory in sorted(directories):
        there = next(path for path in (directory, *directory.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < settings.free_mib * 2**20:
            raise ConfigurationError(
                f"{directory} has {free / 2**20:.1f} MiB free and certificate_renewal_free_mib asks for "
                f"{settings.free_mib}: make room."
            )


def refuse_issue(settings: Settings, wanted: Iterable[Wanted], *, check: bool) -> None:
    """Refuse to ask the CA for what it cannot give; with `check`, certbot may still be missing."""
    for one in wanted:
        where = f"{CERTIFICATES}[{one.name}]"
        if not settings.terms_agreed:
            raise ConfigurationError(
                f"{where} is to be issued, and nobody agreed to the terms of {settings.directory_url}: "
                "read them, then set certificate_renewal_terms_agreed: true."
            )
        if not check and not shutil.which(settings.certbot):
            raise ConfigurationError(f"certbot is not on this host ({settings.certbot}): run the playbook.")


def unresolved(settings: Settings, wanted: Wanted, known: Iterable[str], resolve: Resolve) -> str:
    """Return a domain of `wanted` that no longer resolves here, or nothing.

    Raises ConfigurationError where it is not one of the `known`, which the certificate has already: then it
    is a mistake in what is declared, and no domain that lapsed.
    """
    if wanted.challenge != "http" or not settings.check_dns:
        return ""
    lost = [domain for domain in wanted.domains if not resolve(domain)]
    for domain in lost:
        if domain not in known:
            raise ConfigurationError(
                f"{CERTIFICATES}[{wanted.name}]: the domain {domain} does not resolve on this host, so the "
                "CA would not find it either; mend DNS, or set certificate_renewal_check_dns: false if only "
                "CAs see it."
            )
    return lost[0] if lost else ""
