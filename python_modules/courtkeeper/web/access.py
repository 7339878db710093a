"""Where the dashboard listens, and who may come in. Anything that would let everybody in is refused."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from courtkeeper.findings import ConfigurationError
from courtkeeper.web.tokens import TokenFile

PORT = 8420
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,60}")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Role(StrEnum):
    """What a person may do: a viewer reads, an operator also decides."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Who:
    """A person, or a program with a token."""

    name: str
    role: Role

    @property
    def operates(self) -> bool:
        """Whether he may do more than read."""
        return self.role is Role.OPERATOR


@dataclass(frozen=True, kw_only=True)
class Access:
    """How the dashboard is reached.

    `host` is an IP address or localhost. `token_file` holds who has a token (`tokens`). `identity_header`
    names the header in which a reverse proxy at one of `trusted_proxies` (addresses or networks) says who is
    asking; of those, `operators` are operators (`*`: all) and the others viewers. `names` are further names
    by which the dashboard is called. `certificate` and `key` are PEM files, for HTTPS.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    token_file: Path | None = None
    identity_header: str = ""
    trusted_proxies: tuple[str, ...] = ()
    operators: frozenset[str] = field(default_factory=frozenset)
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    @property
    def open(self) -> bool:
        """Whether whoever reaches it may do everything: on this machine alone, without tokens."""
        return self.token_file is None and not self.identity_header

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}/"

    @property
    def hosts(self) -> frozenset[str] | None:
        """The names (without a port) that a request's Host may have; None where any may.

        On this machine a foreign name means that a page elsewhere makes the browser ask us (DNS rebinding).
        Elsewhere it is harmless, because a browser sends no cookie of ours under a foreign name.
        """
        if not self.local and not self.names:
            return None
        own = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset(name.lower() for name in (*_LOCAL_NAMES, own, *self.names))

    def check(self) -> Gate:
        """Return what decides who comes in. Raises ConfigurationError where it must not start."""
        self._check_place()
        if self.open and not self.local:
            raise ConfigurationError(
                f"On {self.host} everybody could run jobs: give --token-file FILE (`courtkeeper token` makes "
                "one), or --identity-header with --trusted-proxy, or leave --listen at 127.0.0.1."
            )
        if bool(self.identity_header) != bool(self.trusted_proxies):
            raise ConfigurationError(
                "--identity-header and --trusted-proxy belong together: anybody else's header is no proof."
            )
        if self.identity_header and not _HEADER.fullmatch(self.identity_header):
            raise ConfigurationError(
                f"{self.identity_header[:60]!r} is no header: give its name, as X-Forwarded-User."
            )
        if self.operators and not self.identity_header:
            raise ConfigurationError(
                "--operator goes with --identity-header; a token has its role in the token file."
            )
        return Gate(self, _networks(self.trusted_proxies), TokenFile(self.token_file))

    def _check_place(self) -> None:
        if self.host != "localhost":
            try:
                ipaddress.ip_address(self.host)
            except ValueError:
                raise ConfigurationError(
                    f"--listen takes an IP address, not {self.host!r}: 127.0.0.1 for this machine alone."
                ) from None
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"{self.port} is no port: give one from 1 to 65535.")
        if bool(self.certificate) != bool(self.key):
            raise ConfigurationError("--certificate and --key belong together: give both, or neither.")
        for path in filter(None, (self.certificate, self.key)):
            if not path.is_file():
                raise ConfigurationError(f"{path} is no file: give a certificate and its key as PEM.")


@dataclass(frozen=True)
class Gate:
    """Decides who a request is from."""

    access: Access
    proxies: tuple[Network, ...]
    tokens: TokenFile

    def trusts(self, peer: str) -> bool:
        """Whether a connection comes from the reverse proxy."""
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.proxies)

    def by_proxy(self, peer: str, said: list[str]) -> Who | None:
        """Return whom the reverse proxy names; None where it names nobody, or is not the one we trust."""
        if not self.access.identity_header or not self.trusts(peer) or len(said) != 1:
            return None
        name = said[0].strip()
        if not name or len(name) > 200 or not name.isprintable():
            return None
        operates = "*" in self.access.operators or name in self.access.operators
        return Who(name, Role.OPERATOR if operates else Role.VIEWER)

    def by_token(self, token: str) -> Who | None:
        """Return whose token it is."""
        found = self.tokens.find(token)
        return None if found is None else Who(found.name, Role(found.role))

    def by_digest(self, digest: str) -> Who | None:
        """Return whose token had that digest, if it is still in the file."""
        found = self.tokens.find_digest(digest)
        return None if found is None else Who(found.name, Role(found.role))


def _networks(words: tuple[str, ...]) -> tuple[Network, ...]:
    found = []
    for word in words:
        try:
            network = ipaddress.ip_network(word, strict=False)
        except ValueError:
            raise ConfigurationError(
                f"--trusted-proxy takes an address or a network, as 10.0.0.5 or 10.0.0.0/24, not {word!r}."
            ) from None
        if network.prefixlen == 0:
            raise ConfigurationError(f"--trusted-proxy {word} is everybody: name the proxy's own address.")
        found.append(network)
    return tuple(found)
