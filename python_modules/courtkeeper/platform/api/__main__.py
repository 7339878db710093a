"""Serve the API: `python -m courtkeeper.platform.api --config FILE`. Passwords are in that file only."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn
from prometheus_client import disable_created_metrics

from courtkeeper.findings import ConfigurationError
from courtkeeper.platform.api.app import build
from courtkeeper.platform.api.config import load


def main() -> int:
    """Serve until SIGTERM. Returns 2 if the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="courtkeeper.platform.api", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the configuration file (0600)")
    try:
        config = load(parser.parse_args().config)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for every counter, which nothing reads
    uvicorn.run(
        build(config),
        host=config.host,
        port=config.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
