"""S3 with faults: a TLS proxy that does to chosen requests what networks and stores do."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

from courtkeeper.platform.ports import HOST
from support.s3 import S3

# 503 and 403: answered so. cut: the connection ends in the middle of the body, either way. truncate: the
# store gets half a body as a whole one. corrupt: it gets other bytes. lose: acknowledged and never stored.
# slow: `rate` bytes a second.
What = Literal["503", "403", "cut", "truncate", "corrupt", "lose", "slow"]


@dataclass
class Fault:
    """What befalls requests that `matches` (method, path with query), `times` times (None: always)."""

    what: What
    matches: Callable[[str, str], bool]
    times: int | None = None
    rate: float = 1e6
    happened: int = 0


@dataclass
class Proxy:
    """A running proxy; `faults` may be changed at any time."""

    s3: S3
    url: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def destination(self, name: str = "remote", **more: Any) -> dict[str, Any]:
        """Return the settings of a destination behind it, with small parts and little patience."""
        told = {"endpoint_url": self.url, "part_mb": 5, "attempts": 2, "timeout_s": 5}
        return self.s3.destination(name, **{**told, **more})

    def fault(
        self, what: What, matches: Callable[[str, str], bool], times: int | None = None, **more: Any
    ) -> Fault:
        """Add a fault."""
        fault = Fault(what, matches, times, **more)
        self.faults.append(fault)
        return fault

    def chosen(self, method: str, path: str) -> Fault | None:
        """Return the fault of a request."""
        for fault in self.faults:
            if (fault.times is None or fault.happened < fault.times) and fault.matches(method, path):
                fault.happened += 1
                return fault
        return None


def puts(method: str, _path: str) -> bool:
    """Match everything that stores."""
    return method in {"PUT", "POST"}


def part(number: int) -> Callable[[str, str], bool]:
    """Match one part of a multipart upload."""
    return lambda method, path: method == "PUT" and f"partNumber={number}" in path


def manifest(method: str, path: str) -> bool:
    """Match the manifest being stored."""
    return method == "PUT" and "manifest.json" in path


def gets(method: str, path: str) -> bool:
    """Match an object being read."""
    return method == "GET" and ".age" in path


@contextmanager
def s3_proxy(s3: S3) -> Iterator[Proxy]:
    """Start a proxy in front of `s3`, with its certificate."""
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(s3.ca_file, s3.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.proxy = Proxy(s3, f"https://{HOST}:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.proxy  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(120)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do(self) -> None:
        proxy: Proxy = self.server.proxy  # type: ignore[attr-defined]
        proxy.requests.append(f"{self.command} {self.path}")
        fault = proxy.chosen(self.command, self.path)
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):
            body = self._body(fault)
            if body is not None:
                self._answered(proxy.s3, fault, body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815 - the names that http.server calls

    def _body(self, fault: Fault | None) -> bytes | None:
        length = int(self.headers.get("Content-Length") or 0)
        if fault and fault.what == "cut" and length:
            self.rfile.read(length // 2)
            self._hang_up()
            return None
        if not (fault and fault.what == "slow"):
            return self.rfile.read(length)
        body = b""
        while len(body) < length and (chunk := self.rfile.read(min(1 << 16, length - len(body)))):
            body += chunk
            time.sleep(len(chunk) / fault.rate)
        return body

    def _answered(self, s3: S3, fault: Fault | None, body: bytes) -> None:
        if fault and fault.what in {"503", "403"}:
            code = {"503": "SlowDown", "403": "AccessDenied"}[fault.what]
            self._reply(int(fault.what), f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
            return
        if fault and fault.what == "lose":
            self._reply(200, b"", ETag=f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
            return
        if fault and fault.what == "truncate":
            body = body[: len(body) // 2]
        if fault and fault.what == "corrupt":
            body = body[:-1] + bytes([body[-1] ^ 1])
        answer, content = self._forwarded(s3, body)
        if fault and fault.what == "cut":
            content_length = len(content)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(content_length))
            self._copied(answer)
            self.wfile.write(content[: content_length // 2])
            self._hang_up()
            return
        headers = {key: value for key, value in answer.getheaders() if key.lower() not in _OURS}
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self._reply(answer.status, content, length=length or "0", **headers)

    def _forwarded(self, s3: S3, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        place = urlsplit(s3.url)
        trusted = ssl.create_default_context(cafile=s3.ca_file)
        connection = http.client.HTTPSConnection(str(place.hostname), place.port, context=trusted, timeout=60)
        try:
            kept = {key: value for key, value in self.headers.items() if key.lower() not in _NOT_SENT}
            connection.request(self.command, self.path, body, {**kept, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _copied(self, answer: http.client.HTTPResponse) -> None:
        for key, value in answer.getheaders():
            if key.lower() not in _OURS:
                self.send_header(key, value)
        self.end_headers()

    def _reply(self, status: int, content: bytes, length: str = "", **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(2)


_OURS = {"content-length", "transfer-encoding", "connection", "date", "server"}
_NOT_SENT = {"host", "content-length", "content-md5", "connection", "expect"}
