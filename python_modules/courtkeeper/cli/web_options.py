"""How `courtkeeper serve` is told where the dashboard listens and who may come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypedDict

import typer

from courtkeeper.findings import ConfigurationError

if TYPE_CHECKING:
    from courtkeeper.store import Store

PORT = 8420  # that of courtkeeper.web.access, which takes a while to import

Listen: TypeAlias = Annotated[
    str, typer.Option("--listen", help="Where the dashboard listens.", metavar="ADDRESS")
]
Port: TypeAlias = Annotated[int, typer.Option("--port", min=0, max=65535, help="Its port; 0: any free one.")]
TokenFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--token-file", help="Who may come in (`courtkeeper token` writes it).", metavar="FILE"),
]
IdentityHeader: TypeAlias = Annotated[
    str,
    typer.Option("--identity-header", help="Where a reverse proxy says who is asking.", metavar="HEADER"),
]
TrustedProxy: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--trusted-proxy", help="That proxy's address or network.", metavar="ADDRESS"),
]
Operator: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--operator", help="Who of those it names is an operator; * for all.", metavar="NAME"),
]
Name: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--name", help="A further name by which it is called.", metavar="HOST"),
]
Certificate: TypeAlias = Annotated[
    Path | None, typer.Option("--certificate", help="For HTTPS: its certificate.", metavar="PEM")
]
Key: TypeAlias = Annotated[Path | None, typer.Option("--key", help="And its key.", metavar="PEM")]
WebOnly: TypeAlias = Annotated[bool, typer.Option("--web-only", help="Only the dashboard: run nothing.")]
NoWeb: TypeAlias = Annotated[bool, typer.Option("--no-web", help="Only the scheduler: no dashboard.")]

Say: TypeAlias = Callable[[str], None]
Dashboard: TypeAlias = "Callable[[Path, Path, Store, Say], AbstractContextManager[None]]"


class Given(TypedDict):
    """What was asked for, as `courtkeeper.web.access.Access` takes it."""

    host: str
    port: int
    token_file: Path | None
    identity_header: str
    trusted_proxies: tuple[str, ...]
    operators: frozenset[str]
    names: tuple[str, ...]
    certificate: Path | None
    key: Path | None


def prepared(given: Given) -> Dashboard:
    """Return what serves the dashboard of a checkout, an inventory and a store while a context lasts.

    Raises ConfigurationError where it must not start, before anything is touched.
    """
    try:
        from courtkeeper.web.access import Access
        from courtkeeper.web.server import Server
        from courtkeeper.web.site import Calendars, Site
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The dashboard needs {error.name}: run `pip install -e '.[web]'` in the checkout, "
            "or give --no-web."
        ) from error
    access = Access(**given)
    gate = access.check()

    @contextmanager
    def serve(root: Path, inventory: Path, store: Store, say: Say) -> Iterator[None]:
        calendars = Calendars(root, {inventory.name: inventory})
        with Server(Site(store=store, calendars=calendars), gate, say) as server:
            whom = "for everybody on this machine" if access.open else "for whom it knows"
            say(f"The dashboard is at {server.url}, {whom}.")
            yield

    return serve
