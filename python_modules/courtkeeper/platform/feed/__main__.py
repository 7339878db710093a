"""Run the feed server: `python -m courtkeeper.platform.feed --config FILE`.

Exit codes: 0 stopped, 1 the port is taken, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

import uvicorn

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.platform.feed.app import create_app
from courtkeeper.platform.feed.config import FeedConfig, load


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal stops the process."""
    parser = argparse.ArgumentParser(prog="python -m courtkeeper.platform.feed", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, help="the JSON configuration file")
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
        application = create_app(config)
        listener = _listen(config)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except CourtkeeperError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            log_level="warning",
            access_log=False,
            lifespan="off",
            # A hanging request must not keep the process alive after a signal.
            timeout_graceful_shutdown=1,
        )
    )
    with listener:
        server.run(sockets=[listener])
    return 0


def _listen(config: FeedConfig) -> socket.socket:
    family = socket.AF_INET6 if config.host == "::1" else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise CourtkeeperError(
            f"The feed cannot listen on {config.host}:{config.port}: {error.strerror}. Choose another port."
        ) from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
