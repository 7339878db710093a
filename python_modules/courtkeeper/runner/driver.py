"""One run from request to record: checks, locks, ansible-runner in a thread, and the end of it.

The thread that calls `run` supervises: it reads the events, watches the clock and the request to cancel, and
ends the run's processes itself. ansible-runner's own cancel and timeout kill a process group only, which
leaves Ansible's workers and their children alive.
"""

from __future__ import annotations

import os
import queue
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from courtkeeper.findings import ConfigurationError
from courtkeeper.runner import arguments, environment, options, processes, store
from courtkeeper.runner.events import Collector
from courtkeeper.runner.observer import Observer
from courtkeeper.runner.options import RunOptions, shown
from courtkeeper.runner.processes import Cancellation
from courtkeeper.runner.progress import Progress, ProgressFile
from courtkeeper.runner.record import RunRecord, RunStatus
from courtkeeper.runner.secrets import Redactor, VariablesPipe, as_yaml, load_secrets, looks_secret, one_line
from courtkeeper.runner.variables import check_role_variables
from courtkeeper.runner.verdict import verdict

if TYPE_CHECKING:
    from ansible_runner.config.runner import RunnerConfig

_TICK_S = 0.1
# What ansible-runner adds to the environment and needs; all else that it copies from ours is dropped.
_RUNNERS_OWN = (
    "ANSIBLE_CALLBACK_PLUGINS",
    "ANSIBLE_STDOUT_CALLBACK",
    "ANSIBLE_RETRY_FILES_ENABLED",
    "AWX_ISOLATED_DATA_DIR",
    "RUNNER_OMIT_EVENTS",
    "RUNNER_ONLY_FAILED_EVENTS",
)

ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class CompletedRun:
    """A run that ended, however: its record, its directory, and its report if one was written."""

    record: RunRecord
    directory: Path
    report: Path | None = None
    report_error: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request that passed every check."""

    options: RunOptions
    root: Path
    playbook: Path
    inventory: Path
    secrets: dict[str, Any]
    redact: Redactor
    day: str | None
    path: str


def utc_now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


def run(
    request: RunOptions,
    *,
    clock: Callable[[], datetime] = utc_now,
    on_progress: ProgressCallback | None = None,
    cancel: Cancellation | None = None,
    observer: Observer | None = None,
) -> CompletedRun:
    """Run a job and return what came of it, written to `var/runs/<run id>/run.json`.

    `observer` hears of its beginning, of each line that it prints, and of its end; no secret reaches it.

    Raises ConfigurationError when the request is wrong (nothing was started, nothing is written), and
    CourtkeeperError when the job is already running on that inventory or the run cannot be recorded.
    What goes wrong after that is in the record.
    """
    plan = _check(request, clock())
    with store.only_one(plan.root, plan.inventory, request.job):
        store.reconcile(plan.root, clock())
        started = clock().astimezone(UTC)
        run_dir = store.new_run_dir(plan.root, request.run_id or store.new_run_id(request.name, started))
        record = RunRecord(
            run_id=run_dir.name,
            job=request.name,
            playbook=request.job,
            inventory=shown(plan.inventory, plan.root),
            arguments=arguments.of_request(request, plan.inventory, plan.day, plan.redact),
            check=request.check,
            started_at=started,
        )
        heard = observer or Observer()
        with store.room_for(run_dir, plan.root), store.driving(run_dir):
            record.write(run_dir)
            heard.began(record)
            _Supervisor(plan, record, run_dir, on_progress, cancel or Cancellation(), heard).run()
            record.finished_at = max(clock().astimezone(UTC), started)
            try:
                record.write(run_dir)
            finally:  # where its own disk is full, the store may be on another
                heard.ended(record)
        return _with_report(record, run_dir, wanted=request.report)


def _check(request: RunOptions, now: datetime) -> Plan:
    root = request.root.resolve()
    playbook = options.find_playbook(root, request.job)
    inventory = options.find_inventory(root, request.inventory)
    options.check_extra_vars(request.extra_vars)
    check_role_variables(request.extra_vars, root, playbook)
    if request.timeout_s is not None and not request.timeout_s > 0:  # also not a number
        raise ConfigurationError(f"A time limit of {request.timeout_s:g} s leaves no time: give more than 0.")
    if request.limit is not None and not request.limit.strip():
        raise ConfigurationError("--limit is empty: name a host or a group of the inventory.")
    day = options.parse_day(request.day, now).isoformat() if request.day is not None else None
    secrets = load_secrets(root, inventory, request.secrets_file)
    given = {name: value for name, value in request.extra_vars.items() if looks_secret(name, value)}
    _, path = environment.ansible_playbook(os.environ)
    return Plan(
        options=request,
        root=root,
        playbook=playbook,
        inventory=inventory,
        secrets=secrets,
        redact=Redactor({"file": secrets, "given": given}),
        day=day,
        path=path,
    )


def _with_report(record: RunRecord, run_dir: Path, *, wanted: bool) -> CompletedRun:
    if not wanted:
        return CompletedRun(record, run_dir)
    try:
        from courtkeeper.report import write_report

        return CompletedRun(record, run_dir, write_report(record, run_dir))
    except Exception as error:  # noqa: BLE001 - the run is over and recorded: no page can change its outcome
        return CompletedRun(record, run_dir, report_error=one_line(f"{type(error).__name__}: {error}"))


class _Supervisor:
    """One run while it runs."""

    def __init__(
        self,
        plan: Plan,
        record: RunRecord,
        run_dir: Path,
        on_progress: ProgressCallback | None,
        cancel: Cancellation,
        observer: Observer,
    ) -> None:
        self.plan = plan
        self.observer = observer
        self.record = record
        self.run_dir = run_dir
        self.private = run_dir / store.PRIVATE
        self.cancel = cancel
        self.on_progress = on_progress
        self.redact = plan.redact
        self.collector = Collector(record)
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.stopping = threading.Event()  # nothing more is to be started
        self.ended = threading.Event()  # what was started has been ended
        self.rc: int | None = None
        self.trouble = ""
        self.shown = Progress()
        self.progress_file = ProgressFile(self.private / "progress.jsonl")

    def run(self) -> None:
        """Run to the end and set the record's status and message."""
        began = time.monotonic()
        limit = self.plan.options.timeout_s
        deadline = began + limit if limit else None
        variables = VariablesPipe(self.private / "variables", as_yaml(self._variables()))
        thread = threading.Thread(target=self._execute, name="courtkeeper-runner", daemon=True)
        with self._output() as keep, variables:
            thread.start()
            try:
                stopped = self._watch(thread, deadline, keep)
                seconds = time.monotonic() - began
                self._drain(keep)
                left = self._sweep(thread, stopped)
            except BaseException:
                # Whatever ends this thread early (a KeyboardInterrupt, a broken callback) ends the run too.
                self._stop(thread)
                raise
            self._drain(keep)
        self._judge(stopped, left, seconds)

    def _variables(self) -> dict[str, Any]:
        plan = self.plan
        variables: dict[str, Any] = dict(plan.options.extra_vars)
        variables["courtkeeper_progress_file"] = str(self.private / "progress.jsonl")
        if plan.day is not None:
            variables["courtkeeper_date"] = plan.day
        if plan.secrets:
            variables["courtkeeper_secrets"] = plan.secrets
        return variables

    @contextmanager
    def _output(self) -> Iterator[Callable[[str], None]]:
        """Keep what ansible-playbook prints, for whoever looks closer, in a file only this user reads."""
        handle = os.open(self.run_dir / "output.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

        def keep(text: str) -> None:
            line = text.replace("\r", "")
            with suppress(OSError):  # a full disk is no reason to end a job half-way
                os.write(handle, f"{line}\n".encode(errors="replace"))
            self.observer.printed(line)

        try:
            yield keep
        finally:
            os.close(handle)

    # The thread of ansible-runner

    def _execute(self) -> None:
        try:
            self._run_ansible()
        finally:
            self.events.put({})  # whoever waits for an event hears that there is none to come

    def _run_ansible(self) -> None:
        try:
            # The package first: only that waits until another run's thread has imported it whole.
            import ansible_runner  # noqa: F401
            import pexpect
            from ansible_runner.config.runner import RunnerConfig as Config
            from ansible_runner.runner import Runner

            from courtkeeper.runner import terminal
        except ImportError as error:
            mend = "run `pip install -e '.[driver]'` in the checkout"
            self.trouble = f"ansible-runner cannot be imported ({error}): {mend}."
            return
        try:
            config = Config(**self._runner_arguments())
            config.prepare()
            self._confine(config)
            # A cancel_callback is always passed: without one ansible-runner takes our signal handlers away.
            runner = Runner(config, event_handler=self._enqueue, cancel_callback=self.ended.is_set)
            if self.stopping.is_set():
                return
            terminal.use()
            runner.run()
            self.rc = runner.rc
        except pexpect.TIMEOUT:
            # ansible-playbook ended, but something it started holds its terminal: the events say the rest.
            return
        except Exception as error:  # noqa: BLE001 - a thread has no caller: the record says what happened
            self.trouble = f"ansible-runner failed: {one_line(str(error)) or type(error).__name__}"

    def _runner_arguments(self) -> dict[str, Any]:
        plan = self.plan
        arguments = ["-e", f"@{environment.only_while_we_live(self.private / 'variables')}"]
        arguments += ["--check"] if plan.options.check else []
        arguments += ["--diff"] if plan.options.diff else []
        return {
            "private_data_dir": str(self.private),
            "project_dir": str(plan.root),
            "playbook": shown(plan.playbook, plan.root),
            "inventory": str(plan.inventory),
            "limit": plan.options.limit,
            "cmdline": shlex.join(arguments),
            "ident": "ansible",
            "quiet": True,
        }

    def _confine(self, config: RunnerConfig) -> None:
        """Replace what ansible-runner prepared where it would keep or pass on too much."""
        given = environment.scrubbed(
            os.environ, root=self.plan.root, run_dir=self.run_dir, private=self.private, path=self.plan.path
        )
        config.env = {**given, **{name: config.env[name] for name in _RUNNERS_OWN if name in config.env}}
        config.suppress_output_file = True
        config.pexpect_timeout = 0.5  # how often it asks whether to cancel; its default is 5 s

    def _enqueue(self, event: dict[str, Any]) -> bool:
        self.events.put(event)
        return False  # no file per event

    # The thread that called run()

    def _watch(
        self, thread: threading.Thread, deadline: float | None, keep: Callable[[str], None]
    ) -> RunStatus | None:
        """Wait for the run's end; return why it must be stopped, or None if it ended by itself."""
        while thread.is_alive():
            if self.cancel.requested.is_set():
                return RunStatus.CANCELLED
            if deadline is not None and time.monotonic() >= deadline:
                return RunStatus.TIMEOUT
            with suppress(queue.Empty):
                event = self.events.get(timeout=_TICK_S)
                self._take(event, keep)
                if not event:  # the thread's last word
                    thread.join(_TICK_S)
            self._tell()
        return None

    def _take(self, event: dict[str, Any], keep: Callable[[str], None]) -> None:
        clean = self.redact.event(event)
        if clean.get("stdout"):
            keep(str(clean["stdout"]))
        self.collector.take(clean)

    def _drain(self, keep: Callable[[str], None]) -> None:
        with suppress(queue.Empty):
            while True:
                self._take(self.events.get_nowait(), keep)

    def _tell(self) -> None:
        if self.on_progress is None:
            return
        step = self.progress_file.latest()
        now = self.shown
        if (self.collector.task, self.collector.host) != (now.task, now.host):
            now = Progress(self.collector.task, self.collector.host)
        if step is not None:
            done, total, text = step
            now = Progress(now.task, now.host, done, total, self.redact.text(text))
        if now != self.shown:
            self.shown = now
            self.on_progress(now)

    def _sweep(self, thread: threading.Thread, stopped: RunStatus | None) -> list[int]:
        """End the run's processes when it was stopped, and also when ansible-playbook died under it."""
        if stopped is None and self.collector.finished:
            return []
        return self._stop(thread)

    def _stop(self, thread: threading.Thread) -> list[int]:
        """End the run's processes until ansible-runner's thread is over too; return those that are left."""
        self.stopping.set()
        give_up_at = time.monotonic() + self.plan.options.grace_s + 15.0
        while True:
            _, left = processes.end_run(
                self.run_dir,
                first=self.collector.pids,
                grace_s=self.plan.options.grace_s,
                at_once=self.cancel.at_once,
            )
            self.ended.set()
            thread.join(timeout=0.2)
            # While the thread lives it may just be starting ansible-playbook: look again.
            if not thread.is_alive() or time.monotonic() > give_up_at:
                return left

    def _judge(self, stopped: RunStatus | None, left: list[int], seconds: float) -> None:
        record = self.record
        if stopped is None:
            record.status, message = verdict(self.rc, self.trouble, self.collector, self.plan)
        else:
            record.status, message = stopped, self._stop_message(stopped, seconds)
        if left:
            message += f" These processes could not be ended: {', '.join(map(str, left))}."
        record.message = self.redact.text(message)

    def _stop_message(self, stopped: RunStatus, seconds: float) -> str:
        task = self.collector.task
        during = f", during '{task}' on {self.collector.host}" if task else ", before its first task"
        if stopped is RunStatus.TIMEOUT:
            return f"Stopped at its time limit of {self.plan.options.timeout_s:g} s{during}."
        return f"Cancelled {self.cancel.reason} after {seconds:.1f} s{during}."
