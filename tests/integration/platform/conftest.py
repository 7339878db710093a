"""One platform for the tests that mend it, and fresh checkouts for those that change what it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.platform import Checkout, new_checkout


@pytest.fixture(scope="session")
def shared_checkout() -> Iterator[Checkout]:
    """A checkout whose platform has been up once."""
    with new_checkout("shared") as checkout:
        checkout.up()
        yield checkout


@pytest.fixture
def platform(shared_checkout: Checkout) -> Checkout:
    """The shared checkout with every part up."""
    shared_checkout.up()
    shared_checkout.messages.clear()
    return shared_checkout


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    """A fresh checkout in which nothing was ever started."""
    with new_checkout() as fresh:
        yield fresh
