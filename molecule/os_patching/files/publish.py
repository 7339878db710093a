"""Put a package into this host's own repository: publish.py SUITE PACKAGE VERSION KIND [CONTENT].

Kinds: plain, conf (a configuration file with CONTENT), service (a web server), broken (one that dies),
tool (a program), reboot (asks for one), slow (configures for half a minute), needs (depends on CONTENT).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path("/srv/demo")
LABELS = {"main": "Demo", "security": "Demo-Security"}
UNIT = """[Service]
ExecStart={command}
[Install]
WantedBy=multi-user.target
"""
RESTART = "systemctl daemon-reload; systemctl enable -q {0}; systemctl restart {0} || true"
COMMANDS = {
    "service": "/usr/bin/python3 -m http.server 8080 --directory /usr/share/{0}",
    "database": "/usr/bin/sleep infinity",
    "broken": "/bin/sh -c 'sleep 0.3; exit 1'",
}
SCRIPTS = {
    "reboot": "touch /run/reboot-required; echo {0} >>/run/reboot-required.pkgs",
    "slow": "if [ -e /run/slow ]; then sleep 30; fi",
    **dict.fromkeys(COMMANDS, RESTART),
}


def build(suite: str, name: str, version: str, kind: str, content: str) -> None:
    """Build the package into the repository's directory."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        root.chmod(0o755)
        files = {f"usr/share/{name}/index.html": f"{name} {version}\n"}
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nInstalled-Size: 64\n"
        control += f"Maintainer: Test <test@example.net>\nDescription: {kind}\n"
        if kind == "needs":
            control += f"Depends: {content}\n"
        if kind in COMMANDS:
            files[f"usr/lib/systemd/system/{name}.service"] = UNIT.format(command=COMMANDS[kind].format(name))
        if kind == "conf":
            files[f"etc/{name}.conf"] = content
            files["DEBIAN/conffiles"] = f"/etc/{name}.conf\n"
        files["DEBIAN/control"] = control
        if kind in SCRIPTS:
            files["DEBIAN/postinst"] = f"#!/bin/sh\nset -e\n{SCRIPTS[kind].format(name)}\n"
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        if kind in SCRIPTS:
            (root / "DEBIAN/postinst").chmod(0o755)
        if kind == "tool":
            shutil.copy("/usr/bin/sleep", root / f"usr/share/{name}/tool")
        target = ROOT / suite / f"{name}_{version}_all.deb"
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "--build", "-Znone", root, target], check=True, stdout=subprocess.DEVNULL)


def index(suite: str) -> None:
    """Write the repository's Packages and Release."""
    directory = ROOT / suite
    directory.mkdir(parents=True, exist_ok=True)
    stanzas = []
    for path in sorted(directory.glob("*.deb")):
        fields = subprocess.run(
            ["dpkg-deb", "--field", path], check=True, capture_output=True, text=True
        ).stdout
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        stanzas.append(f"{fields}Filename: ./{path.name}\nSize: {len(data)}\nSHA256: {digest}\n")
    packages = "\n".join(stanzas).encode()
    (directory / "Packages").write_bytes(packages)
    label = LABELS[suite]
    digest = hashlib.sha256(packages).hexdigest()
    (directory / "Release").write_text(
        f"Origin: Demo\nLabel: {label}\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64 all\n"
        f"Date: {subprocess.run(['date', '-uR'], check=True, capture_output=True, text=True).stdout}"
        f"SHA256:\n {digest} {len(packages)} Packages\n"
    )


if __name__ == "__main__":
    suite, name, version, kind, *content = sys.argv[1:]
    build(suite, name, version, kind, *(content or [""]))
    for each in LABELS:
        index(each)
