"""Our part around pgBackRest (limit: 5 s a run), beside the same commands bare, in the same run.

A run of ours backs up into two repositories (a disk, S3 over TLS), lets a segment through, reads both
repositories, compares the log with the server's position, plans retention and judges. The baseline is what an
engineer types for the same: `backup` for each repository, `check`, `verify` for each. What is measured is our
run without the seconds that pgBackRest itself took, and the two whole times.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROUNDS, ROWS, SEGMENTS = 3, 300_000, 200
LIMIT_S = 5.0
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec  # noqa: E402
from limits import hold  # noqa: E402

from courtkeeper.findings import Status, worst  # noqa: E402
from courtkeeper.vault.pgbackrest.run import backup  # noqa: E402
from support.pgbackrest import Lab, lab, missing  # noqa: E402
from support.s3 import s3_server  # noqa: E402


def bare(made: Lab) -> float:
    """Run the bare commands; return the seconds."""
    begun = time.monotonic()
    for words in (
        ["backup", "--repo=1", "--type=incr"],
        ["backup", "--repo=2", "--type=incr"],
        ["check"],
        ["verify", "--repo=1", "--output=text", "--verbose"],
        ["verify", "--repo=2", "--output=text", "--verbose"],
    ):
        done = made.bare(*words)
        assert done.returncode == 0, done.stderr
    return time.monotonic() - begun


def main() -> None:
    """Print a line a round and the medians; end with 1 where the limit is missed."""
    if why := missing():
        print(f"skipped: {why}")
        return
    with tempfile.TemporaryDirectory() as directory, s3_server(Path(directory)) as s3, lab(s3) as made:
        rows = f"SELECT i, md5(i::text) FROM generate_series(1, {ROWS}) i"
        made.sql(f"CREATE TABLE rows AS {rows}")
        policy = msgspec.structs.replace(made.stanza.policy, verify_hours=0.0001)
        stanza = msgspec.structs.replace(made.stanza, policy=policy)
        assert backup(stanza).changed
        for _ in range(SEGMENTS):
            made.sql("SELECT pg_logical_emit_message(true, 'bench', 'x')", "SELECT pg_switch_wal()")
        made.archived()
        own, whole, plain = [], [], []
        for number in range(ROUNDS):
            plain.append(bare(made))
            result = backup(stanza, kind="incr")
            assert worst(result.findings) is not Status.CRIT, result.findings
            own.append(float(result.metrics["own_s"]))
            whole.append(float(result.metrics["duration_s"]))
            print(f"round {number + 1}: bare {plain[-1]:.2f} s, ours {whole[-1]:.2f} s, own {own[-1]:.3f} s")
        size = result.metrics["repo1_last_bytes"] / 1e6
        middle = [statistics.median(each) for each in (own, whole, plain)]
        print(
            f"median of {ROUNDS}: our own part {middle[0]:.3f} s; whole {middle[1]:.2f} s against "
            f"{middle[2]:.2f} s bare ({size:.0f} MB, {SEGMENTS} segments of log)"
        )
        hold("our part around pgBackRest", max(own), LIMIT_S)


if __name__ == "__main__":
    main()
