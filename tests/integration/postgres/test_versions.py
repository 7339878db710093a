"""Every check on every version that can be had, as roles with more and with less rights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.integrity import integrity
from support.clusters import Cluster, bin_dirs, cluster, replica
from support.findings import is_bad, is_ok, only, within

pytestmark = pytest.mark.slow
PASSWORD = "only-for-this-test"


@pytest.fixture(scope="module", params=bin_dirs().items(), ids=lambda item: f"postgres-{item[0]}")
def versioned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one version with something of everything in it."""
    version, bin_dir = request.param
    with cluster(tmp_path_factory.mktemp(f"postgres-{version}"), bin_dir=bin_dir) as server:
        server.apply(
            f"CREATE ROLE bare LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE watcher LOGIN PASSWORD '{PASSWORD}';"
            "GRANT pg_monitor TO watcher;"
            "CREATE TABLE parent (id serial PRIMARY KEY, t text); "
            "CREATE TABLE child (id int REFERENCES parent, d date) PARTITION BY RANGE (d);"
            "CREATE TABLE child_1 PARTITION OF child FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');"
            "INSERT INTO parent (t) SELECT 'x' FROM generate_series(1, 100); "
            "INSERT INTO child SELECT 1, '2026-06-01' FROM generate_series(1, 100); ANALYZE;"
        )
        assert server.admin().info.server_version // 10000 == version
        yield server


def ask_all(server: Cluster, user: str = "") -> Sequence[Finding]:
    """Run every check that is registered, as the superuser or as `user`."""
    dsn = server.dsn(user=user, password=PASSWORD) if user else server.dsn()
    findings = integrity(DatabaseSettings.from_dsn(dsn), choose()).findings
    unknown = [finding for finding in findings if finding.status is Status.UNKNOWN]
    assert unknown == [], "\n".join(map(str, unknown))
    return findings


def test_no_check_is_at_a_loss(versioned: Cluster) -> None:
    assert {finding.status for finding in ask_all(versioned)} >= {Status.OK}


@pytest.mark.parametrize("user", ["bare", "watcher"])
def test_what_is_skipped_says_what_would_help_and_that_helps(versioned: Cluster, user: str) -> None:
    for _ in range(4):  # a check may need one thing after the other
        skipped = [finding for finding in ask_all(versioned, user) if finding.status is Status.SKIPPED]
        assert all(finding.fix for finding in skipped), skipped
        remedies = {finding.fix for finding in skipped if finding.fix.startswith(("GRANT", "CREATE EXT"))}
        if not remedies:
            break
        versioned.apply("\n".join(sorted(remedies)))
    else:
        pytest.fail("\n".join(map(str, skipped)))
    # What no grant helps against: time, another server, another role, a database without the platform in it.
    reasons = (
        "no superuser",
        "does not have the extension",
        "days only",
        "cannot tell; ",
        "shared_preload_libraries",
        "declare the platform's rules",
    )
    for finding in skipped:
        assert any(reason in finding.summary + finding.fix for reason in reasons), finding


def test_the_bare_role_got_less_than_everything(versioned: Cluster) -> None:
    versioned.apply(f"CREATE ROLE barer LOGIN PASSWORD '{PASSWORD}';")
    skipped = {finding.id for finding in ask_all(versioned, "barer") if finding.status is Status.SKIPPED}
    assert {
        "postgres.activity.long_query",
        "postgres.capacity.sequence",
        "postgres.security.hba",
        "postgres.security.password_hash",
    } <= skipped


def test_what_differs_by_version_finds_its_fault_on_each(versioned: Cluster) -> None:
    with versioned.admin() as admin:
        admin.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    finding = within(lambda: versioned.ask("replication.slot", inactive=0), is_bad)
    versioned.apply(finding.fix)
    assert is_ok(only(versioned.ask("replication.slot", inactive=0)))
    path = versioned.postgres.data / "pg_hba.conf"
    before = path.read_text()
    path.write_text(before + "host all all 10.0.0.0/8 trust\n")
    finding = only(versioned.ask("security.hba"))
    path.write_text(before)
    assert finding.subject == f"{path}:{len(before.splitlines()) + 1}"


def test_no_check_is_at_a_loss_on_a_replica(
    versioned: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with replica(versioned, tmp_path_factory.mktemp("replica")) as standby:
        assert {finding.status for finding in ask_all(standby)} >= {Status.OK}
