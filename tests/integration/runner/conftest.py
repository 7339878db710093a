"""A small checkout with real playbooks, run by the real ansible-runner."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runner_checkout import build, command, with_word

from courtkeeper.runner import CompletedRun, RunOptions
from courtkeeper.runner import run as drive


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one playbook per case and the inventories `x`, `bad` and `lost`."""
    return build(tmp_path_factory.mktemp("checkout").resolve())


@pytest.fixture
def run(checkout: Path) -> Callable[..., CompletedRun]:
    """Run a job of the checkout in this process; keyword arguments are RunOptions' or run()'s."""

    def call(job: str, **given: Any) -> CompletedRun:
        outer = {name: given.pop(name) for name in ("clock", "on_progress", "cancel") if name in given}
        options = {
            "root": checkout,
            "inventory": "x",
            "limit": "here",
            "report": False,
            "grace_s": 1.0,
            **given,
        }
        return drive(RunOptions(job=job, **options), **outer)

    return call


@pytest.fixture
def courtkeeper(checkout: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in the checkout."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv, how = command(checkout, *arguments)
        return subprocess.run(argv, capture_output=True, check=False, timeout=60, **how)

    return call


@pytest.fixture
def token(tmp_path: Path) -> Iterator[str]:
    """A word that marks the processes of one test; any that are left are ended after it."""
    word = f"token-{tmp_path.name}-{os.getpid()}"
    yield word
    for pid in with_word(word):
        os.kill(pid, 9)
