"""The tools of the test hosts: an engine known by more than a process id, images known by their recipe."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import engine  # noqa: E402
import fresh  # noqa: E402
import images  # noqa: E402


def test_a_process_id_that_was_reused_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RECORD", tmp_path / "process.json")
    assert engine.ours() is None
    me = os.getpid()
    engine.RECORD.write_text(json.dumps({"pid": me, "started": engine.started(me)}))
    assert engine.ours() == me
    engine.RECORD.write_text(json.dumps({"pid": me, "started": "1"}))
    assert engine.ours() is None
    engine.RECORD.write_text("half a rec")
    assert engine.ours() is None


def test_an_image_is_known_by_its_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.tag("debian12")
    assert before != images.tag("debian13")
    monkeypatch.setitem(images.IMAGES, "debian12", ("12", [*images.HOST, "nginx"]))
    assert images.tag("debian12") != before


def test_fresh_mounts_what_the_settings_of_pip_name(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    settings = {
        "cert": str(tmp_path / "missing.pem"),
        "find-links": str(wheels),
        "extra-index-url": f"https://index.example/simple file://{tmp_path}",
        "timeout": "60",
    }
    assert fresh.mounts(settings) == [
        "--volume", f"{tmp_path}:{tmp_path}:ro", "--volume", f"{wheels}:{wheels}:ro",
    ]  # fmt: skip
