"""`make demo` from a fresh clone with packages cached, and its second run: limits 90 s and 30 s."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from limits import hold

ROOT = Path(__file__).resolve().parents[2]


def demo(directory: Path) -> tuple[float, str]:
    """Run `make demo` in `directory`; how long it took, in seconds, and what it said."""
    began = time.perf_counter()
    done = subprocess.run(["make", "demo"], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(1)
    return time.perf_counter() - began, done.stdout


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as parent:
        directory = Path(parent) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(directory)], check=True)
        try:
            first, _ = demo(directory)
            second, said = demo(directory)
        finally:
            subprocess.run(
                [".venv/bin/courtkeeper", "platform", "down", "--remove-data"], cwd=directory, check=False
            )
        sys.stdout.write(f"make demo: first {first:.1f} s (limit 90 s), second {second:.1f} s (limit 30 s)\n")
        if "nothing changed" not in said:
            raise SystemExit("MISSED: the second demo changed something")
        hold("the first demo", first, 90)
        hold("the second demo", second, 30)


if __name__ == "__main__":
    main()
