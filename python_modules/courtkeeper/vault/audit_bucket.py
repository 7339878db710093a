"""What of a bucket protects its backups: object lock, versions, encryption, public access, its lifecycle.

Asked, never assumed. Nothing is changed. Thresholds are the store's own words: a bucket that can be read by
everybody is critical, one whose backups a stolen key can remove is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from courtkeeper.findings import Finding, Status

_EVERYBODY = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)
# What a store answers where something was never set up, by the call that asks for it.
_NOT_SET = {
    "ObjectLockConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchLifecycleConfiguration",
    "NoSuchBucketPolicy",
}
_DENIED = {"AccessDenied", "AllAccessDisabled", "UnauthorizedAccess", "403", "Forbidden"}
_ABSENT = {"NotImplemented", "MethodNotAllowed", "XNotImplemented", "405", "501", "UnsupportedOperation"}

Client = Any  # boto3 makes its classes when it runs

# A question to the bucket: its part of the finding's id, the call, the right it needs, who judges the answer.
Judge = Callable[[Mapping[str, Any], "Bucket"], Iterator[Finding]]


class Bucket:
    """One bucket as the audit sees it. `longest_days` is how long the policy keeps a backup."""

    def __init__(self, client: Client, bucket: str, prefix: str, *, name: str, longest_days: float) -> None:
        self.client = client
        self.bucket = bucket
        self.prefix = prefix
        self.name = name
        self.longest_days = longest_days
        self.versioned = False

    def finding(
        self,
        part: str,
        status: Status,
        summary: str,
        *,
        fix: str = "",
        observed: str | int | None = None,
        threshold: str | int | None = None,
        unit: str = "",
    ) -> Finding:
        """Return a finding about this bucket."""
        return Finding(
            id=f"vault.bucket.{part}",
            subject=f"{self.name}: bucket {self.bucket}",
            status=status,
            summary=summary,
            fix=fix,
            observed=observed,
            threshold=threshold,
            unit=unit,
        )


def audit(bucket: Bucket) -> list[Finding]:
    """Ask the bucket everything; what it does not tell is `unknown` or `skipped`, with the right to grant."""
    found: list[Finding] = []
    for part, call, right, judge in (
        ("versioning", "get_bucket_versioning", "s3:GetBucketVersioning", _versioning),
        (
            "object_lock",
            "get_object_lock_configuration",
            "s3:GetBucketObjectLockConfiguration",
            _object_lock,
        ),
        ("encryption", "get_bucket_encryption", "s3:GetEncryptionConfiguration", _encryption),
        ("public_access", "get_public_access_block", "s3:GetBucketPublicAccessBlock", _public_access_block),
        ("public_policy", "get_bucket_policy_status", "s3:GetBucketPolicyStatus", _policy_status),
        ("public_acl", "get_bucket_acl", "s3:GetBucketAcl", _acl),
        (
            "lifecycle",
            "get_bucket_lifecycle_configuration",
            "s3:GetLifecycleConfiguration",
            _lifecycle,
        ),
    ):
        found += _ask(bucket, part, call, right, judge)
    return found


def _ask(bucket: Bucket, part: str, call: str, right: str, judge: Judge) -> list[Finding]:
    try:
        answer = getattr(bucket.client, call)(Bucket=bucket.bucket)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _NOT_SET:
            return list(judge({}, bucket))
        if code in _ABSENT:
            return [bucket.finding(part, Status.SKIPPED, f"This store does not know {call}.")]
        if code in _DENIED:
            return [
                bucket.finding(
                    part,
                    Status.UNKNOWN,
                    f"Our key may not ask {call}.",
                    fix=f"grant {right} on the bucket to the key that verifies",
                )
            ]
        return [bucket.finding(part, Status.UNKNOWN, f"{call} was answered with {code or error}.")]
    except BotoCoreError as error:
        return [bucket.finding(part, Status.UNKNOWN, f"{call} was not answered: {error}.")]
    return list(judge(answer, bucket))


def _versioning(answer: Mapping[str, Any], bucket: Bucket) -> Iterator[Finding]:
    bucket.versioned = answer.get("Status") == "Enabled"
    if bucket.versioned:
        yield bucket.finding("versioning", Status.OK, "Versions are kept: what is overwritten can be had.")
    else:
        yield bucket.finding(
            "versioning",
            Status.WARN,
            "No versions are kept: whoever has the key can overwrite or remove a backup for good.",
            observed=str(answer.get("Status", "off")),
            threshold="Enabled",
            fix=f"aws s3api put-bucket-versioning --bucket {bucket.bucket} "
            "--versioning-configuration Status=Enabled",
        )


def _object_lock(answer: Mapping[str, Any], bucket: Bucket) -> Iterator[Finding]:
    lock = answer.get("ObjectLockConfiguration") or {}
    if lock.get("ObjectLockEnabled") != "Enabled":
        yield bucket.finding(
            "object_lock",
            Status.WARN,
            "There is no object lock: a stolen key can remove every backup.",
            observed="off",
            threshold="Enabled",
            fix="make a bucket with object lock (old ones take it by the store's support) and use it instead",
        )
        return
    default = (lock.get("Rule") or {}).get("DefaultRetention") or {}
    days = int(default.get("Days") or 0) + 365 * int(default.get("Years") or 0)
    mode = str(default.get("Mode") or "")
    if not days:
        yield bucket.finding(
            "object_lock",
            Status.WARN,
            "Object lock is on, but locks nothing by itself: new backups can be removed at once.",
            observed=0,
            unit="days",
            fix=f"aws s3api put-object-lock-configuration --bucket {bucket.bucket} "
            "--object-lock-configuration '"
            '{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":"COMPLIANCE","Days":30}}}\'',
        )
    elif days > bucket.longest_days:
        yield bucket.finding(
            "object_lock",
            Status.WARN,
            f"Backups are locked for {days} days, and retention keeps none longer than "
            f"{bucket.longest_days:.0f}: what is pruned cannot be removed in time.",
            observed=days,
            threshold=round(bucket.longest_days),
            unit="days",
            fix="shorten the lock, or keep backups longer",
        )
    else:
        weak = " A key with s3:BypassGovernanceRetention passes it." if mode == "GOVERNANCE" else ""
        yield bucket.finding(
            "object_lock",
            Status.OK,
            f"Backups are locked for {days} days ({mode.lower()}).{weak}",
            observed=days,
            unit="days",
        )


def _encryption(answer: Mapping[str, Any], bucket: Bucket) -> Iterator[Finding]:
    rules = (answer.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or []
    kinds = [
        str((rule.get("ApplyServerSideEncryptionByDefault") or {}).get("SSEAlgorithm") or "")
        for rule in rules
    ]
    if any(kinds):
        yield bucket.finding("encryption", Status.OK, f"The store encrypts by itself ({', '.join(kinds)}).")
    else:
        yield bucket.finding(
            "encryption",
            Status.WARN,
            "The store encrypts nothing by itself. Backups are sealed for their recipients, manifests not.",
            fix=f"aws s3api put-bucket-encryption --bucket {bucket.bucket} "
            "--server-side-encryption-configuration "
            '\'{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}\'',
        )


def _public_access_block(answer: Mapping[str, Any], bucket: Bucket) -> Iterator[Finding]:
    block = answer.get("PublicAccessBlockConfiguration") or {}
    missing = [
        name
        for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        if block.get(name) is not True
    ]
    if not missing:
        yield bucket.finding("public_access", Status.OK, "Public access is blocked, whatever a policy says.")
        return
    yield bucket.finding(
        "public_access",
        Status.WARN,
        f"Public access is not blocked ({', '.join(missing)}): one wrong policy would open the backups.",
        observed=", ".join(missing),
        fix=f"aws s3api put-public-access-block --bucket {bucket.bucket} --public-access-block-configuration "
        "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
    )


def _policy_status(answer: Mapping[str, Any], bucket: Bucket) -> Iterator[Finding]:
    if (answer.get("PolicyStatus") or {}).get("IsPublic"):
        yield bucket.finding(
            "public_policy",
            Status.CRIT,
            "The bucket's policy opens it to everybody.",
            fix=f"aws s3api delete-bucket-policy --bucket {bucket.bucket}",
        )
    else:
        yield bucket.finding("public_policy", Status.OK, "No policy opens the bucket to everybody.")


def _acl(answer: Mapping[str, Any], bucket: Bucket) -> Iterator[Finding]:
    rights = sorted(
        str(grant.get("Permission"))
        for grant in answer.get("Grants") or []
        if (grant.get("Grantee") or {}).get("URI") in _EVERYBODY
    )
    if rights:
        yield bucket.finding(
            "public_acl",
            Status.CRIT,
            f"The bucket's access list gives everybody {', '.join(rights)}.",
            observed=", ".join(rights),
            fix=f"aws s3api put-bucket-acl --bucket {bucket.bucket} --acl private",
        )
    else:
        yield bucket.finding("public_acl", Status.OK, "The access list gives nothing to everybody.")


def _lifecycle(answer: Mapping[str, Any], bucket: Bucket) -> Iterator[Finding]:
    rules = [rule for rule in answer.get("Rules") or [] if rule.get("Status") == "Enabled"]
    ours = [rule for rule in rules if _meets(_prefix(rule), bucket.prefix)]
    found = False
    for rule in ours:
        after = rule.get("Expiration") or {}
        days = after.get("Days")
        if (days is not None and days < bucket.longest_days) or after.get("Date"):
            found = True
            yield bucket.finding(
                "lifecycle",
                Status.CRIT,
                f"The bucket's own rule {rule.get('ID') or _prefix(rule)!r} removes backups "
                f"{f'after {days} days' if days is not None else 'on a date'}, whatever retention promises.",
                observed=days if days is not None else str(after.get("Date")),
                threshold=round(bucket.longest_days),
                unit="days",
                fix="take that rule out of the bucket's lifecycle: retention removes what nobody needs",
            )
    endless = not any("NoncurrentVersionExpiration" in rule for rule in ours)
    if bucket.versioned and endless:
        found = True
        yield bucket.finding(
            "lifecycle",
            Status.WARN,
            "Versions are kept for ever: what retention removes goes on taking room, unseen.",
            fix="add a rule to the bucket's lifecycle: NoncurrentVersionExpiration after 30 days",
        )
    if not found:
        yield bucket.finding(
            "lifecycle", Status.OK, "The bucket's lifecycle leaves the backups to retention."
        )


def _prefix(rule: Mapping[str, Any]) -> str:
    chosen = rule.get("Filter") or {}
    return str(rule.get("Prefix") or chosen.get("Prefix") or (chosen.get("And") or {}).get("Prefix") or "")


def _meets(one: str, other: str) -> bool:
    """Tell whether a key can have both as its beginning."""
    return one.startswith(other) or other.startswith(one)
