"""A dashboard that is served: one for everybody on this machine, one for those with a token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from courtkeeper.web import tokens
from courtkeeper.web.access import Access
from courtkeeper.web.server import Server
from support.sites import Scene


class Visitor:
    """A browser without a screen: it keeps cookies and sends forms as their page has them."""

    def __init__(self, url: str, **given: Any) -> None:
        self.client = httpx.Client(
            base_url=url.rstrip("/"), timeout=60, headers={"accept": "text/html"}, **given
        )

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.client.get(path, **given)

    def csrf(self, path: str = "/") -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', self.get(path).text)
        return found[1] if found else ""

    def do(self, verb: str, *, page: str = "/jobs/x/checks", **form: str) -> httpx.Response:
        """Send a form from a page of ours."""
        return self.post(f"/do/{verb}", {"csrf": self.csrf(page), "back": page, **form})

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        return self.client.post(path, data=form, headers=headers)

    def sign_in(self, token: str) -> httpx.Response:
        return self.post("/login", {"csrf": self.csrf("/login"), "token": token})


class Served:
    """A scene, where it is served, and the tokens that open it."""

    def __init__(self, scene: Scene, url: str, said: list[str], tokens_of: dict[str, str]) -> None:
        self.scene, self.url, self.said, self.tokens = scene, url, said, tokens_of

    def visitor(self, **given: Any) -> Visitor:
        return Visitor(self.url, **given)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    scene, said = Scene(tmp_path_factory.mktemp("local")), []
    with scene.store, Server(scene.site, Access(port=0).check(), said.append) as server:
        yield Served(scene, server.url, said, {})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory: Path = tmp_path_factory.mktemp("guarded")
    scene, said = Scene(directory), []
    file = directory / "tokens"
    given = {name: tokens.add(file, name, role) for name, role in (("ann", "operator"), ("vic", "viewer"))}
    access = Access(port=0, token_file=file)
    with scene.store, Server(scene.site, access.check(), said.append) as server:
        yield Served(scene, server.url, said, given)
