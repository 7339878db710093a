"""The embedded platform by the command line: a cold `up`, and `up` after `down` (limit 5 s)."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from limits import hold  # noqa: E402

from courtkeeper import platform  # noqa: E402
from support.checkout import Checkout, checkout  # noqa: E402


def up(here: Checkout) -> float:
    """Bring the platform up and return how long that took, in seconds."""
    began = time.perf_counter()
    done = here.cli("platform", "up", "--feed", "simulated")
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory, checkout(Path(directory).resolve() / "here") as here:
        cold = up(here)
        warm = []
        for _ in range(ROUNDS):
            platform.down(here.root)
            warm.append(up(here))
    sys.stdout.write(
        f"platform up: cold {cold:.2f} s, "
        f"warm {statistics.median(warm):.2f} s (limit 5 s; median of {ROUNDS})\n"
    )
    hold("a warm start", statistics.median(warm), 5)


if __name__ == "__main__":
    main()
