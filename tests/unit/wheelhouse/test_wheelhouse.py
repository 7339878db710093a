"""The wheelhouse: pins for another Python than ours, one archive a release, refusals in one sentence."""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from courtkeeper import __version__, wheelhouse
from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.wheelhouse import KEPT, Target, build, pins

ROOT = Path(__file__).resolve().parents[3]
DEBIAN12 = Target("3.11.2", "x86_64", "2.36")
DEBIAN13 = Target("3.13.5", "x86_64", "2.41")
LOCK = (ROOT / "requirements/agent.lock").read_text()


def tiny_wheel(directory: Path, name: str) -> str:
    """Write the smallest wheel that pip accepts, and return its pin as a lock has it."""
    path = directory / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose lock pins two tiny wheels, and a directory as the only index."""
    checkout, index = tmp_path / "checkout", tmp_path / "index"
    index.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.sql")
    shutil.copytree(ROOT / "python_modules", checkout / "python_modules", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    (checkout / "requirements").mkdir()
    lock = tiny_wheel(index, "pip") + tiny_wheel(index, "tiny")
    (checkout / "requirements/agent.lock").write_text(lock)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return checkout


@pytest.fixture
def hollow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's wheel is a tiny one too: only one test asks whether pip can build the real one."""

    def made(source: Path, scratch: Path) -> Path:
        tiny_wheel(scratch, "courtkeeper")
        return scratch / "courtkeeper-1.0-py3-none-any.whl"

    monkeypatch.setattr(wheelhouse, "build_library", made)


def test_markers_are_judged_by_the_host() -> None:
    old, new = pins(LOCK, DEBIAN12), pins(LOCK, DEBIAN13)
    assert old.keys() - new.keys() == {"async-timeout"}
    assert "colorama" not in old  # for Windows
    assert all(" --hash=sha256:" in pin and ";" not in pin for pin in (old | new).values())


def test_platforms_reach_from_the_hosts_glibc_down() -> None:
    tags = DEBIAN12.platforms()
    assert tags[0] == "manylinux_2_36_x86_64"
    assert {"manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux1_x86_64"} <= set(tags)
    assert Target("3.13.5", "aarch64", "2.41").platforms()[-1] == "manylinux2014_aarch64"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("3.9.2", "x86_64", "2.31"), "agent_python"),
        (Target("three", "x86_64", "2.36"), "not a version"),
        (Target("3.11.2", "riscv64", "2.36"), "no wheels for riscv64"),
        (Target("3.11.2", "x86_64", ""), "other than glibc"),
    ],
)
def test_a_host_that_no_wheel_fits_is_refused(
    source: Path, tmp_path: Path, target: Target, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        build(source, tmp_path / "house", target)
    assert not (tmp_path / "house").exists()


def test_a_directory_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="agent_source"):
        build(tmp_path, tmp_path / "house", DEBIAN12)


def test_an_odd_lock_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no pin: -e"):
        pins(LOCK + "-e .\n", DEBIAN12)
    with pytest.raises(ConfigurationError, match="does not pin pip"):
        pins("", DEBIAN12)


def test_one_archive_holds_all_and_is_built_once(source: Path, tmp_path: Path) -> None:
    house = tmp_path / "house"
    planned = build(source, house, DEBIAN13, check=True)
    assert planned.changed
    assert not house.exists()

    built = build(source, house, DEBIAN13)
    assert built.actions == planned.actions
    assert built.details == planned.details
    with tarfile.open(built.details["archive"]) as archive:
        names = sorted(archive.getnames())
        requirements = archive.extractfile("requirements.txt").read().decode().splitlines()
        manifest = json.load(archive.extractfile("manifest.json"))
    own = f"wheels/courtkeeper-{__version__}-py3-none-any.whl"
    wheels = [own, "wheels/pip-1.0-py3-none-any.whl", "wheels/tiny-1.0-py3-none-any.whl"]
    assert names == ["manifest.json", "requirements.txt", *wheels]
    assert [line.split()[0] for line in requirements] == ["tiny==1.0", f"courtkeeper=={__version__}"]
    assert manifest["pip"] == wheels[1]
    assert manifest["digest"] == built.details["digest"]

    again = build(source, house, DEBIAN13)
    assert not again.changed
    assert again.actions == []


@pytest.mark.usefixtures("hollow")
def test_certbots_archive_holds_its_lock_and_nothing_of_the_library(source: Path, tmp_path: Path) -> None:
    index, house = tmp_path / "index", tmp_path / "house"
    lock = tiny_wheel(index, "pip") + tiny_wheel(index, "certbot")
    (source / "requirements/certbot.lock").write_text(lock)
    library = build(source, house, DEBIAN13)
    built = build(source, house, DEBIAN13, package="certbot")
    assert Path(built.details["archive"]).name.startswith("certbot-1.0-")
    with tarfile.open(built.details["archive"]) as archive:
        names = set(archive.getnames())
    assert names == {
        "manifest.json", "requirements.txt", "wheels/pip-1.0-py3-none-any.whl",
        "wheels/certbot-1.0-py3-none-any.whl",
    }  # fmt: skip
    assert Path(library.details["archive"]).exists()
    # A new release of the library is no new release of certbot.
    (source / "python_modules/courtkeeper/extra.py").write_text("NUMBER = 1\n")
    assert not build(source, house, DEBIAN13, package="certbot").changed


@pytest.mark.usefixtures("hollow")
def test_a_changed_library_is_a_new_release_from_the_wheels_that_are_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = tmp_path / "house"
    build(source, house, DEBIAN12)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    digests = set()
    for number in range(KEPT + 1):
        (source / "python_modules/courtkeeper/extra.py").write_text(f"NUMBER = {number}\n")
        result = build(source, house, DEBIAN12)
        assert result.changed
        digests.add(result.details["digest"])
    assert len(digests) == KEPT + 1
    archives = list((house / DEBIAN12.name).glob("*.tar"))
    assert len(archives) == KEPT
    assert Path(result.details["archive"]) in archives


@pytest.mark.usefixtures("hollow")
def test_an_index_that_lacks_a_wheel_leaves_no_archive(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(CourtkeeperError, match="pip download failed on the controller"):
        build(source, tmp_path / "house", DEBIAN12)
    assert not list((tmp_path / "house").rglob("*.tar*"))


def release_digest(host: dict[str, str], source: Path, package: str) -> object:
    """Ask the filter by which the role agent knows what a host should have."""
    path = ROOT / "collections/ansible_collections/courtkeeper/ops/plugins/filter/release_digest.py"
    return runpy.run_path(str(path))["release_digest"](host, str(source), package)


@pytest.mark.parametrize("package", ["courtkeeper", "certbot"])
def test_the_filter_knows_the_digest_of_the_release_without_building_it(package: str, tmp_path: Path) -> None:
    host = {"python": DEBIAN12.python, "machine": DEBIAN12.machine, "glibc": DEBIAN12.glibc}
    planned = build(ROOT, tmp_path, DEBIAN12, package=package, check=True)
    assert release_digest(host, ROOT, package) == planned.details["digest"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("python", "source"), [("3.9.2", ROOT), ("3.11.2", Path("/nowhere"))])
def test_the_filter_leaves_a_refusal_to_the_module_that_says_why(python: str, source: Path) -> None:
    host = {"python": python, "machine": "x86_64", "glibc": "2.36"}
    assert release_digest(host, source, "courtkeeper") == "unknown"
