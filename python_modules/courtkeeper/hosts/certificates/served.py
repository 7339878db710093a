"""What a service serves: its chain, asked for over TLS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from courtkeeper.hosts.certificates import x509
from courtkeeper.hosts.certificates.settings import Endpoint

HANDSHAKE_S = 5
POLL_S = 0.2


class NotServedError(x509.CertificateError):
    """Nothing answered TLS at an endpoint."""


def context() -> ssl.SSLContext:
    """Return a client that accepts whatever is served: it is looked at, not trusted."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    with suppress(ssl.SSLError):  # weak keys are to be found, not to end the handshake
        client.set_ciphers("DEFAULT:@SECLEVEL=0")
    return client


def chain(endpoint: Endpoint, server_name: str) -> tuple[x509.Facts, ...]:
    """Return the chain that `endpoint` serves for `server_name`, leaf first. Raises NotServedError."""
    where = endpoint.address
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout=HANDSHAKE_S) as raw,
            context().wrap_socket(raw, server_hostname=server_name or None) as secured,
        ):
            encoded = sent(secured)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error))[:120]
        raise NotServedError(
            f"{where} does not answer TLS for {server_name or 'any name'} ({reason})"
        ) from None
    if not encoded:
        raise NotServedError(f"{where} serves no certificate")
    return tuple(x509.facts(der, where) for der in encoded)


def sent(secured: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates that the other side sent, in DER."""
    if hasattr(secured, "get_unverified_chain"):  # Python 3.13
        return list(secured.get_unverified_chain())
    # The same in Python 3.10 to 3.12, where it has no public name yet.
    objects = secured._sslobj.get_unverified_chain() or []  # type: ignore[attr-defined] # noqa: SLF001
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in objects]


def fingerprints(certificates: Sequence[x509.Facts]) -> list[str]:
    """Return a chain as what compares: without a root at its end, which may be served or left out."""
    kept = list(certificates)
    if len(kept) > 1 and kept[-1].self_issued:
        kept.pop()
    return [certificate.fingerprint for certificate in kept]


def same(found: Sequence[x509.Facts], wanted: Sequence[x509.Facts]) -> bool:
    """Tell whether `found` is `wanted`; where only a leaf is wanted, a chain behind it is no difference."""
    if len(wanted) == 1:
        return found[:1] == tuple(wanted)
    return fingerprints(found) == fingerprints(wanted)


def wait_for(
    endpoint: Endpoint, server_name: str, wanted: Sequence[x509.Facts], *, timeout_s: float
) -> tuple[bool, str]:
    """Ask until `endpoint` serves `wanted` or the time is over.

    Returns whether it does, and the fingerprint served last (or why none was).
    """
    return poll(lambda: chain(endpoint, server_name), wanted, timeout_s=timeout_s)


def poll(
    look: Callable[[], tuple[x509.Facts, ...]], wanted: Sequence[x509.Facts], *, timeout_s: float
) -> tuple[bool, str]:
    """Look until it is `wanted` or the time is over; at least once."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = look()
        except x509.CertificateError as error:
            last = str(error)
        else:
            last = found[0].fingerprint
            if same(found, wanted):
                return True, last
            if last == wanted[0].fingerprint:
                last = f"{last} with another chain"
        if time.monotonic() >= deadline:
            return False, last
        time.sleep(POLL_S)
