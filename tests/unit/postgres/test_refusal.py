"""What is told of an error of the server: never a value out of somebody's row."""

from __future__ import annotations

import pytest
from psycopg import errors

from courtkeeper.postgres.refusal import is_read_only, why_lost, words


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.LockNotAvailable("canceling statement due to lock timeout\nCONTEXT:  while locking"),
         "canceling statement due to lock timeout"),
        (errors.InvalidTextRepresentation('invalid input syntax for type integer: "4111 1111"'),
         'invalid input syntax for type integer: "…"'),
        (errors.InvalidTextRepresentation('invalid input syntax for type integer: "begun\nand cut off"'),
         'invalid input syntax for type integer: "…"'),
        (errors.UniqueViolation('could not create unique index "t_n"\nDETAIL:  Key (n)=(a) is duplicated.'),
         'could not create unique index "t_n"'),
        (errors.OperationalError(""), "OperationalError"),
        (ValueError("no server said it."), "no server said it"),
    ],
)  # fmt: skip
def test_the_first_line_without_values(error: Exception, told: str) -> None:
    assert words(error) == told


def test_what_ended_a_connection_is_one_line_of_bounded_length() -> None:
    assert why_lost(errors.OperationalError("gone\n" + "x" * 500)) == "gone " + "x" * 155


def test_a_session_that_may_only_read() -> None:
    assert is_read_only(errors.ReadOnlySqlTransaction("cannot execute INSERT"))
    assert not is_read_only(errors.LockNotAvailable("busy"))
