"""The whole duty of a host in one call: look, decide, issue, deploy, judge."""

from __future__ import annotations

import hashlib
import time
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.hosts.certificates import (
    ari,
    certbot,
    deploy,
    due,
    judge,
    preflight,
    state,
    watch,
    x509,
)
from courtkeeper.hosts.certificates.settings import CERTIFICATES, Settings, Wanted

SENTENCES = {True: "would be", False: "were"}


class Look(msgspec.Struct):
    """One certificate as the run goes: what is there, and why it is to be issued (empty if it is not)."""

    wanted: Wanted
    lineage: certbot.Lineage | None = None
    chain: tuple[x509.Facts, ...] = ()
    why: str = ""
    decision: due.Decision | None = None
    window: due.Window | None = None


class Run(msgspec.Struct):
    """What one run works with."""

    settings: Settings
    now: datetime
    check: bool
    state: state.State
    result: Result

    @property
    def directory(self) -> Path:
        """Return the directory that is ours on the host."""
        return Path(self.settings.state_directory)

    def save(self) -> None:
        """Keep what is known now, before anything else can happen."""
        if not self.check:
            state.save(self.directory, self.state, now=self.now)


def renew(
    settings: Settings, *, now: datetime, check: bool, resolve: preflight.Resolve = preflight.resolves
) -> Result:
    """Issue and renew what is due, deploy what is issued, judge what is there and what is watched.

    `actions` are what was done or, with `check`, would be done. Raises ConfigurationError before anything
    was changed, and CourtkeeperError with `.partial` for what fails in between; a CA that refuses and a
    service that does not take its certificate are findings, so that the others are served.
    """
    started = time.monotonic()
    preflight.refuse(settings)
    directory = Path(settings.state_directory)
    result = Result()
    with nullcontext() if check or not settings.certificates else state.alone(directory):
        run = Run(settings, now, check, state.load(directory), result)
        looks = [look(run, wanted) for wanted in settings.certificates]
        asked = [one for one in looks if one.why and allowed(run, one)]
        for one in asked:
            refuse_staging(run, one.wanted)
        preflight.refuse_issue(settings, [one.wanted for one in asked], check=check)
        asked = [one for one in asked if resolvable(run, one, resolve)]
        run.save()
        try:
            roots = judge.trusted_roots(settings.trusted_roots)
            issued = sum(issue(run, one) for one in asked)
            deployed = sum(deploy_all(run, one) for one in looks)
            for one in looks:
                judge_one(run, one, roots)
        except CourtkeeperError as error:
            error.partial = result
            raise
        except OSError as error:
            failed = CourtkeeperError(f"{error.filename or directory}: {error.strerror}.")
            failed.partial = result
            raise failed from None
    watched = watch.looks(settings, now=now, roots=roots)
    result.findings += [finding for each in watched for finding in each.findings]
    ends = [one.chain[0].not_after for one in looks if one.chain] + [each.not_after for each in watched]
    result.metrics |= {
        "certificates": len(looks), "issued": issued, "deployed": deployed, "watched": len(settings.watch),
        "duration_s": round(time.monotonic() - started, 3), **watch.days_to_expiry(ends, now),
    }  # fmt: skip
    result.msg = (
        f"{len(looks)} certificates: {issued} {SENTENCES[check]} issued, "
        f"{deployed} {SENTENCES[check]} deployed; "
        f"{len(settings.watch)} watched."
    )
    return result


def look(run: Run, wanted: Wanted) -> Look:
    """Look at one certificate, and decide whether it is to be issued."""
    one = Look(wanted)
    try:
        found = certbot.read_lineage(run.settings, wanted.name)
    except x509.CertificateError as error:
        one.why = f"what is there cannot be used: {error}"
        return one
    if found is None:
        one.why = "it was never issued"
        return one
    one.lineage, one.chain = found
    leaf, known = one.chain[0], run.state.of(wanted.name)
    one.window = advice(run, wanted, leaf)
    one.decision = due.decide(
        leaf, now=run.now, limits=run.settings.limits, window=one.window,
        interval=timedelta(hours=run.settings.interval_h),
    )  # fmt: skip
    if asked_for(wanted) not in (sorted(leaf.names), known.domains):
        one.why = "its domains are others"
    elif {"ecdsa": "EC", "rsa": "RSA"}[wanted.key_type] != leaf.key:
        one.why = f"its key is to be {wanted.key_type}"
    elif known.issuer not in {"", run.settings.directory_url}:
        one.why = f"it came from {known.issuer}"
    elif wanted.name in run.settings.force:
        one.why = "it is forced"
    elif one.decision.due:
        one.why = one.decision.reason
    return one


def refuse_staging(run: Run, wanted: Wanted) -> None:
    """Refuse to replace what clients trust by what none trusts, unless it is forced."""
    issuer, url = run.state.of(wanted.name).issuer, run.settings.directory_url
    if issuer and "staging" in url and "staging" not in issuer and wanted.name not in run.settings.force:
        raise ConfigurationError(
            f"{CERTIFICATES}[{wanted.name}] has a certificate of {issuer}, and {url} is a staging CA, which "
            "no client trusts: name the CA's own directory in certificate_renewal_directory_url, or name the "
            "certificate in certificate_renewal_force."
        )


def asked_for(wanted: Wanted) -> list[str]:
    """Return the domains of a request in the one form that compares."""
    return sorted({domain.lower() for domain in wanted.domains})


def advice(run: Run, wanted: Wanted, leaf: x509.Facts) -> due.Window | None:
    """Return the CA's window for a certificate, asked again only when it said so."""
    known = run.state.of(wanted.name)
    # RFC 9773, 4.3: no client asks about a certificate that has expired.
    if not run.settings.ari or leaf.left(run.now) <= 0:
        return None
    if known.advice is None or not known.advice.holds(leaf, run.settings.directory_url, run.now):
        before = known.advice
        try:
            known.advice = ari.ask(
                leaf, run.settings.directory_url, ca_bundle=run.settings.ca_bundle, now=run.now
            )
        except ari.RenewalInfoError as error:
            # The fraction decides meanwhile; the next run asks again.
            if before is not None and before.window is not None:
                run.result.findings.append(unknown_advice(wanted, str(error)))
            return None
    return known.advice.window


def unknown_advice(wanted: Wanted, reason: str) -> Finding:
    """Return the finding on a CA that offers advice and gave none."""
    return Finding(
        id="certificate.ari", subject=wanted.name, status=Status.UNKNOWN,
        summary=f"The CA's renewal information on {wanted.name} could not be had: {reason}; "
        "the fraction of its lifetime decides.",
        fix="see whether the CA is in reach",
    )  # fmt: skip


def digest(settings: Settings, wanted: Wanted) -> str:
    """Return what a try is known by: a mended request is another one."""
    asked = msgspec.structs.replace(wanted, deploy=[])
    return hashlib.sha256(msgspec.json.encode([asked, settings.directory_url])).hexdigest()[:16]


def allowed(run: Run, one: Look) -> bool:
    """Tell whether the CA may be asked now; if not, say when."""
    known = run.state.of(one.wanted.name)
    at = due.next_try(
        known.tries, digest(run.settings, one.wanted), now=run.now, per_day=run.settings.tries_per_day
    )
    if run.settings.retry or at is None or at <= run.now:
        return True
    run.result.findings.append(
        not_issued(
            run, one, f"the last try failed ({known.error})" if known.error else "it was tried enough", at
        )
    )
    return False


def resolvable(run: Run, one: Look, resolve: preflight.Resolve) -> bool:
    """Tell whether the CA can find all domains; one that lapsed is a finding, and keeps no other from it."""
    names = one.chain[0].names if one.chain else ()
    domain = preflight.unresolved(run.settings, one.wanted, names, resolve)
    if domain:
        reason = f"its domain {domain} no longer resolves on this host"
        run.result.findings.append(not_issued(run, one, reason, None))
    return not domain


def not_issued(run: Run, one: Look, reason: str, at: datetime | None) -> Finding:
    """Return the finding on a certificate that is to be issued and was not."""
    name, status = one.wanted.name, Status.CRIT
    if one.chain:
        _, warn, _ = due.scaled(run.settings.limits, one.chain[0].lifetime_s)
        status = Status.CRIT if one.chain[0].left(run.now) < warn else Status.WARN
    old = f"; the old one is valid until {due.stamp(one.chain[0].not_after)}" if one.chain else ""
    later = f" The next try comes at {due.stamp(at)} or later." if at else ""
    return Finding(
        id="certificate.issue", subject=name, status=status, observed=reason[:300],
        summary=f"{name} was not issued: {reason}{old}.{later}",
        fix="mend the reason, then run with -e certificate_renewal_retry=true",
    )  # fmt: skip


def issue(run: Run, one: Look) -> bool:
    """Issue one certificate, or with `check` say so; a CA that refuses is a finding."""
    wanted, known = one.wanted, run.state.of(one.wanted.name)
    if run.check:
        run.result.actions.append(issue_action(one))
        return True
    tried = due.Try(run.now, digest(run.settings, wanted), ok=False)
    known.tries.append(tried)
    run.save()  # before the CA is asked: a run that is killed there has used a try as well
    try:
        certbot.issue(run.settings, wanted)
        found = certbot.read_lineage(run.settings, wanted.name)
        if found is None:
            raise certbot.IssueError("certbot reported success and left no certificate")  # noqa: TRY301
        if found[1] == one.chain:  # as where it could not read its renewal/<name>.conf and began <name>-0001
            raise certbot.IssueError(  # noqa: TRY301
                f"certbot reported success and {certbot.live(run.settings, wanted.name)} holds the old one: "
                f"its config/renewal/{wanted.name}.conf may not be readable"
            )
    except (certbot.IssueError, x509.CertificateError) as error:
        known.error = str(error)
        at = due.next_try(known.tries, tried.request, now=run.now, per_day=run.settings.tries_per_day)
        run.result.findings.append(not_issued(run, one, str(error), at))
        run.save()
        return False
    before = one.chain
    one.lineage, one.chain = found
    run.result.actions.append(issue_action(one))
    run.result.changed = True
    run.result.diff = {
        "before": run.result.diff.get("before", "") + line(wanted, before),
        "after": run.result.diff.get("after", "") + line(wanted, one.chain),
    }
    one.decision = one.window = None  # of the old one
    known.tries[-1] = due.Try(tried.at, tried.request, ok=True)
    known.error, known.advice = "", None
    known.issuer, known.domains = run.settings.directory_url, asked_for(wanted)
    run.save()
    return True


def issue_action(one: Look) -> str:
    """Return the issue of one certificate as an action."""
    return f"issue {one.wanted.name} for {', '.join(one.wanted.domains)} ({one.why})"


def line(wanted: Wanted, chain: tuple[x509.Facts, ...]) -> str:
    """Return a certificate as one line of a diff."""
    if not chain:
        return ""
    return f"{wanted.name} {chain[0].fingerprint} valid until {due.stamp(chain[0].not_after)}\n"


def deploy_all(run: Run, one: Look) -> int:
    """Deploy one certificate to its services; return how many deployments changed something."""
    count = 0
    for target in one.wanted.deploy:
        will_be_new = (
            run.check
            and one.why
            and any(action.startswith(f"issue {one.wanted.name} ") for action in run.result.actions)
        )
        if will_be_new:
            plan = deploy.Plan(list(target.paths().values()), "its files are not the newest ones")
        elif one.lineage is None:
            continue
        else:
            plan = deploy.look(run.directory, one.wanted, target, one.lineage, one.chain)
        if plan.finding is not None:
            run.result.findings.append(plan.finding)
        if not plan.needed:
            continue
        if one.chain and not will_be_new and one.chain[0].left(run.now) <= 0:
            run.result.findings.append(deploy.expired(one.wanted, target, one.chain[0]))
            continue
        run.result.actions.append(deploy.action(one.wanted, target, plan))
        if run.check or one.lineage is None:
            count += 1
            continue
        outcome = deploy.carry_out(
            run.directory, one.wanted, target, plan, one.lineage, one.chain,
            timeout_s=run.settings.served_timeout_s,
        )  # fmt: skip
        count += outcome.changed
        run.result.changed |= outcome.changed
        run.result.findings += [outcome.finding] if outcome.finding else []
    if run.check and run.result.actions:
        run.result.changed = True
    return count


def judge_one(run: Run, one: Look, roots: judge.Roots | None) -> None:
    """Judge one certificate of ours as it is now, and say when it will be renewed."""
    if not one.chain:
        return
    name = one.wanted.name
    key = certbot.live(run.settings, name) / "privkey.pem"
    subject = judge.Subject(
        name, one.chain, tuple(one.wanted.domains), key,
        fix="see why it was not renewed, then run with -e certificate_renewal_retry=true",
    )  # fmt: skip
    run.result.findings += judge.judge(subject, now=run.now, limits=run.settings.limits, roots=roots)
    if "staging" in run.settings.directory_url:
        run.result.findings.append(
            Finding(
                id="certificate.staging", subject=name, status=Status.WARN,
                observed=run.settings.directory_url,
                summary=f"{name} comes from a staging CA that no client trusts.",
                fix="set certificate_renewal_directory_url to the CA's own directory",
            )
        )  # fmt: skip
    if one.decision is None or one.decision.due:
        return
    url = one.window.explanation_url if one.window else ""
    run.result.findings.append(
        Finding(
            id="certificate.renewal", subject=name, status=Status.OK, observed=due.stamp(one.decision.at),
            summary=f"{name} is not due before {due.stamp(one.decision.at)}: {one.decision.reason}"
            + (f" ({url})." if url else "."),
        )
    )  # fmt: skip
