"""Print, as shell assignments, what uv has to know of pip's settings: index and certificates.

`pip` reads pip.conf and PIP_*, uv does not. What the caller set for uv itself always wins.
Run it with the interpreter of the venv: `python tools/pip_settings.py`.
"""

from __future__ import annotations

import ast
import os
import shlex
import ssl
import subprocess
import sys

# From weak to strong, as pip itself ranks them.
SECTIONS = ("global.", "install.", ":env:.")


def pip_settings(listing: str) -> dict[str, str]:
    """Return the settings in the output of `pip config list` (lines such as `global.cert='/x'`)."""
    found: dict[str, str] = {}
    lines = [line.partition("=") for line in listing.splitlines()]
    for section in SECTIONS:
        for key, _, value in lines:
            if key.startswith(section):
                found[key.removeprefix(section)] = str(ast.literal_eval(value))
    return found


def uv_environment(
    settings: dict[str, str], environ: dict[str, str], *, system_store: bool
) -> dict[str, str]:
    """Return the variables to add to `environ` so that uv reaches the index that pip reaches."""
    wanted: dict[str, str] = {}
    if "index-url" in settings and not environ.get("UV_INDEX_URL"):
        wanted["UV_DEFAULT_INDEX"] = settings["index-url"]
    if "trusted-host" in settings:
        wanted["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    if "proxy" in settings:
        wanted["ALL_PROXY"] = settings["proxy"]
    if "cert" in settings:
        wanted["SSL_CERT_FILE"] = settings["cert"]
    elif system_store and "SSL_CERT_FILE" not in environ:
        # An index behind a company's own authority is trusted by the system, not by uv's bundle.
        wanted["UV_SYSTEM_CERTS"] = "true"
    return {name: value for name, value in wanted.items() if not environ.get(name)}


def read_pip_settings() -> dict[str, str]:
    """Ask pip for its settings."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return pip_settings(listing)


def main() -> int:
    """Print one `export` per variable."""
    store = ssl.get_default_verify_paths()
    variables = uv_environment(
        read_pip_settings(), dict(os.environ), system_store=bool(store.cafile or store.capath)
    )
    sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
