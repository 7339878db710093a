"""What the whole chain costs over the library call alone, on the same night and database.

`courtkeeper run nba_refresh` (driver, ansible-runner, playbook, role, module, report) against
`courtkeeper.nba.refresh` in a warm process, interleaved, medians. Issue's limit: 15 s more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

ROUNDS = 5
TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from limits import hold  # noqa: E402

from courtkeeper.nba.cache import CacheSettings  # noqa: E402
from courtkeeper.platform import read_secrets, read_state  # noqa: E402
from support import nba  # noqa: E402
from support.checkout import checkout  # noqa: E402


def seconds(action: Callable[[], object]) -> float:
    """Return how long `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as directory,
        checkout(Path(directory).resolve() / "checkout", feed_kind="simulated") as here,
    ):
        state, secrets = read_state(here.root), read_secrets(here.root)
        cache = CacheSettings(host=state.cache.host, port=state.cache.port, password=secrets.cache_password)
        settings = nba.settings(here.dsn("application"), state.feed.url, here.root / "var", cache=cache)
        night = state.feed.date

        def library() -> None:
            nba.run(settings, first=night - timedelta(days=7), last=night)

        def chain() -> None:
            code, record, _ = here.refresh("--date", night.isoformat())
            assert code == 0, record["message"]

        first = seconds(chain)
        library()
        pairs = [(seconds(library), seconds(chain)) for _ in range(ROUNDS)]
        alone, through = (statistics.median(column) for column in zip(*pairs, strict=True))
        sys.stdout.write(
            f"a night of 11 games, unchanged: library {alone:.2f} s, whole chain {through:.2f} s, "
            f"{through - alone:+.2f} s (limit +15 s; median of {ROUNDS}); the first, loading, {first:.2f} s\n"
        )
        hold("the chain beyond the library call", through - alone, 15)


if __name__ == "__main__":
    main()
