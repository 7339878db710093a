"""What the tests of the vault share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.s3 import S3, s3_server


@pytest.fixture(scope="session")
def s3_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """S3 over TLS, one for all tests of a process."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_session: S3) -> S3:
    """S3 with an empty bucket."""
    s3_session.empty()
    return s3_session
