"""What looks into archives takes any bytes, in any pieces, without an error of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from courtkeeper.findings import Finding, Status
from courtkeeper.vault import archives
from courtkeeper.vault.audit_bucket import Bucket, audit
from courtkeeper.vault.manifest import Part
from support.examples import examples

HASH = "0" * 64


@pytest.mark.parametrize("kind", ["tar", "redis_rdb", "pg_globals"])
@given(chunks=st.lists(st.binary(max_size=2000), max_size=6))
@example(chunks=[b"PostgreSQL database cluster dump complete"])
@examples(60)
def test_any_bytes_are_listed_or_named(kind: Any, chunks: list[bytes]) -> None:
    part = Part(
        name="x", kind=kind, plain_size=0, plain_sha256=HASH, sealed_size=0, sealed_sha256=HASH, files=1
    )
    lister = archives.lister(part)
    for chunk in chunks:
        lister.write(chunk)
    assert lister.finish().wrong


SCALARS = st.none() | st.booleans() | st.integers(-5, 5000) | st.text(max_size=12)
NAMES = st.sampled_from(
    [
        "Status", "ObjectLockConfiguration", "ObjectLockEnabled", "Rule", "DefaultRetention", "Mode",
        "ServerSideEncryptionConfiguration", "PublicAccessBlockConfiguration", "PolicyStatus", "IsPublic",
    ]
)  # fmt: skip
DAYS = st.none() | st.integers(0, 5000)
RULES = st.lists(
    st.fixed_dictionaries(
        {"Status": st.sampled_from(["Enabled", "Disabled"])},
        optional={
            "ID": st.text(max_size=5),
            "Prefix": st.text(max_size=5),
            "Filter": st.fixed_dictionaries({}, optional={"Prefix": st.text(max_size=5)}),
            "Expiration": st.fixed_dictionaries({}, optional={"Days": DAYS, "Date": st.text(max_size=10)}),
            "NoncurrentVersionExpiration": st.just({"NoncurrentDays": 3}),
        },
    ),
    max_size=4,
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "Status": st.sampled_from(["Enabled", "Suspended", ""]),
        "ObjectLockConfiguration": st.fixed_dictionaries(
            {},
            optional={
                "ObjectLockEnabled": st.sampled_from(["Enabled", ""]),
                "Rule": st.fixed_dictionaries(
                    {},
                    optional={
                        "DefaultRetention": st.fixed_dictionaries(
                            {}, optional={"Mode": SCALARS, "Days": DAYS, "Years": DAYS}
                        )
                    },
                ),
            },
        ),
        "ServerSideEncryptionConfiguration": st.just({"Rules": [{}]}) | st.none(),
        "PublicAccessBlockConfiguration": st.dictionaries(NAMES, SCALARS, max_size=3),
        "PolicyStatus": st.none() | st.fixed_dictionaries({"IsPublic": st.booleans()}),
        "Grants": st.lists(
            st.fixed_dictionaries({}, optional={"Grantee": st.none() | st.just({})}), max_size=2
        ),
        "Rules": RULES,
    },
)


class Answering:
    """A bucket that answers every question with the same."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def __getattr__(self, _name: str) -> Any:
        return lambda **_: self._answer


@given(ANSWERS)
@examples(60)
def test_whatever_a_bucket_answers_is_judged(answer: dict[str, Any]) -> None:
    found: list[Finding] = audit(Bucket(Answering(answer), "b", "nba", name="remote", longest_days=730))
    assert len({each.id for each in found}) == 7
    assert all(each.fix for each in found if each.status in (Status.WARN, Status.CRIT))
