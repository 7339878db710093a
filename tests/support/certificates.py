"""Certificates made for a test, and a TLS server that serves them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Made:
    """A certificate with its key, and the one that signed it."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    issuer: Made | None = None

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def fullchain(self) -> bytes:
        """Leaf and intermediates, without the root."""
        return self.pem + (self.issuer.fullchain if self.issuer and self.issuer.issuer else b"")

    @property
    def chain(self) -> bytes:
        return self.fullchain[len(self.pem) :]


def make(
    name: str,
    issuer: Made | None = None,
    *,
    names: tuple[str, ...] = (),
    start: datetime = NOW - 10 * DAY,
    lifetime: timedelta = 90 * DAY,
    bits: int = 0,
) -> Made:
    """Make a certificate: an authority without `names`; with `bits`, an RSA key of that size."""
    private = rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())
    signer = issuer.private if issuer else private
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    return Made(builder.sign(signer, hashes.SHA256()), private, issuer)


def authority() -> tuple[Made, Made]:
    """A root and an intermediate."""
    root = make("Test Root", lifetime=3650 * DAY)
    return root, make("Test Intermediate", root, lifetime=1000 * DAY)


@contextmanager
def serving(path: Path) -> Iterator[int]:
    """Serve the chain and key in the file at `path`, read anew for every connection; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), raw:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(path)
                with context.wrap_socket(raw, server_side=True) as secured:
                    secured.recv(1)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(120)
