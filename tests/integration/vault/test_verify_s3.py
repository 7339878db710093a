"""Verification, pruning and audit of a bucket, over TLS."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from courtkeeper.findings import Finding, Result, Status
from courtkeeper.platform.ports import free_port
from courtkeeper.vault.audit_bucket import Bucket, audit
from courtkeeper.vault.check import check
from courtkeeper.vault.policy import VaultPolicy, VerifyPolicy
from courtkeeper.vault.prune import prune_vault
from courtkeeper.vault.retention import Policy
from courtkeeper.vault.verify import verify
from support.backups import DAY, sealed
from support.refusing import refusing
from support.s3 import S3
from support.vault import Vault, vault

pytestmark = pytest.mark.slow

NUMBERS = itertools.count()
HOUR = timedelta(hours=1)
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
POLICY = VaultPolicy(retention=Policy(daily=2, weekly=0, monthly=0), verify=VerifyPolicy(older=0))


@pytest.fixture
def bucket(s3: S3) -> str:
    """A bucket of its own, without any protection."""
    name = f"audited-{next(NUMBERS)}"
    s3.client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def both(tmp_path: Path, s3: S3, bucket: str) -> tuple[Vault, datetime]:
    """A vault of a directory and a bucket, with four backups, and the moment it is: S3 has its own clock."""
    made = vault(tmp_path, [{"name": "database", "kind": "postgres"}])
    made.told["destinations"].append(s3.destination(bucket=bucket, timeout_s=5, attempts=1))
    now = datetime.now(UTC)
    for n in range(4):
        sealed(made.destinations, now - HOUR - n * DAY / 4, made.public, number=n)
    for each in made.destinations:
        each.prepare()
    return made, now


def of(result: Result, name: str, status: Status | None = None) -> list[Finding]:
    return [each for each in result.findings if each.id == name and status in (None, each.status)]


def test_a_bucket_is_read_pruned_and_checked_as_a_directory_is(both: tuple[Vault, datetime]) -> None:
    made, now = both
    read = verify(made.settings, POLICY, now=now)
    assert {each.subject.rpartition(" ")[2] for each in of(read, "vault.read", Status.OK)} == {
        "local",
        "remote",
    }
    planned = prune_vault(made.settings, POLICY, now=now, check=True)
    done = prune_vault(made.settings, POLICY, now=now)
    assert done.actions == planned.actions
    assert {backup.where for backup in made.catalog().backups} == {("local", "remote")}
    assert not prune_vault(made.settings, POLICY, now=now).changed
    assert "vault.bucket.public_access" in {
        each.id for each in check(made.settings, POLICY, now=now).findings
    }


@pytest.mark.parametrize("status", [403, 503])
def test_a_store_that_refuses_everything_hides_nothing_else(
    both: tuple[Vault, datetime], s3: S3, status: int
) -> None:
    made, now = both
    with refusing(s3, status) as url:
        made.told["destinations"][1]["endpoint_url"] = url
        before = made.files("local")
        for result in (
            verify(made.settings, POLICY, now=now),
            check(made.settings, POLICY, now=now),
            prune_vault(made.settings, POLICY, now=now, check=True),
        ):
            assert [each.subject for each in of(result, "vault.destination", Status.CRIT)] == ["remote"]
        assert made.files("local") == before
        assert prune_vault(made.settings, POLICY, now=now).changed
        assert of(verify(made.settings, POLICY, now=now), "vault.read", Status.OK)


def test_a_store_that_does_not_answer_hides_nothing_else(both: tuple[Vault, datetime]) -> None:
    made, now = both
    made.told["destinations"][1]["endpoint_url"] = f"https://127.0.0.1:{free_port()}"
    result = verify(made.settings, POLICY, now=now)
    assert [each.subject for each in of(result, "vault.destination", Status.CRIT)] == ["remote"]
    assert of(result, "vault.read", Status.OK)


@pytest.mark.parametrize("fault", ["missing", "truncated", "other bytes"])
def test_a_lost_a_short_and_a_changed_object_are_found(
    both: tuple[Vault, datetime], s3: S3, bucket: str, fault: str
) -> None:
    made, now = both
    newest = made.catalog().backups[0]
    key = newest.prefix + newest.manifest.parts[0].name
    content = s3.client.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.client.delete_object(Bucket=bucket, Key=key)
    if fault == "truncated":
        s3.client.put_object(Bucket=bucket, Key=key, Body=content[:-1])
    elif fault == "other bytes":
        s3.client.put_object(Bucket=bucket, Key=key, Body=content[:-1] + bytes([content[-1] ^ 1]))
    result = verify(made.settings, POLICY, now=now)
    name = "vault.read" if fault == "other bytes" else "vault.parts"
    (finding,) = of(result, name, Status.CRIT)
    assert finding.subject == f"{newest.prefix.rstrip('/')} on remote"
    assert made.catalog().backups[0].where == ("local",)
    assert of(verify(made.settings, POLICY, now=now), "vault.fresh")[0].status is Status.OK
    # The good copy elsewhere, and the good ones here, stay.
    prune_vault(made.settings, POLICY, now=now)
    assert {"local", "remote"} == {name for each in made.catalog().backups for name in each.where}


def audited(s3: S3, bucket: str, client: Any = None, days: float = 730) -> dict[str, Finding]:
    asked = Bucket(client or s3.client, bucket, "nba", name="remote", longest_days=days)
    return {each.id.removeprefix("vault.bucket."): each for each in audit(asked)}


def test_a_bucket_without_protection_says_so(s3: S3, bucket: str) -> None:
    found = audited(s3, bucket)
    assert {name: each.status.value for name, each in found.items()} == {
        "versioning": "warn",
        "object_lock": "warn",
        "encryption": found["encryption"].status.value,
        "public_access": "warn",
        "public_policy": "ok",
        "public_acl": "ok",
        "lifecycle": "ok",
    }
    assert all(each.fix for each in found.values() if each.status is Status.WARN)


def protect(s3: S3, bucket: str, days: int) -> None:
    s3.client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    s3.client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": days}},
        },
    )
    s3.client.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration=dict.fromkeys(BLOCKS, True),
    )
    s3.client.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    s3.client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "old-versions",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                }
            ]
        },
    )


def test_a_protected_bucket_is_well_and_its_lock_outlives_pruning(tmp_path: Path, s3: S3) -> None:
    name = f"locked-{next(NUMBERS)}"
    protect(s3, name, 30)
    assert {each.status for each in audited(s3, name).values()} == {Status.OK}
    assert audited(s3, name, days=7)["object_lock"].status is Status.WARN
    made = vault(tmp_path, [{"name": "database", "kind": "postgres"}])
    made.told["destinations"] = [s3.destination(bucket=name)]
    now = datetime.now(UTC)
    for n in range(3):
        sealed(made.destinations, now - HOUR - n * DAY / 4, made.public, number=n)
    one = VaultPolicy(retention=Policy(daily=1, weekly=0, monthly=0))
    newest = made.catalog().backups[0]
    prune_vault(made.settings, one, now=now)
    assert newest.id in [backup.id for backup in made.catalog().backups]
    assert len(made.catalog().backups) < 3
    # What was pruned is hidden; whoever has the store's own right can still get it back.
    versions = s3.client.list_object_versions(Bucket=name)["Versions"]
    assert len({each["Key"] for each in versions if each["Key"].endswith("manifest.json")}) == 3


def test_what_opens_a_bucket_is_critical(s3: S3, bucket: str) -> None:
    s3.client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    found = audited(s3, bucket)["public_acl"]
    assert (found.status, found.observed) == (Status.CRIT, "READ")


@pytest.mark.parametrize(
    ("prefix", "status"), [("", Status.CRIT), ("nba/", Status.CRIT), ("logs/", Status.OK)]
)
def test_a_lifecycle_that_removes_backups_behind_our_back_is_critical(
    s3: S3, bucket: str, prefix: str, status: Status
) -> None:
    s3.client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "thirty",
                    "Status": "Enabled",
                    "Filter": {"Prefix": prefix},
                    "Expiration": {"Days": 30},
                }
            ]
        },
    )
    assert audited(s3, bucket)["lifecycle"].status is status


class Silent:
    """A store, or a key, that answers every question with one error."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __getattr__(self, name: str) -> Any:
        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": self._code, "Message": ""}}, name)

        return refuse


@pytest.mark.parametrize(
    ("code", "status"),
    [("AccessDenied", Status.UNKNOWN), ("NotImplemented", Status.SKIPPED), ("SlowDown", Status.UNKNOWN)],
)
def test_what_a_store_does_not_tell_is_never_ok(s3: S3, code: str, status: Status) -> None:
    found = audited(s3, "any", Silent(code))
    assert {each.status for each in found.values()} == {status}
    assert all(("s3:Get" in each.fix) is (code == "AccessDenied") for each in found.values())
