"""Upkeep of indexes: a fault made in a real database is mended, and the check that found it finds no more."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from courtkeeper.findings import Status
from support.findings import only
from support.upkeep import Upkeep


def invalid_index(admin: psycopg.Connection[Any]) -> None:
    """A unique index that could not be built, over rows that by now are unique."""
    admin.execute("CREATE TABLE twice (n int); INSERT INTO twice VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        admin.execute('CREATE UNIQUE INDEX CONCURRENTLY "Once" ON twice (n)')


def test_an_invalid_index_is_built_again(upkeep: Upkeep, ask: Any, admin: psycopg.Connection[Any]) -> None:
    invalid_index(admin)
    admin.execute("DELETE FROM twice WHERE ctid = '(0,1)'")
    planned = upkeep(duties=["invalid_indexes"], check_mode=True)
    done = upkeep(duties=["invalid_indexes"])
    assert planned.actions == done.actions
    assert planned.changed
    finding = only(done.findings)
    assert (finding.subject, finding.status) == ('public."Once"', Status.OK)
    assert finding.applied == 'REINDEX INDEX CONCURRENTLY public."Once";'
    assert finding.undo.startswith("-- nothing to take back")
    assert only(ask("indexes.invalid")).status is Status.OK
    again = upkeep(duties=["invalid_indexes"])
    assert (again.changed, again.actions) == (False, [])
