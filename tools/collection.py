"""Stage and build the collection courtkeeper.ops under build/.

In the checkout the collection's `roles` is a link to the checkout's own, and its playbooks and licence
lie at the top. `ansible-galaxy collection build` skips a link that leads outside, so what is released
(and what ansible-test looks at) is built from a copy in which everything is a file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSIDE = Path("ansible_collections/courtkeeper/ops")
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*.pyc", "*.tar.gz", "output", ".ansible", ".plugin-cache.yaml"
)


def stage(target: Path, root: Path = ROOT) -> Path:
    """Copy the collection of the checkout `root` below `target`, links resolved; return its directory."""
    collection = target / INSIDE
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "collections" / INSIDE, collection, symlinks=False, ignore=LEFT_OUT)
    if (root / "playbooks").is_dir():
        shutil.copytree(root / "playbooks", collection / "playbooks", ignore=LEFT_OUT)
    shutil.copy(root / "LICENSE", collection / "LICENSE")
    return collection


def build(collection: Path, output: Path) -> Path:
    """Build the staged `collection` into `output` and return the tarball."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("courtkeeper-ops-*.tar.gz"):
        old.unlink()
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    subprocess.run(
        [galaxy, "collection", "build", "--force", "--output-path", output, collection],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (tarball,) = output.glob("courtkeeper-ops-*.tar.gz")
    return tarball


def main() -> int:
    """Build the tarball and print where it is."""
    tarball = build(stage(ROOT / "build/stage"), ROOT / "build")
    sys.stdout.write(f"{tarball.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
