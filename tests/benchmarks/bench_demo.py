"""`make demo` from a fresh clone with packages cached, and its second run: limits 90 s and 30 s."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make(directory: Path, target: str) -> float:
    """Run a make target in `directory` and return how long it took, in seconds."""
    began = time.perf_counter()
    done = subprocess.run(["make", target], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(1)
    if target == "demo" and directory.joinpath("second").exists():
        assert "nothing changed" in done.stdout
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as parent:
        directory = Path(parent) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(directory)], check=True)
        try:
            first = make(directory, "demo")
            directory.joinpath("second").touch()
            second = make(directory, "demo")
        finally:
            subprocess.run(
                [".venv/bin/courtkeeper", "platform", "down", "--remove-data"], cwd=directory, check=False
            )
        sys.stdout.write(f"make demo: first {first:.1f} s (limit 90 s), second {second:.1f} s (limit 30 s)\n")


if __name__ == "__main__":
    main()
