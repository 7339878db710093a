# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""The library on a host, and certbot beside it: where a venv lies, whether it works, how it comes and goes.

The one part of the collection that cannot call the courtkeeper library: it is what brings it. It needs
nothing but the standard library of the host's Python, and runs no shell.

    DIRECTORY/venv                -> releases/<digest>, changed in one rename
    DIRECTORY/releases/<digest>/  a venv with its agent.json
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

MARK = "agent.json"
# The name of a release: the first letters of its digest.
RELEASE = re.compile("[0-9a-f]{12}")
# What has to work in the venv of a package, and says its version.
IMPORTS = dict(
    courtkeeper="import courtkeeper, courtkeeper.findings; print(courtkeeper.__version__)",
    certbot="import certbot.main; print(certbot.__version__)",
)
NAMES = dict(courtkeeper="library", certbot="certbot")
# The venv, the unpacked archive and the compiled files together, as a multiple of the archive: a safe guess.
ROOM = 6
INSTALL_S = 300


class AgentError(Exception):
    """What a person has to mend, in one sentence."""


def release_directory(directory, digest):
    """Where the release with `digest` lies."""
    return os.path.join(directory, "releases", digest[:12])


def describe_host():
    """The kind of host, as the wheelhouse asks for it."""
    library, version = platform.libc_ver()
    return dict(
        python=platform.python_version(),
        machine=platform.machine(),
        glibc=version if library == "glibc" else "",
    )


def works(venv, package):
    """The version of `package` in `venv`, and why it cannot be used (empty if it can)."""
    command = [os.path.join(venv, "bin", "python"), "-I", "-c", IMPORTS[package]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"its Python does not run: {error}"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return "", f"the {NAMES[package]} cannot be imported: {lines[-1]}"
    return done.stdout.strip(), ""


def look(directory, package="courtkeeper"):
    """What is installed under `directory`: digest, version, and the problem with it (empty if none)."""
    venv = os.path.join(directory, "venv")
    found = dict(installed=os.path.lexists(venv), digest="", version="", problem="")
    if not found["installed"]:
        return found
    try:
        with open(os.path.join(venv, MARK), encoding="utf-8") as mark:
            record = json.load(mark)
        found["digest"] = record["digest"]
    except (OSError, ValueError, KeyError):
        found["problem"] = f"it has no readable {MARK}"
        return found
    if record.get("python") != platform.python_version():
        found["problem"] = f"it was made for Python {record.get('python')}"
        return found
    if record.get("package", "courtkeeper") != package:
        found["problem"] = f"it holds {record['package']}"
        return found
    found["version"], found["problem"] = works(venv, package)
    return found


def finding(directory, state, package="courtkeeper"):
    """The one finding: whether the host has a venv of `package` that works."""
    status, fix, name = "ok", "", NAMES[package]
    what = "The library" if name == "library" else name
    summary = f"{what} {state['version']} in {directory}/venv works."
    if not state["installed"]:
        status, fix = "skipped", "run the role agent"
        summary = f"{what} is not installed in {directory}."
    elif state["problem"]:
        status, fix = "crit", "run the role agent again"
        summary = f"{what} in {directory}/venv cannot be used: {state['problem']}."
    return dict(
        id=f"agent.{name}", subject=directory, status=status, observed=state["version"] or None,
        threshold=None, unit="", summary=summary, fix=fix, applied="", undo="",
    )  # fmt: skip


def refuse_odd_directory(directory, package="courtkeeper"):
    """Refuse a directory that cannot be ours alone, or that holds another package of ours."""
    if not os.path.isabs(directory) or os.path.realpath(directory).count(os.sep) < 2:
        raise AgentError(f"agent_directory must be an absolute path of two parts or more, not {directory!r}")
    venv = os.path.join(directory, "venv")
    if os.path.lexists(venv) and not os.path.islink(venv):
        raise AgentError(f"{venv} is not the agent's, which is a link: name another agent_directory")
    try:
        with open(os.path.join(venv, MARK), encoding="utf-8") as mark:
            held = json.load(mark).get("package", "courtkeeper")
    except (OSError, ValueError, AttributeError):
        return
    if held != package:
        raise AgentError(f"{directory} holds {held}, not {package}: name another agent_directory")


def others(directory, keep=""):
    """Our releases under `directory` but the one in `keep`, also half ones; nobody else's, whatever it is."""
    releases = os.path.join(directory, "releases")
    names = os.listdir(releases) if os.path.isdir(releases) else []
    paths = [os.path.join(releases, name) for name in sorted(names) if RELEASE.fullmatch(name)]
    return [path for path in paths if path != keep and is_ours(path)]


def is_ours(release):
    """Whether a directory of such a name holds a venv, or nothing yet: a date can look like a digest."""
    return os.path.isdir(release) and (
        os.path.exists(os.path.join(release, "pyvenv.cfg")) or not os.listdir(release)
    )


def install(directory, archive, digest, package="courtkeeper"):
    """Build the release beside the one in use, try it, and only then let the link point at it."""
    if importlib.util.find_spec("venv") is None:
        raise AgentError(f"{sys.executable} has no venv: install it (Debian: apt-get install python3-venv)")
    needed = ROOM * os.stat(archive).st_size
    free = shutil.disk_usage(os.path.dirname(archive)).free
    if free < needed:
        raise AgentError(
            f"{directory} has {free // 2**20} MiB free, {NAMES[package]} needs {needed // 2**20}: make room"
        )
    release = release_directory(directory, digest)
    link = os.path.join(directory, "venv")
    shutil.rmtree(release, ignore_errors=True)  # an interrupted or a broken one
    try:
        build(release, archive, digest, package)
    except BaseException:
        shutil.rmtree(release, ignore_errors=True)
        raise
    fresh = f"{link}.new"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    os.symlink(os.path.relpath(release, directory), fresh)
    os.rename(fresh, link)
    for path in others(directory, release):
        shutil.rmtree(path, ignore_errors=True)


def unpack(archive, target):
    """Unpack plain files below `target` and nothing else (extractall has no filter in Debian 12's Python)."""
    os.mkdir(os.path.join(target, "wheels"))
    with tarfile.open(archive) as tar:
        for entry in tar:
            folder, name = os.path.split(entry.name)
            if not entry.isfile() or folder not in ("", "wheels") or name in ("", "..", "."):
                raise AgentError(f"{archive} is no wheelhouse: it holds {entry.name!r}")
            with tar.extractfile(entry) as source, open(os.path.join(target, folder, name), "wb") as copy:
                shutil.copyfileobj(source, copy)


def build(release, archive, digest, package):
    """Make the venv of a release from the archive alone."""
    os.makedirs(os.path.dirname(release), mode=0o755, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(archive), prefix=".unpacked-") as unpacked:
        unpack(archive, unpacked)
        with open(os.path.join(unpacked, "manifest.json"), encoding="utf-8") as text:
            manifest = json.load(text)
        if manifest["digest"] != digest:
            raise AgentError(f"{archive} holds another release than the one asked for: run the role again")
        # Without pip: ensurepip is in a package of its own, and the archive brings a pip.
        run([sys.executable, "-m", "venv", "--without-pip", release])
        python = os.path.join(release, "bin", "python")
        pip = os.path.join(unpacked, manifest["pip"], "pip")
        run([
            python, pip, "--isolated", "--disable-pip-version-check", "install", "--quiet", "--no-cache-dir",
            "--no-index", "--find-links", os.path.join(unpacked, "wheels"),
            "--no-deps", "--require-hashes", "--only-binary=:all:",
            "--requirement", os.path.join(unpacked, "requirements.txt"),
        ])  # fmt: skip
    version, problem = works(release, package)
    if problem or version != manifest["version"]:
        raise AgentError(
            f"the new release {manifest['version']} was not taken into use: {problem or 'it is ' + version}"
        )
    record = dict(package=package, digest=digest, version=version, python=platform.python_version())
    with open(os.path.join(release, MARK), "w", encoding="utf-8") as mark:
        json.dump(record, mark)


def run(command):
    """Run a step, and turn its failure into one sentence."""
    # Nothing of the caller's Python or pip settings: the archive is all there is.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))
    }
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
            env=environment,
            umask=0o022,
        )
    except subprocess.TimeoutExpired:
        raise AgentError(f"{os.path.basename(command[1])} did not end within {INSTALL_S} s") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"exit code {done.returncode}"]
        what = "venv" if "venv" in command else "pip"
        raise AgentError(f"{what} failed on the host: {lines[-1]}")


def remove(directory):
    """Take away what the agent put under `directory`, and the directory itself if that was all."""
    link = os.path.join(directory, "venv")
    if os.path.lexists(link):
        os.unlink(link)
    for path in others(directory):
        shutil.rmtree(path)
    for path in (os.path.join(directory, "releases"), directory):
        if os.path.isdir(path) and not os.listdir(path):
            os.rmdir(path)
