"""A TLS server that reads its certificate at the start and, if it is told to, at SIGHUP."""

import signal
import socketserver
import ssl
import sys

port, pem, obeys = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "obeys"


def load(*_: object) -> None:
    """Read the file: into a context of its own, because one context keeps a key of each kind."""
    Server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Server.context.load_cert_chain(pem)


class Handler(socketserver.BaseRequestHandler):
    """Shake hands and hang up."""

    def handle(self) -> None:
        try:
            with Server.context.wrap_socket(self.request, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    """Answers many at once, and again after a restart."""

    allow_reuse_address = True
    daemon_threads = True


load()
signal.signal(signal.SIGHUP, load if obeys else signal.SIG_IGN)
Server(("127.0.0.1", port), Handler).serve_forever()
