"""certbot, in directories of our own: what it is told, what it leaves, why it failed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts import commands
from courtkeeper.hosts.certificates import x509
from courtkeeper.hosts.certificates.settings import Settings, Wanted

PROBLEM = re.compile(
    r"^\s*(?:Domain|Identifier): (?P<name>.+)\n\s*Type: +(?P<type>.+)\n\s*Detail: (?P<detail>.+)",
    re.MULTILINE,
)
# certbot reads /etc/letsencrypt/cli.ini and one below HOME whatever --config says: another certbot's hooks,
# CA or dry-run would be ours. No option leaves them out; the version is pinned, and the scenario holds this.
LAUNCH = (
    "import sys; from certbot._internal import constants; constants.CLI_DEFAULTS['config_files'] = []; "
    "from certbot.main import main; sys.exit(main())"
)
# What certbot says around the reason.
NOISE = ("Ask for help", "See the logfile", "Saving debug log", "Hint:", "Some challenges have failed")


class IssueError(CourtkeeperError):
    """The CA gave no certificate; the message is the reason, as the end of a sentence."""


class Lineage(msgspec.Struct, frozen=True):
    """The files that certbot keeps for one certificate, read whole."""

    fullchain: bytes
    certificate: bytes
    chain: bytes
    key: bytes

    @property
    def bundle(self) -> bytes:
        """Return key and chain in one, as haproxy and others want it."""
        return self.fullchain + self.key


def live(settings: Settings, name: str) -> Path:
    """Return the directory in which certbot keeps the newest files of a certificate."""
    return Path(settings.state_directory) / "config/live" / name


def read_lineage(settings: Settings, name: str) -> tuple[Lineage, tuple[x509.Facts, ...]] | None:
    """Return the files and the chain of a certificate, or None where it was never issued.

    Raises CertificateError where what is there cannot be used: unreadable, or a key that does not fit.
    """
    directory = live(settings, name)
    if not (directory / "fullchain.pem").exists():
        return None
    files = [x509.read_file(directory / f"{kind}.pem") for kind in ("fullchain", "cert", "chain", "privkey")]
    lineage = Lineage(*files)
    chain = x509.read_chain(lineage.fullchain, str(directory / "fullchain.pem"))
    if x509.read_key(lineage.key, str(directory / "privkey.pem")) != chain[0].public_key:
        raise x509.CertificateError(f"{directory}/privkey.pem is not the key of its certificate")
    return lineage, chain


def arguments(settings: Settings, wanted: Wanted) -> list[str]:
    """Return the command that issues `wanted` now, whatever its age: that was decided before."""
    state = Path(settings.state_directory)
    command = [
        str(Path(settings.certbot).with_name("python")), "-I", "-c", LAUNCH,
        "certonly", "--non-interactive", "--agree-tos", "--no-eff-email",
        "--config-dir", str(state / "config"), "--work-dir", str(state / "work"),
        "--logs-dir", str(state / "logs"), "--max-log-backups", "30",
        "--server", settings.directory_url, "--cert-name", wanted.name, "--key-type", wanted.key_type,
        "--force-renewal", "--renew-with-new-domains", "--no-autorenew", "--no-directory-hooks",
    ]  # fmt: skip
    command += ["--email", settings.email] if settings.email else ["--register-unsafely-without-email"]
    if wanted.dns_hook is not None and wanted.challenge == "dns":
        command += ["--manual", "--preferred-challenges", "dns"]
        command += ["--manual-auth-hook", shlex.join(wanted.dns_hook.auth)]
        if wanted.dns_hook.cleanup:
            command += ["--manual-cleanup-hook", shlex.join(wanted.dns_hook.cleanup)]
    elif wanted.standalone:
        command += ["--standalone", "--preferred-challenges", "http", "--http-01-port", str(wanted.http_port)]
    else:
        command += ["--webroot", "--webroot-path", wanted.webroot]
    for domain in wanted.domains:
        command += ["--domain", domain]
    return command


def issue(settings: Settings, wanted: Wanted) -> None:
    """Ask the CA for `wanted`. Raises IssueError with the reason; the old one then stays as it was."""
    extra = {"REQUESTS_CA_BUNDLE": settings.ca_bundle} if settings.ca_bundle else {}
    if wanted.dns_hook is not None:
        extra |= wanted.dns_hook.environment
    try:
        done = commands.run(
            arguments(settings, wanted),
            timeout_s=settings.certbot_timeout_s,
            extra=extra,
            allowed=range(256),
        )
    except commands.CommandError as error:
        raise IssueError(str(error).rstrip(".")) from None
    if done.code:
        said = f"{done.stdout}\n{done.stderr}"
        for secret in wanted.dns_hook.environment.values() if wanted.dns_hook else ():
            said = hidden(said, secret)
        raise IssueError(reason(said))


def hidden(said: str, secret: str) -> str:
    """Return `said` without `secret` and without any line of it: a hook may print a part of its key."""
    # What is as short as a brace is no secret alone, and stands in every sentence.
    lines = {line.strip() for line in secret.splitlines() if len(line.strip()) > 3}
    for part in sorted({secret, *lines} - {""}, key=len, reverse=True):
        said = said.replace(part, "***")
    return said


def reason(said: str) -> str:
    """Return why certbot failed, from what it said: the CA's own words where it has them."""
    if problems := list(PROBLEM.finditer(said)):
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        text = f"{first['name']}: {first['detail']} [{first['type']}]{more}"
    else:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        telling = [line for line in lines if not line.startswith(NOISE) and set(line) - set("- ")]
        after = [
            number for number, line in enumerate(telling) if line.startswith("An unexpected error occurred")
        ]
        chosen = telling[after[-1] + 1 :][:1] if after else telling[-1:]
        text = (chosen or telling[-1:] or ["certbot gave no reason"])[0]
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(plain.split())[:400].rstrip(".") or "certbot gave no reason"
