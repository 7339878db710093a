"""`make demo`: start the embedded platform and run last night's refresh on it, through the whole chain.

Exits 0 when the job ran, whatever it found (the command's codes 0 and 3), and 1 when it could not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COURTKEEPER = Path(sys.executable).with_name("courtkeeper")
NIGHT = {
    "recorded": "a recorded night: real responses of the league's own servers",
    "simulated": "a simulated night: no recorded games on this machine, so every game is made up and says so",
}
RAN = {0: "it found nothing critical", 3: "it has critical findings, shown above and in the report"}


def courtkeeper(*arguments: str) -> int:
    """Run one courtkeeper command as a person would, and return its exit code."""
    sys.stdout.write(f"\n$ courtkeeper {' '.join(arguments)}\n")
    sys.stdout.flush()
    return subprocess.run([COURTKEEPER, *arguments], cwd=ROOT, check=False).returncode


def reports() -> set[Path]:
    """Return the reports written so far."""
    return set((ROOT / "var/runs").glob("*/report.html"))


def main() -> int:
    """Run the demo."""
    start = time.monotonic()
    if courtkeeper("platform", "up") != 0:
        sys.stderr.write("demo: the embedded platform did not start; the message above says why.\n")
        return 1
    feed = json.loads((ROOT / "var/platform/state.json").read_text())["feed"]
    sys.stdout.write(f"\nThe feed serves {NIGHT[feed['kind']]}. The night is {feed['date']}.\n")

    before = reports()
    code = courtkeeper("run", "nba_refresh", "-i", "inventory/embedded", "--date", feed["date"])
    if code not in RAN:
        sys.stderr.write(f"demo: the job did not run (exit code {code}); the message above says why.\n")
        return 1
    sys.stdout.write(
        f"\nThe refresh ran on {feed['kind']} games in {time.monotonic() - start:.0f} s; {RAN[code]}.\n"
    )
    for report in sorted(reports() - before)[-1:]:
        sys.stdout.write(f"Report:  {report.relative_to(ROOT)}\n")
    sys.stdout.write("The platform goes on running. Stop it: make demo-down\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
