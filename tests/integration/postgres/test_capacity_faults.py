"""Faults of the group `capacity`, made in a real database: the right finding, and a remedy that works."""

from __future__ import annotations

from typing import Any

import psycopg

from courtkeeper.findings import Status
from support.findings import only


def test_a_sequence_near_the_end_of_its_column(ask: Any, admin: psycopg.Connection[Any]) -> None:
    assert only(ask("capacity.sequence")).status is Status.OK
    # The sequence itself could go on (bigint); the column cannot.
    admin.execute("CREATE SEQUENCE tickets AS bigint")
    admin.execute("CREATE TABLE \"Ticket\" (id int4 PRIMARY KEY DEFAULT nextval('tickets'))")
    admin.execute("SELECT setval('tickets', (2147483647 * 0.95)::bigint)")
    finding = only(ask("capacity.sequence"))
    assert finding.status is Status.CRIT
    assert finding.subject == "public.tickets"
    assert '"Ticket".id (integer)' in finding.summary
    assert finding.observed == 95.0
    admin.execute(finding.fix)
    assert only(ask("capacity.sequence")).status is Status.OK
