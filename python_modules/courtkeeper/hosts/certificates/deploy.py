"""Give a service its certificate: snapshot, write, test, reload, compare what is served, keep or put back."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Sequence
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError, Finding, Status
from courtkeeper.hosts import commands, services
from courtkeeper.hosts.certificates import journal, served, state, x509
from courtkeeper.hosts.certificates.certbot import Lineage
from courtkeeper.hosts.certificates.due import stamp
from courtkeeper.hosts.certificates.settings import Deploy, Wanted

TEST_S = 60


class Plan(msgspec.Struct, frozen=True):
    """What one deployment needs: the paths to write, and why the service is to take its files anew.

    An empty `why` with paths to write is a matter of permissions alone. `finding` is on what could not be
    compared: no reason to trouble a service.
    """

    write: list[Path]
    why: str
    finding: Finding | None = None

    @property
    def needed(self) -> bool:
        """Tell whether there is anything to do."""
        return bool(self.write or self.why)


class Outcome(msgspec.Struct):
    """What came of one deployment."""

    changed: bool = False
    finding: Finding | None = None


class FailedError(CourtkeeperError):
    """A deployment did not stand its test; the message is the end of a sentence."""

    observed = ""


def apply_action(deploy: Deploy) -> str:
    """Return what makes the service take its files, as an action says it."""
    return f"run {deploy.command[0]}" if deploy.command else f"{deploy.action} {deploy.service}"


def action(wanted: Wanted, deploy: Deploy, plan: Plan) -> str:
    """Return a plan as one of the actions."""
    paths = ", ".join(map(str, plan.write))
    if not plan.why:
        return f"set owner and mode of {paths}"
    written = f"write {paths}, then " if plan.write else ""
    return f"deploy {wanted.name} to {deploy.service}: {written}{apply_action(deploy)} ({plan.why})"


def expected(deploy: Deploy, chain: Sequence[x509.Facts]) -> Sequence[x509.Facts]:
    """Return what the service should serve: the whole chain, unless it is given the leaf alone."""
    whole = deploy.fullchain or deploy.bundle or deploy.chain
    return chain if whole else chain[:1]


def ownership(deploy: Deploy, kind: str) -> tuple[int, int, int]:
    """Return mode, uid and gid of one of the files: only what holds the key is closed to others."""
    mode = int(deploy.mode, 8) if kind in {"key", "bundle"} else 0o644
    return mode, pwd.getpwnam(deploy.owner).pw_uid, grp.getgrnam(deploy.group).gr_gid


def look(
    directory: Path, wanted: Wanted, deploy: Deploy, lineage: Lineage, chain: Sequence[x509.Facts]
) -> Plan:
    """Compare the service's files with the lineage, and what it serves with its files. Changes nothing."""
    differing, write = [], []
    for kind, path in deploy.paths().items():
        kept = journal.keep(path)
        if kept.content != getattr(lineage, kind):
            differing.append(path)
        if path in differing or (kept.mode, kept.uid, kept.gid) != ownership(deploy, kind):
            write.append(path)
    if differing:
        return Plan(write, "its files are not the newest ones")
    if journal.place(directory, wanted, deploy).exists():
        return Plan(write, "an earlier run was interrupted")
    if not services.is_active(deploy.service):
        return Plan(write, "", unseen(wanted, deploy, f"{deploy.service} does not run"))
    return look_at_served(write, wanted, deploy, expected(deploy, chain))


def look_at_served(write: list[Path], wanted: Wanted, deploy: Deploy, chain: Sequence[x509.Facts]) -> Plan:
    """Compare what a service that runs serves with its files, which are right."""
    finding = None
    for endpoint in deploy.serve:
        try:
            shown = served.chain(endpoint, wanted.server_name(endpoint))
        except x509.CertificateError as error:
            finding = unseen(wanted, deploy, str(error))
        else:
            if not served.same(shown, chain):
                return Plan(write, f"{endpoint.address} serves something else: {shown[0].fingerprint}")
    return Plan(write, "", finding)


def carry_out(
    directory: Path,
    wanted: Wanted,
    deploy: Deploy,
    plan: Plan,
    lineage: Lineage,
    chain: Sequence[x509.Facts],
    *,
    timeout_s: float,
) -> Outcome:
    """Do what `plan` says, and put the old files back where the service does not take the new ones."""
    kept_at = journal.place(directory, wanted, deploy)
    snapshot = journal.begin(kept_at, deploy)
    replaced = ""
    for files in (snapshot, journal.taken(deploy)):  # since the interrupted run a person may have mended it
        replaced = journal.keep_foreign(directory, wanted.name, files) or replaced
    reloaded = False
    try:
        for kind, path in deploy.paths().items():
            if path in plan.write:
                mode, uid, gid = ownership(deploy, kind)
                state.write(path, getattr(lineage, kind), mode=mode, uid=uid, gid=gid)
        if plan.why:
            test_configuration(deploy)
            if not services.is_active(deploy.service):
                journal.end(kept_at)
                return Outcome(changed=bool(plan.write), finding=stopped(wanted, deploy, replaced))
            reloaded = True
            take(deploy)
            compare(wanted, deploy, expected(deploy, chain), timeout_s)
    except (CourtkeeperError, OSError) as error:
        return back(wanted, deploy, snapshot, kept_at, error, chain, reloaded=reloaded, timeout_s=timeout_s)
    journal.end(kept_at)
    return Outcome(changed=True, finding=accepted(wanted, deploy, chain, replaced) if plan.why else None)


def test_configuration(deploy: Deploy) -> None:
    """Let the service judge its configuration with the new files."""
    if command := deploy.test():
        try:
            done = commands.run(command, timeout_s=TEST_S, allowed=range(256))
        except commands.CommandError as error:
            raise FailedError(f"its configuration could not be tested: {error}") from None
        if done.code:
            raise FailedError(f"its configuration test said: {telling_line(done)}")


def telling_line(output: commands.Output) -> str:
    """Return the line that says why: nginx and others end with one that only says that it failed."""
    lines = [line.strip() for line in f"{output.stderr}\n{output.stdout}".splitlines()]
    return next((line for line in lines if "[emerg]" in line), output.last_line)[:300].rstrip(".")


def take(deploy: Deploy) -> None:
    """Let the service take its files into use."""
    try:
        if deploy.command:
            commands.run(deploy.command, timeout_s=services.CHANGE_S)
        elif deploy.action == "restart":
            services.restart(deploy.service)
        else:
            services.reload(deploy.service)
    except commands.CommandError as error:
        raise FailedError(f"{apply_action(deploy)} failed: {error}") from None
    if not services.is_active(deploy.service):
        raise FailedError(f"{deploy.service} does not run after {apply_action(deploy)}")


def compare(wanted: Wanted, deploy: Deploy, chain: Sequence[x509.Facts], timeout_s: float) -> None:
    """Compare what every declared endpoint serves with the file."""
    for endpoint in deploy.serve:
        found, last = served.wait_for(endpoint, wanted.server_name(endpoint), chain, timeout_s=timeout_s)
        if not found:
            answered = not last.startswith(endpoint.address)
            said = f"{endpoint.address} still served {last[:160]} and not {chain[0].fingerprint}"
            failed = FailedError(
                f"{said if answered else last[:160]} {timeout_s:g} s after {apply_action(deploy)}"
            )
            failed.observed = last if answered else ""
            raise failed


def back(
    wanted: Wanted,
    deploy: Deploy,
    snapshot: journal.Snapshot,
    kept_at: Path,
    error: Exception,
    chain: Sequence[x509.Facts],
    *,
    reloaded: bool,
    timeout_s: float,
) -> Outcome:
    """Put the old files back, let the service take them, and say what it serves now."""
    try:
        journal.put_back(snapshot)
    except OSError as second:
        after = f"the old files could not be put back ({second.strerror}) and are kept in {kept_at}"
    else:
        after = "the old files are back" + (take_back(deploy) if reloaded else "")
        journal.end(kept_at)
        old = old_chain(deploy, snapshot)
        for endpoint in deploy.serve if old else []:
            found, last = served.wait_for(endpoint, wanted.server_name(endpoint), old, timeout_s=timeout_s)
            serves = f"{endpoint.address} serves"
            after += ", " + (f"{serves} the old one" if found else f"but {serves}: {last[:160]}")
    reason = str(error).rstrip(".")
    return Outcome(
        finding=Finding(
            id="certificate.served" if getattr(error, "observed", "") else "certificate.deploy",
            subject=f"{wanted.name} on {deploy.service}",
            status=Status.CRIT,
            observed=getattr(error, "observed", "") or str(error)[:300],
            threshold=chain[0].fingerprint,
            unit="SHA-256 of the leaf" if getattr(error, "observed", "") else "",
            summary=f"{deploy.service} did not take the new {wanted.name}: {reason}; {after}.",
            fix=f"mend {deploy.service}, then run again; it is issued and only has to be deployed",
            applied=after,
        )
    )


def take_back(deploy: Deploy) -> str:
    """Let the service take its old files, started again if need be; returns what there is to say of it."""
    try:
        take(deploy)
    except CourtkeeperError as error:
        problem = str(error).rstrip(".")
    else:
        return ""
    try:
        if services.is_active(deploy.service):
            return f", but {problem}"
        # It ran before: what stopped it was the new certificate, and a reload starts nothing.
        services.revive(deploy.service)
    except CourtkeeperError as error:
        return f", but {problem}, and it could not be started again: {str(error).rstrip('.')}"
    return f" and {deploy.service} was started again"


def old_chain(deploy: Deploy, snapshot: journal.Snapshot) -> Sequence[x509.Facts]:
    """Return what the service should serve with its old files; empty where there were none."""
    contents = {kept.path: kept.content or b"" for kept in snapshot.files}
    for path in (deploy.fullchain, deploy.bundle, deploy.certificate):
        try:
            return x509.read_chain(contents.get(path, b""), path)[: None if path != deploy.certificate else 1]
        except x509.CertificateError:
            continue
    return ()


def unseen(wanted: Wanted, deploy: Deploy, reason: str) -> Finding | None:
    """Return the finding on a service whose files are right, and whose answer could not be had."""
    if not deploy.serve:
        return None
    return Finding(
        id="certificate.served", subject=f"{wanted.name} on {deploy.service}", status=Status.UNKNOWN,
        observed=reason[:300],
        summary=f"Whether {deploy.service} serves {wanted.name} could not be seen: {reason[:300]}.",
        fix=f"systemctl status {deploy.service}, or mend serve in certificate_renewal_certificates",
    )  # fmt: skip


def expired(wanted: Wanted, deploy: Deploy, leaf: x509.Facts) -> Finding:
    """Return the finding on a certificate that no service is given: what a person put there may be better."""
    return Finding(
        id="certificate.deploy", subject=f"{wanted.name} on {deploy.service}", status=Status.CRIT,
        observed=leaf.fingerprint, unit="SHA-256 of the leaf",
        summary=f"{deploy.service} was left as it is: the {wanted.name} that is to be given to it expired "
        f"{stamp(leaf.not_after)}.",
        fix=f"mend the renewal of {wanted.name}; the next run deploys it",
    )  # fmt: skip


def way_back(replaced: str) -> str:
    """Say where the files are that certbot did not make and that were written over."""
    return f"the files before it are in {replaced}" if replaced else ""


def stopped(wanted: Wanted, deploy: Deploy, replaced: str) -> Finding:
    """Return the finding on a service that does not run, and so was given files and nothing else."""
    return Finding(
        id="certificate.deploy", subject=f"{wanted.name} on {deploy.service}", status=Status.WARN,
        summary=f"{deploy.service} does not run: {wanted.name} lies ready for it.",
        fix=f"systemctl start {deploy.service}", undo=way_back(replaced),
    )  # fmt: skip


def accepted(wanted: Wanted, deploy: Deploy, chain: Sequence[x509.Facts], replaced: str) -> Finding:
    """Return the finding on a deployment that stands."""
    proof = ", ".join(endpoint.address for endpoint in deploy.serve)
    return Finding(
        id="certificate.deploy", subject=f"{wanted.name} on {deploy.service}", status=Status.OK,
        observed=chain[0].fingerprint, threshold=chain[0].fingerprint, unit="SHA-256 of the leaf",
        summary=f"{deploy.service} took {wanted.name}" + (f" and serves it at {proof}." if proof else "."),
        applied=apply_action(deploy), undo=way_back(replaced),
    )  # fmt: skip
