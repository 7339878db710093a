"""How a run that was not stopped ended, from what it left: its return code, its events, its trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

from courtkeeper.runner import failures
from courtkeeper.runner.events import Collector
from courtkeeper.runner.options import shown
from courtkeeper.runner.record import RunStatus
from courtkeeper.runner.variables import hosts_named

if TYPE_CHECKING:
    from courtkeeper.runner.driver import Plan


def verdict(rc: int | None, trouble: str, collector: Collector, plan: Plan) -> tuple[RunStatus, str]:
    """Return how a run that was not stopped ended, and the sentence that says so (empty if all is well)."""
    root, inventory = plan.root, plan.inventory
    lost = collector.open_failures
    if lost and (rc != 0 or not collector.finished):
        configuration = all(f.configuration for f in lost)
        # What was changed before the mistake showed was done, so that run was not refused.
        touched = collector.record.changed and not plan.options.check
        status = RunStatus.REFUSED if configuration and not touched else RunStatus.FAILED
        return status, failures.sentence(lost, root, inventory)
    if trouble:
        return RunStatus.FAILED, trouble
    if rc == 0 or (rc is None and collector.finished):
        return _with_hosts(collector, plan)
    if rc == 127:
        return RunStatus.FAILED, "ansible-playbook could not be started: it is not on PATH or cannot be run."
    return _without_result(rc, collector, plan)


def _with_hosts(collector: Collector, plan: Plan) -> tuple[RunStatus, str]:
    if collector.record.host_stats:
        return RunStatus.OK, ""
    inventory, playbook = shown(plan.inventory, plan.root), shown(plan.playbook, plan.root)
    return RunStatus.REFUSED, (
        f"No host of {inventory} is one that {playbook} is for, so nothing was done: "
        f"add one to {_whom(plan)}, in {inventory}/hosts.yml."
    )


def _whom(plan: Plan) -> str:
    named = hosts_named(plan.playbook)
    if not named:
        return "the group it names"
    return ", ".join(f"the group {each}" if each.isidentifier() else each for each in named)


def _without_result(rc: int | None, collector: Collector, plan: Plan) -> tuple[RunStatus, str]:
    text = failures.start_error(collector.messages, plan.root)
    if rc is None:
        return RunStatus.FAILED, (
            "ansible-playbook was killed from outside before the play ended, "
            "perhaps by the kernel for want of memory (see dmesg)."
        )
    if "leaves us with no hosts to target" in text:
        wanted = f"--limit {plan.options.limit}" if plan.options.limit else "The playbook's hosts"
        inventory = shown(plan.inventory, plan.root)
        return RunStatus.REFUSED, f"{wanted} matches no host of {inventory}; name one of its hosts.yml."
    ran = bool(collector.record.tasks)
    internal = rc == 250 or "Unexpected Exception" in text
    status = RunStatus.FAILED if ran or internal else RunStatus.REFUSED
    return status, text or f"ansible-playbook ended with code {rc} and said nothing."
