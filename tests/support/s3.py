"""S3 over TLS: moto behind gunicorn, on this machine. It forgets everything when it ends."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from courtkeeper.platform.ports import HOST, free_port

ACCESS_KEY = "AKIAVAULTTESTSONLY00"
SECRET_KEY = "s3cret/only-for/tests+of+the+vault/AbCdEfGh"
BUCKET = "nba-backups"
_READY_S = 60.0
_APP = """\
from moto.server import DomainDispatcherApplication, create_backend_app

app = DomainDispatcherApplication(create_backend_app)
"""


@dataclass
class S3:
    """A running server. `client` is boto3's own, for a test to look behind the vault's back."""

    url: str
    ca_file: Path
    key_file: Path
    client: Any = field(repr=False)

    def destination(self, name: str = "remote", bucket: str = BUCKET, **more: Any) -> dict[str, Any]:
        """Return the settings of a destination here."""
        return {
            "name": name,
            "kind": "s3",
            "bucket": bucket,
            "endpoint_url": self.url,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "ca_file": str(self.ca_file),
            **more,
        }

    def keys(self, bucket: str = BUCKET) -> list[str]:
        """Return what is in a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def uploads(self, bucket: str = BUCKET) -> list[str]:
        """Return the multipart uploads that are neither complete nor aborted."""
        answer = self.client.list_multipart_uploads(Bucket=bucket)
        return sorted(entry["Key"] for entry in answer.get("Uploads", ()))

    def empty(self, bucket: str = BUCKET) -> None:
        """Remove all objects and uploads."""
        for key in self.keys(bucket):
            self.client.delete_object(Bucket=bucket, Key=key)
        for entry in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
            self.client.abort_multipart_upload(Bucket=bucket, Key=entry["Key"], UploadId=entry["UploadId"])


@contextmanager
def s3_server(tmp_dir: Path) -> Iterator[S3]:
    """Start a server with one empty bucket, and leave no process behind."""
    tmp_dir.mkdir(parents=True, exist_ok=True)
    ca_file, key_file = certificate(tmp_dir)
    (tmp_dir / "courtkeeper_test_s3.py").write_text(_APP)
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "-w", "1", "-k", "gthread", "--threads", "8", "--keep-alive", "65",
        "--certfile", str(ca_file), "--keyfile", str(key_file), "-b", f"{HOST}:{port}",
        "--graceful-timeout", "1", "--no-control-socket", "courtkeeper_test_s3:app",
    ]  # fmt: skip
    with (tmp_dir / "s3.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=tmp_dir,
            stdout=log,
            stderr=log,
            # It keeps every object in memory and big ones in files: those go where the test cleans up.
            env={**os.environ, "TMPDIR": str(tmp_dir), "PYTHONPATH": str(tmp_dir)},
        )
    try:
        url = f"https://{HOST}:{port}"
        _wait(process, url, ca_file, tmp_dir / "s3.log")
        client = client_of(url, ca_file)
        client.create_bucket(Bucket=BUCKET)
        yield S3(url, ca_file, key_file, client)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def client_of(url: str, ca_file: Path) -> Any:
    """Return a plain client."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        verify=str(ca_file),
        config=Config(s3={"addressing_style": "path"}),
    )


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine that is its own CA; return its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST)), x509.DNSName("localhost")]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "s3.crt", directory / "s3.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


def _wait(process: subprocess.Popen[bytes], url: str, ca_file: Path, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    trusted = ssl.create_default_context(cafile=ca_file)
    while True:
        try:
            httpx.get(f"{url}/moto-api/", verify=trusted, timeout=5.0)
        except httpx.HTTPError:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.05)
        else:
            return
