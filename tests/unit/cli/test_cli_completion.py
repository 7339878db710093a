"""What bash completes, asked as bash asks: by its own `complete -F`, in a shell of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.notices import checkout
from support.records import record

PROGRAM = f"""#!{sys.executable}
from courtkeeper.cli import main
main()
"""
ASK = """
set -e
PATH="$BIN:$PATH"
source "$BIN/completion"
COMP_WORDS=($LINE) COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
if [ "${LINE: -1}" = " " ]; then COMP_WORDS+=(""); COMP_CWORD=$(( COMP_CWORD + 1 )); fi
function=$(complete -p courtkeeper | sed -E 's/.*-F ([^ ]+) .*/\\1/')
$function courtkeeper "${COMP_WORDS[COMP_CWORD]}" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Bash:
    """A bash with the completion that `--show-completion bash` gives."""

    def __init__(self, root: Path, directory: Path) -> None:
        program = directory / "courtkeeper"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        self.environment = {
            **os.environ, "COURTKEEPER_ROOT": str(root), "BIN": str(directory), "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        script = self._run([str(program), "--show-completion", "bash"])
        (directory / "completion").write_text(script)

    def _run(self, argv: list[str], **more: str) -> str:
        done = subprocess.run(
            argv, env=self.environment | more, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def completes(self, line: str) -> list[str]:
        return self._run(["bash", "--norc", "-c", ASK], LINE=line).split()


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Bash:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    root = tmp_path_factory.mktemp("checkout")
    jobs = [{"name": "backup"}, {"name": "backup_verify"}, {"name": "nightly", "playbook": "backup"}]
    checkout(root, {}, jobs=jobs)
    (root / "playbooks/nightly.yml").unlink()
    (root / "inventory/other").mkdir()
    (root / "inventory/other/hosts.yml").write_text("all:\n")
    done = record()
    (root / "var/runs" / done.run_id).mkdir(parents=True)
    return Bash(root, tmp_path_factory.mktemp("bin"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("courtkeeper do", ["doctor"]),
        ("courtkeeper run ba", ["backup", "backup_verify"]),
        ("courtkeeper run -i inventory/embedded n", ["nightly"]),
        ("courtkeeper run backup -i ", ["inventory/embedded", "inventory/other"]),
        ("courtkeeper run backup -i em", ["embedded"]),
        ("courtkeeper notify test s", ["switch"]),
        ("courtkeeper report 2026", [record().run_id]),
        ("courtkeeper run zzz", []),
    ],
)
def test_bash_completes(bash: Bash, line: str, words: list[str]) -> None:
    assert bash.completes(line) == words
