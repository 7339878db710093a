"""Read certificates and keys into plain facts. What cannot be read is one sentence, whatever it holds."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from courtkeeper.findings import CourtkeeperError

# A chain is some kilobytes, a bundle of all public roots some hundred.
LARGEST = 4 * 1024 * 1024
BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class CertificateError(CourtkeeperError):
    """A file or an answer is not the certificate or the key it should be."""


class Facts(msgspec.Struct, frozen=True):
    """What a certificate says; times are aware, `fingerprint` is SHA-256 in hex, `bits` its key's size."""

    der: bytes
    fingerprint: str
    subject: str
    issuer: str
    serial: int
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    authority: bytes | None
    key: str
    bits: int
    public_key: bytes
    signature_hash: str

    @property
    def lifetime_s(self) -> float:
        """Return the seconds from its first to its last moment; never less than one."""
        return max((self.not_after - self.not_before).total_seconds(), 1.0)

    @property
    def self_issued(self) -> bool:
        """Tell whether it names itself as its issuer."""
        return self.subject == self.issuer

    def left(self, now: datetime) -> float:
        """Return the fraction of the lifetime that is left at `now`; negative once it has expired."""
        return (self.not_after - now).total_seconds() / self.lifetime_s


def read_file(path: Path) -> bytes:
    """Return the bytes of a certificate's or key's file; a missing one is an error as well."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise CertificateError(f"{path} is larger than {LARGEST // 2**20} MiB and no certificate")
    return data


def blocks(data: bytes) -> list[bytes]:
    """Return the certificates of a PEM text as PEM, in a time that grows with its length alone."""
    found, at = [], 0
    while (end := data.find(END, at)) >= 0:
        begin = data.rfind(BEGIN, at, end)
        at = end + len(END)
        if begin >= 0:
            found.append(data[begin:at])
    return found


def read_chain(data: bytes, where: str) -> tuple[Facts, ...]:
    """Return the certificates of a PEM text in their order. `where` names it in errors."""
    encoded = blocks(data)
    if not encoded:
        raise CertificateError(f"{where} holds no PEM certificate")
    return tuple(facts(block, where) for block in encoded)


def subject(pem: bytes) -> str:
    """Return the subject of one certificate, without looking at the rest of it."""
    try:
        return x509.load_pem_x509_certificate(pem).subject.rfc4514_string()
    except (ValueError, TypeError) as error:
        raise CertificateError(f"a certificate cannot be read ({error})") from None


def facts(data: bytes, where: str) -> Facts:
    """Return what one certificate (PEM or DER) says."""
    try:
        load = x509.load_pem_x509_certificate if data.startswith(b"-----") else x509.load_der_x509_certificate
        return told_by(load(data))
    # Extensions and dates are parsed when they are asked for, and raise what they like.
    except (ValueError, TypeError, UnsupportedAlgorithm, OverflowError, x509.InvalidVersion) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CertificateError(f"{where} holds a certificate that cannot be read ({reason[:120]})") from None


def told_by(certificate: x509.Certificate) -> Facts:
    """Return the facts of a parsed certificate."""
    public = certificate.public_key()
    algorithm = certificate.signature_hash_algorithm
    return Facts(
        der=certificate.public_bytes(serialization.Encoding.DER),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=alternative_names(certificate),
        authority=authority(certificate),
        key=kind(public),
        bits=getattr(public, "key_size", 256),
        public_key=spki(public),
        signature_hash=algorithm.name if algorithm else "",
    )


def alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names (in lower case) and addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    return (*found, *(str(address) for address in names.get_values_for_type(x509.IPAddress)))


def authority(certificate: x509.Certificate) -> bytes | None:
    """Return the identifier of the issuer's key, where the certificate carries it."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return extension.value.key_identifier


def kind(public: object) -> str:
    """Return what a key is called."""
    named = {
        "RSA": rsa.RSAPublicKey,
        "EC": ec.EllipticCurvePublicKey,
        "DSA": dsa.DSAPublicKey,
        "Ed25519": ed25519.Ed25519PublicKey,
        "Ed448": ed448.Ed448PublicKey,
    }
    return next((name for name, of in named.items() if isinstance(public, of)), "unknown")


def spki(public: object) -> bytes:
    """Return the public key in the one form that compares."""
    encoded: bytes = public.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def read_key(data: bytes, where: str) -> bytes:
    """Return the public half of a PEM private key without a passphrase, as a certificate has it."""
    try:
        return spki(serialization.load_pem_private_key(data, password=None).public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm, OverflowError):
        # Never the library's own text, which could quote the file.
        raise CertificateError(f"{where} is no PEM private key without a passphrase") from None


def issued_by(certificate: Facts, issuer: Facts) -> bool:
    """Tell whether `issuer` signed `certificate`."""
    try:
        child = x509.load_der_x509_certificate(certificate.der)
        child.verify_directly_issued_by(x509.load_der_x509_certificate(issuer.der))
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def matches(names: Sequence[str], host: str) -> bool:
    """Tell whether a certificate for `names` is one for `host`; a wildcard is one label (RFC 9525, 6.3)."""
    try:
        return str(ipaddress.ip_address(host)) in names
    except ValueError:
        pass
    host = host.lower().rstrip(".")
    _, _, parent = host.partition(".")
    return host in names or (bool(parent) and f"*.{parent}" in names)
