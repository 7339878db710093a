"""Run `ansible-test sanity` on the built collection, with a package index as the only network.

All tests that `ansible-test sanity --list-tests` names run; none is left out. How:

- ansible-test downloads `get-pip` from a host of its own for the venvs of eight of its tests (ansible-doc,
  changelog, import, pep8, pylint, runtime-metadata, validate-modules, yamllint). A stand-in in its cache
  copies the pip of .venv. What those tests need then comes from the package index, at the versions
  ansible-test pins, and is kept in build/sanity/home: without an index and without that copy these eight
  cannot run, and make says so.
- pslint and shellcheck look only at PowerShell and shell files, of which the collection has none; should
  one appear, ansible-test skips them with a warning where pwsh or shellcheck is missing.
- import and validate-modules run in venvs that hold nothing but their own needs. That is on purpose: a
  module must say in one sentence that the courtkeeper library is missing, and these two prove it can.
- compile and import run for the Python of .venv; the collection's tests/config.yml names the oldest.

It works in a HOME of its own, so the user's ~/.ansible is neither read nor written.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import ansible_test
from collection import ROOT, stage
from pip_settings import read_pip_settings

SANITY = ROOT / "build/sanity"
HOME = SANITY / "home"
STAND_IN = """\
import shutil
import sysconfig
from pathlib import Path

target = Path(sysconfig.get_path("purelib"))
for part in ("pip", "pip-*.dist-info"):
    for found in Path({packages!r}).glob(part):
        shutil.copytree(found, target / found.name)
"""
NOT_FOR_PIP_CONF = {"find-links", "extra-index-url", "disable-pip-version-check"}  # the machine's own


def write_stand_in() -> None:
    """Put the stand-in where ansible-test looks for the get-pip of the version it wants."""
    source = Path(ansible_test.__file__).with_name("_internal") / "python_requirements.py"
    version = re.search(r"pip='([0-9.]+)'", source.read_text())
    if version is None:
        raise SystemExit(f"sanity: no pip version in {source}: this ansible-core is new to tools/sanity.py")
    cache = HOME / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"get_pip_{version[1].replace('.', '_')}.py").write_text(
        STAND_IN.format(packages=sysconfig.get_path("purelib"))
    )


def write_pip_conf() -> None:
    """Carry the caller's way to the index over: ansible-test passes no PIP_* variables on."""
    settings = {k: v for k, v in read_pip_settings().items() if k not in NOT_FOR_PIP_CONF}
    conf = HOME / ".config/pip/pip.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{key} = {value}\n" for key, value in settings.items()]
    conf.write_text("".join(["[global]\n", "quiet = 1\n", *lines, "[install]\n", "no-compile = no\n"]))
    conf.chmod(0o600)  # an index URL may hold a password


def main() -> int:
    """Stage the collection as a git checkout and run every sanity test on it."""
    write_stand_in()
    write_pip_conf()
    collection = stage(SANITY / "stage")
    bin_dir = Path(sys.executable).parent
    environment = {
        "HOME": str(HOME),
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    # ansible-test asks git which files there are; nothing needs to be committed.
    for git in (["git", "init", "--quiet"], ["git", "add", "--all"]):
        subprocess.run(git, cwd=collection, env=environment, check=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [
        bin_dir / "ansible-test",
        "sanity",
        "--local",
        "--python",
        version,
        "--color",
        "no",
        *sys.argv[1:],
    ]
    return subprocess.run(command, cwd=collection, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
