"""A deployment keeps or puts back, whatever kills it in between. The service is a stand-in; real ones, with
systemd and nginx, are in the scenario certificate_renewal of the test hosts."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from courtkeeper.findings import CourtkeeperError, Status
from courtkeeper.hosts import commands, services
from courtkeeper.hosts.certificates import deploy, journal, state, x509
from courtkeeper.hosts.certificates.certbot import Lineage
from courtkeeper.hosts.certificates.settings import Deploy, Endpoint, Wanted
from support import certificates

_, INTERMEDIATE = certificates.authority()


def lineage(made: certificates.Made) -> tuple[Lineage, tuple[x509.Facts, ...]]:
    files = Lineage(made.fullchain, made.pem, made.chain, made.key)
    return files, x509.read_chain(files.fullchain, "it")


class FakeService:
    """A service that takes its file at a reload, into what a real TLS server serves."""

    def __init__(self, file: Path, served: Path) -> None:
        self.file, self.served = file, served
        self.runs, self.deaf, self.refuses, self.dies, self.reloads = True, False, False, False, 0

    def reload(self, _unit: str = "") -> None:
        self.reloads += 1
        if self.refuses or not self.runs:
            raise commands.CommandError("systemctl failed: no.")
        self.runs = not self.dies
        if not self.deaf:
            self.served.write_bytes(self.file.read_bytes())

    def revive(self, _unit: str) -> None:
        self.runs, self.dies = True, False
        self.reload()


class Killed(BaseException):
    """What stands for a power cut."""


class Case(msgspec.Struct):
    directory: Path
    wanted: Wanted
    target: Deploy
    service: FakeService
    old: bytes
    file: Path

    def run(self, made: certificates.Made) -> deploy.Outcome | None:
        """One run: look, then do what is needed; None if nothing is."""
        files, chain = lineage(made)
        plan = deploy.look(self.directory, self.wanted, self.target, files, chain)
        if not plan.needed:
            return None
        return deploy.carry_out(
            self.directory, self.wanted, self.target, plan, files, chain, timeout_s=0.5
        )  # fmt: skip

    def serves(self, made: certificates.Made) -> bool:
        return self.service.served.read_bytes() == made.fullchain + made.key

    def litter(self) -> list[Path]:
        kept = [path for path in self.directory.rglob("*") if path.is_file() and path.parent != self.replaced]
        return kept + list(self.file.parent.glob(".*"))

    @property
    def replaced(self) -> Path:
        return self.directory / "replaced"

    def look(self, made: certificates.Made) -> deploy.Plan:
        return deploy.look(self.directory, self.wanted, self.target, *lineage(made))


@pytest.fixture
def before() -> certificates.Made:
    return certificates.make("www", INTERMEDIATE, names=("www.ck.test",))


@pytest.fixture
def after() -> certificates.Made:
    return certificates.make("www", INTERMEDIATE, names=("www.ck.test",))


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: certificates.Made) -> Iterator[Case]:
    file, served = tmp_path / "etc/www.pem", tmp_path / "served.pem"
    file.parent.mkdir()
    (tmp_path / "state").mkdir()
    old = before.fullchain + before.key
    for path in (file, served):
        path.write_bytes(old)
        path.chmod(0o640)
    service = FakeService(file, served)
    monkeypatch.setattr(services, "reload", service.reload)
    monkeypatch.setattr(services, "revive", service.revive)
    monkeypatch.setattr(services, "is_active", lambda _unit: service.runs)
    with certificates.serving(served) as port:
        target = Deploy(
            service="www", bundle=str(file), owner=pwd.getpwuid(os.getuid()).pw_name,
            group=grp.getgrgid(os.getgid()).gr_name, mode="0600", serve=[Endpoint("127.0.0.1", port)],
            config_test=["true"],
        )  # fmt: skip
        wanted = Wanted(name="www", domains=["www.ck.test"], webroot="/var/www", deploy=[target])
        yield Case(tmp_path / "state", wanted, target, service, old, file)


def test_a_new_chain_is_taken_and_the_second_run_does_nothing(case: Case, after: certificates.Made) -> None:
    outcome = case.run(after)
    assert outcome is not None
    assert outcome.changed
    assert outcome.finding is not None
    assert outcome.finding.status is Status.OK
    assert case.serves(after)
    assert case.file.stat().st_mode & 0o777 == 0o600
    assert case.litter() == []
    assert case.run(after) is None
    assert case.service.reloads == 1


def test_what_certbot_did_not_make_is_kept_for_good(case: Case, after: certificates.Made) -> None:
    for _ in range(2):  # as when the first deployment fails
        outcome = case.run(after)
        case.file.write_bytes(case.old)
    assert outcome is not None
    assert outcome.finding is not None
    assert outcome.finding.undo == f"the files before it are in {case.replaced}"
    (kept,) = case.replaced.iterdir()
    assert kept.read_bytes() == case.old
    assert kept.stat().st_mode & 0o777 == 0o600


def test_what_certbot_made_is_not_kept_twice(
    case: Case, before: certificates.Made, after: certificates.Made
) -> None:
    archive = case.directory / "config/archive/www"
    archive.mkdir(parents=True)
    (archive / "fullchain1.pem").write_bytes(before.fullchain)
    (archive / "privkey1.pem").write_bytes(before.key)
    outcome = case.run(after)
    assert outcome is not None
    assert outcome.finding is not None
    assert outcome.finding.undo == ""
    assert not case.replaced.exists()


def test_a_service_that_dies_of_its_certificate_is_started_again(
    case: Case, after: certificates.Made
) -> None:
    case.service.dies = True
    said = put_back(case, case.run(after))
    assert "the old files are back and www was started again" in said
    assert case.service.runs


def test_a_service_that_cannot_be_asked_gets_its_old_chain_back(
    case: Case, after: certificates.Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(_unit: str) -> bool:
        if case.file.read_bytes() != case.old:
            raise commands.CommandError("systemctl did not end within 30 s and was stopped.")
        return True

    monkeypatch.setattr(services, "is_active", hangs)
    assert "did not end within 30 s" in put_back(case, case.run(after))


def test_what_does_not_answer_is_not_reloaded_and_not_ok(case: Case, after: certificates.Made) -> None:
    case.run(after)
    case.target = msgspec.structs.replace(case.target, serve=[Endpoint("127.0.0.1", 1)])
    plan = case.look(after)
    assert not plan.needed
    assert plan.finding is not None
    assert plan.finding.status is Status.UNKNOWN
    assert "could not be seen: 127.0.0.1:1 does not answer TLS" in plan.finding.summary


def test_a_service_that_does_not_run_is_said_so_at_every_run(case: Case, after: certificates.Made) -> None:
    case.run(after)
    case.service.runs = False
    plan = case.look(after)
    assert not plan.needed
    assert plan.finding is not None
    assert plan.finding.status is Status.UNKNOWN
    assert "could not be seen: www does not run." in plan.finding.summary


def test_old_files_that_cannot_be_put_back_are_kept_and_said(
    case: Case, after: certificates.Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_snapshot: journal.Snapshot) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "put_back", full)
        case.service.refuses = True
        outcome = case.run(after)
    assert outcome is not None
    assert outcome.finding is not None
    assert "could not be put back (No space left on device) and are kept in" in outcome.finding.summary
    assert put_back(case, case.run(after))


def test_a_mode_alone_is_set_without_a_reload(case: Case, after: certificates.Made) -> None:
    case.run(after)
    case.file.chmod(0o644)
    outcome = case.run(after)
    assert outcome is not None
    assert outcome.changed
    assert case.file.stat().st_mode & 0o777 == 0o600
    assert case.service.reloads == 1


def put_back(case: Case, outcome: deploy.Outcome | None) -> str:
    """That the old chain is on disk and served, and nothing else changed; returns the finding's sentence."""
    assert outcome is not None
    assert outcome.finding is not None
    assert outcome.finding.status is Status.CRIT
    assert not outcome.changed
    assert case.file.read_bytes() == case.old
    assert case.file.stat().st_mode & 0o777 == 0o640
    assert case.service.served.read_bytes() == case.old
    assert case.litter() == []
    return outcome.finding.summary


def test_a_failed_test_of_the_configuration_puts_the_old_chain_back(
    case: Case, after: certificates.Made
) -> None:
    command = ["sh", "-c", "echo 'nginx: [emerg] broken in a.conf:3'; echo 'test failed'; exit 1"]
    case.target = msgspec.structs.replace(case.target, config_test=command)
    assert "[emerg] broken in a.conf:3; the old files are back" in put_back(case, case.run(after))
    assert case.service.reloads == 0


def test_a_failed_reload_puts_the_old_chain_back(case: Case, after: certificates.Made) -> None:
    case.service.refuses = True
    assert "systemctl failed: no" in put_back(case, case.run(after))


def test_a_service_that_keeps_the_old_chain_gets_it_back(
    case: Case, before: certificates.Made, after: certificates.Made
) -> None:
    case.service.deaf = True
    outcome = case.run(after)
    assert "serves the old one" in put_back(case, outcome)
    assert outcome is not None
    assert outcome.finding is not None
    assert outcome.finding.id == "certificate.served"
    assert outcome.finding.observed == x509.read_chain(before.pem, "it")[0].fingerprint
    assert outcome.finding.threshold == x509.read_chain(after.pem, "it")[0].fingerprint
    case.service.deaf = False
    assert case.run(after) is not None
    assert case.serves(after)


def test_a_service_without_files_has_none_again_after_a_failure(case: Case, after: certificates.Made) -> None:
    case.file.unlink()
    case.service.refuses = True
    case.run(after)
    assert not case.file.exists()
    assert case.litter() == []


def test_a_service_that_does_not_run_gets_its_files_and_no_reload(
    case: Case, after: certificates.Made
) -> None:
    case.service.runs = False
    outcome = case.run(after)
    assert outcome is not None
    assert outcome.finding is not None
    assert outcome.finding.status is Status.WARN
    assert case.file.read_bytes() == after.fullchain + after.key
    assert case.service.reloads == 0


def test_a_service_that_was_never_reloaded_is_reloaded(case: Case, after: certificates.Made) -> None:
    """As after a kill that left no snapshot, or by another's hand: the file is new and the service is not."""
    case.file.write_bytes(after.fullchain + after.key)
    assert case.run(after) is not None
    assert case.serves(after)


# Every step with an effect, in the order in which a deployment takes them.
STEPS = ["snapshot", "write", "test", "reload", "compare", "end"]


def kill_at(step: str, monkeypatch: pytest.MonkeyPatch, *, afterwards: bool) -> None:
    """Let the process die at `step`: before it has its effect, or right afterwards."""
    holders = {
        "snapshot": (journal, "begin"), "write": (state, "write"), "test": (deploy, "test_configuration"),
        "reload": (deploy, "take"), "compare": (deploy, "compare"), "end": (journal, "end"),
    }  # fmt: skip
    holder, name = holders[step]
    real = getattr(holder, name)

    def dying(*arguments, **options):
        if step == "write" and "deploying" in str(arguments[0]):
            return real(*arguments, **options)
        if afterwards:
            real(*arguments, **options)
        raise Killed

    monkeypatch.setattr(holder, name, dying)


@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_loses_nothing(
    case: Case, after: certificates.Made, step: str, afterwards: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(step, patch, afterwards=afterwards)
        with pytest.raises(Killed):
            case.run(after)
    case.run(after)
    assert case.serves(after)
    assert case.file.read_bytes() == after.fullchain + after.key
    assert case.litter() == []
    assert case.run(after) is None


def test_a_kill_between_write_and_rename_leaves_no_key_beside_the_file(
    case: Case, after: certificates.Made
) -> None:
    pid = os.fork()
    if pid == 0:  # killed for good: nothing of Python cleans up
        os.fsync = lambda _descriptor: os.kill(os.getpid(), 9)
        state.write(case.file, b"a new key")
    assert os.waitpid(pid, 0)[1] == 9
    assert len(case.litter()) == 1
    case.run(after)
    assert case.serves(after)
    assert case.litter() == []


@pytest.mark.parametrize("step", STEPS[:-1])
def test_after_a_kill_the_way_back_leads_to_what_was_before_it(
    case: Case, after: certificates.Made, step: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(step, patch, afterwards=True)
        with pytest.raises(Killed):
            case.run(after)
    healthy, case.target = case.target, msgspec.structs.replace(case.target, config_test=["false"])
    taken = case.service.served.read_bytes() != case.old
    case.run(after)
    assert case.file.read_bytes() == case.old
    assert case.litter() == []
    if not taken:
        assert case.service.served.read_bytes() == case.old
    case.target = healthy
    case.run(after)
    assert case.serves(after)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_what_a_person_put_there_after_a_kill_is_kept(
    case: Case, after: certificates.Made, step: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(step, patch, afterwards=True)
        with pytest.raises(Killed):
            case.run(after)
    bought = certificates.make("www", INTERMEDIATE, names=("www.ck.test",))
    case.file.write_bytes(bought.fullchain + bought.key)
    case.run(after)
    assert case.serves(after)
    assert any(bought.key in path.read_bytes() for path in (case.directory / "replaced").iterdir())


def test_a_snapshot_that_cannot_be_read_stops_before_anything_is_written(
    case: Case, after: certificates.Made
) -> None:
    place = journal.place(case.directory, case.wanted, case.target)
    place.parent.mkdir()
    place.write_text("{")
    with pytest.raises(CourtkeeperError, match="cannot be read: compare the service's files by hand"):
        case.run(after)
    assert case.file.read_bytes() == case.old


def test_a_disk_that_fills_up_while_writing_leaves_the_old_chain(
    case: Case, after: certificates.Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = state.write

    def full(path: Path, content: bytes, **more) -> None:
        if path == case.file and content != case.old:
            raise OSError(28, "No space left on device", str(path))
        real(path, content, **more)

    monkeypatch.setattr(state, "write", full)
    assert "No space left on device" in put_back(case, case.run(after))
