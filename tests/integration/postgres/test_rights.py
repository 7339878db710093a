"""What a role may not see is skipped with a grant, and the grant can be run as it stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from courtkeeper.findings import Status
from courtkeeper.postgres.query import quoted
from support.clusters import Cluster
from support.findings import only

PASSWORD = "only-for-this-test"
SCENE = f"""
CREATE ROLE "a""b" LOGIN PASSWORD '{PASSWORD}';
CREATE EXTENSION amcheck;
CREATE TABLE ticket (id serial PRIMARY KEY);
CREATE FUNCTION verify_data_integrity() RETURNS TABLE (issue_type text, game_id text, description text)
    LANGUAGE sql AS 'SELECT NULL::text, NULL::text, NULL::text WHERE false';
REVOKE EXECUTE ON FUNCTION verify_data_integrity() FROM PUBLIC;
"""


@pytest.fixture(scope="module")
def odd(sound: Cluster) -> Iterator[str]:
    """The connection string of a role without rights whose name has to be quoted with care."""
    sound.apply(SCENE)
    yield sound.dsn(user='a"b', password=PASSWORD)
    sound.apply(
        'DROP OWNED BY "a""b"; DROP ROLE "a""b"; DROP FUNCTION verify_data_integrity(); DROP TABLE ticket; '
        "DROP EXTENSION amcheck;"
    )


@pytest.mark.parametrize(
    ("check", "right"),
    [
        ("corruption.amcheck", "EXECUTE ON FUNCTION "),
        ("capacity.sequence", "pg_read_all_data"),
        ("capacity.wal_disk", "pg_monitor"),
        ("settings.overridden", "SELECT ON pg_file_settings"),
        ("activity.long_query", "pg_monitor"),
        ("data.integrity", "EXECUTE ON FUNCTION public.verify_data_integrity()"),
    ],
)
def test_the_grant_to_a_role_with_an_odd_name_helps(sound: Cluster, odd: str, check: str, right: str) -> None:
    finding = only(sound.ask(check, dsn=odd))
    assert finding.status is Status.SKIPPED
    assert finding.fix.startswith(f"GRANT {right}")
    assert 'TO "a""b";' in finding.fix
    sound.apply(finding.fix)
    assert only(sound.ask(check, dsn=odd)).status is Status.OK
    if right.startswith("pg_"):
        sound.apply(f'REVOKE {right} FROM "a""b";')


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (("public", "games"), "public.games"),
        (("public", 'Odd "name"'), 'public."Odd ""name"""'),
        (("user",), '"user"'),
    ],
)
def test_names_are_quoted_only_where_they_have_to_be(
    sound: Cluster, names: tuple[str, ...], written: str
) -> None:
    with sound.admin() as admin:
        assert quoted(admin, *names) == written
