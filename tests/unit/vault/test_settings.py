"""A vault's settings are refused by the key that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.settings import vault_from

PUBLIC = str(x25519.Identity.generate().to_public())
GOOD: dict[str, Any] = {
    "name": "nba",
    "recipients": [PUBLIC],
    "destinations": [{"name": "local", "kind": "directory", "path": "/srv/backups"}],
}
BUCKET = {"name": "far", "kind": "s3", "bucket": "backups"}


def test_the_least_is_enough() -> None:
    settings = vault_from(GOOD)
    assert settings.recipients == (PUBLIC,)
    assert settings.pace.attempts == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Nba"}, "name is 'Nba'"),
        ({"name": "../nba"}, "name is"),
        ({"recipients": []}, "recipients is empty"),
        ({"recipients": ["age1nonsense"]}, r"recipients\[0\]"),
        ({"recipients_file": "/no/such/file"}, "courtkeeper vault keys"),
        ({"destinations": []}, "destinations is empty"),
        ({"destinations": [{"name": "x", "kind": "ftp"}]}, r"destinations\[0\]"),
        (
            {"destinations": [{"name": "x", "kind": "directory", "path": "relative"}]},
            r"destinations\[0\]\.path",
        ),
        ({"destinations": [*GOOD["destinations"], *GOOD["destinations"]]}, r"destinations\[1\] is called"),
        ({"destinations": [{**BUCKET, "bucket": "No Bucket"}]}, r"destinations\[0\]\.bucket"),
        ({"destinations": [{**BUCKET, "endpoint_url": "http://x"}]}, "endpoint_url has to begin with https"),
        ({"destinations": [{**BUCKET, "endpoint_url": "https://me:word@x"}]}, "has a user in it"),
        ({"destinations": [{**BUCKET, "access_key": "a"}]}, "belong together"),
        ({"destinations": [{**BUCKET, "ca_file": "/no/such"}]}, "ca_file"),
        ({"destinations": [{**BUCKET, "part_mb": 1}]}, "part_mb"),
        ({"sources": [{"name": "x", "kind": "files"}]}, r"sources\[0\]\.paths"),
        ({"sources": [{"name": "x", "kind": "files", "paths": ["etc"]}]}, r"sources\[0\]\.paths\[0\]"),
        ({"sources": [{"name": "x", "kind": "redis", "port": 0}]}, r"sources\[0\]\.port"),
        ({"sources": [{"name": "x", "kind": "postgres", "options": {"password": "p"}}]}, "options.password"),
        ({"sources": [{"name": "x", "kind": "postgres", "bin_directory": "bin"}]}, "bin_directory"),
        ({"pace": {"attempts": 0}}, "pace.attempts"),
        ({"pace": {"level": 99}}, "pace.level"),
        ({"pace": {"refill_minutes": -1}}, "pace.refill_minutes"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        vault_from({**GOOD, **changes})


def test_recipients_of_a_file_count_too(tmp_path: Path) -> None:
    other = str(x25519.Identity.generate().to_public())
    path = tmp_path / "recipients.txt"
    path.write_text(f"# two\n{other}\n{PUBLIC}\n")
    assert vault_from({**GOOD, "recipients_file": str(path)}).recipients == (PUBLIC, other)
    path.write_text("nonsense\n")
    with pytest.raises(ConfigurationError, match=r"recipients\.txt"):
        vault_from({**GOOD, "recipients_file": str(path)})


def test_templates_give_numbers_as_text() -> None:
    sources = [{"name": "x", "kind": "redis", "port": "6380", "tls": "true"}]
    (source,) = vault_from({**GOOD, "sources": sources}).sources
    assert source.port == 6380
    assert source.tls is True
