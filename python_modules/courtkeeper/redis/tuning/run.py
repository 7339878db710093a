"""The whole of a tuning: find the servers, end what was begun, plan for all, change one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import msgspec

from courtkeeper.findings import (
    ConfigurationError,
    CourtkeeperError,
    Finding,
    Result,
    by_severity,
    counted,
)
from courtkeeper.redis.check import check
from courtkeeper.redis.rule import choose
from courtkeeper.redis.server import ServerSettings
from courtkeeper.redis.tuning import report
from courtkeeper.redis.tuning.change import Outcome, Tools, change, keep, undo
from courtkeeper.redis.tuning.journal import Entry, Journal
from courtkeeper.redis.tuning.node import Node
from courtkeeper.redis.tuning.normalise import same
from courtkeeper.redis.tuning.plan import Change, Plan, as_diff, memory_problem, plan
from courtkeeper.redis.tuning.probe import ask
from courtkeeper.redis.tuning.settings import TuningSettings
from courtkeeper.redis.tuning.topology import topology

Progress = Callable[[int, int, str], None]


def tune(
    server: ServerSettings,
    told: TuningSettings,
    *,
    check_mode: bool = False,
    progress: Progress = lambda _done, _total, _text: None,
    tools: Tools | None = None,
) -> Result:
    """Look at the servers (`mode: check`), or give them the values that are wanted, each only if it is well.

    Nothing is changed before every node is known to take its part. With `check_mode` nothing is changed at
    all, and `actions` and `diff` say what would be. Raises ConfigurationError where nothing was changed and
    the request or a server has to be mended, CourtkeeperError with what was done before it failed.
    """
    began = time.monotonic()
    result = Result()
    with topology(server, told) as nodes:
        if told.mode == "check":
            _check(nodes, told, result, progress)
        else:
            _apply(nodes, told, result, check_mode=check_mode, progress=progress, tools=tools or Tools())
        result.metrics["nodes"] = len(nodes)
    result.metrics["duration_s"] = round(time.monotonic() - began, 3)
    return result


def plan_for(node: Node, told: TuningSettings, now: dict[str, str]) -> Plan:
    """Return what would be changed on a node and what it would not take, after asking the node itself.

    Raises ConfigurationError, one sentence, where a single value cannot be: an unknown or immutable
    parameter, one that the build refuses, a maxmemory below what is used.
    """
    single, profiled = told.told(), told.profiled()
    if single or profiled:
        node.must_be_tunable()
    made = plan(now, single, profiled, node.where)
    problem = memory_problem(made.changes, node.used_memory(), node.where)
    if problem and not told.allow_eviction:
        raise ConfigurationError(problem)
    answer = ask(node, made.changes)
    for one in answer.restart:
        if one.told and told.mode == "apply":
            raise ConfigurationError(report.immutable(node, one))
    for one, why in answer.refused:
        if one.told:
            raise ConfigurationError(
                f"the server {node.where} refuses {one.name} {one.after or repr('')}: {why}"
            )
    return Plan(
        changes=answer.possible,
        restart=answer.restart,
        unsupported=(*made.unsupported, *((one.name, why) for one, why in answer.refused)),
    )


def _check(nodes: Sequence[Node], told: TuningSettings, result: Result, progress: Progress) -> None:
    rules = choose(thresholds=told.thresholds)
    journal = Journal(told.state_directory)
    plans = {}
    for node in nodes:
        checked = check(node.settings, rules, progress=progress)
        result.findings += checked.findings
        result.metrics["checks"] = result.metrics.get("checks", 0) + checked.metrics["checks"]
        if entry := journal.find(node.where, node.server.run_id):
            result.findings.append(report.pending(entry))
        plans[node.where] = plan_for(node, told, node.config())
        result.findings += report.differences(node, plans[node.where])
        result.findings += report.advice(node, told, {})
    result.details["tuning"] = {"nodes": [report.detail(n, plans[n.where], None) for n in nodes]}
    result.findings = by_severity(result.findings)
    result.msg = f"{report.servers(len(nodes))}: {counted(result.findings)}"


def _apply(
    nodes: Sequence[Node],
    told: TuningSettings,
    result: Result,
    *,
    check_mode: bool,
    progress: Progress,
    tools: Tools,
) -> None:
    journal = Journal(told.state_directory)
    places = [node.where for node in nodes]
    with nullcontext() if check_mode else journal.locked(places):
        try:
            configs = {node.where: _recovered(node, journal, result, check_mode) for node in nodes}
            plans = {node.where: plan_for(node, told, configs[node.where]) for node in nodes}
            _must_persist(nodes, plans, told)
            result.diff = as_diff(plans)
            for node in nodes:
                made = plans[node.where]
                result.findings += report.beside(node, made)
                result.findings += [] if made.changes or made.restart else [report.as_wanted(node)]
                result.findings += report.advice(node, told, plans)
            if check_mode:
                _foretell(nodes, plans, told, result)
            else:
                _change_all(nodes, plans, told, result, progress, tools)
        except CourtkeeperError as error:
            error.partial = error.partial or (result if result.changed else None)
            raise


def _recovered(node: Node, journal: Journal, result: Result, check_mode: bool) -> dict[str, str]:
    """End what an earlier run left on a node; return its values then. In check mode: as they would be."""
    entry = journal.find(node.where, node.server.run_id)
    if entry is None:
        return node.config()
    if check_mode:
        result.findings.append(report.pending(entry))
        result.actions.append(report.pending_action(entry))
        result.changed = True
        now = node.config()
        if entry.step == "trying" and entry.run_id == node.server.run_id:
            now |= {c.name: c.before for c in entry.changes if same(c.name, now.get(c.name, ""), c.after)}
        return now
    finding, changed = _recover(node, entry, journal)
    result.findings.append(finding)
    result.actions.append(f"{node.where}: {finding.applied}")
    result.changed = result.changed or changed
    return node.config()


def _recover(node: Node, entry: Entry, journal: Journal) -> tuple[Finding, bool]:
    if entry.run_id != node.server.run_id:
        now = node.config(c.name for c in entry.changes)
        journal.forget(entry.where)
        remaining = [c.name for c in entry.changes if now.get(c.name) == c.after]
        return report.restarted(entry, remaining), False
    if entry.step == "keeping":
        now = node.config(c.name for c in entry.changes)
        if all(same(c.name, now.get(c.name, ""), c.after) for c in entry.changes):
            return report.finished(entry, written=keep(node, entry, journal)), True
        journal.forget(entry.where)
        return report.moved(entry), False
    undone = undo(node, entry, journal)
    return report.recovered(entry, undone), bool(undone.back)


def _must_persist(nodes: Sequence[Node], plans: dict[str, Plan], told: TuningSettings) -> None:
    for node in nodes:
        if told.persist and plans[node.where].changes and not node.server.config_file:
            raise ConfigurationError(
                f"the server {node.where} was started without a file, so that nothing set now survives a "
                "restart: start it with one, or say that this is all right (persist: false)"
            )


def _foretell(nodes: Sequence[Node], plans: dict[str, Plan], told: TuningSettings, result: Result) -> None:
    for node in nodes:
        result.actions += [f"{node.where}: set {one}" for one in plans[node.where].changes]
        if plans[node.where].changes and told.persist:
            result.actions.append(f"{node.where}: CONFIG REWRITE, if it is none the worse for it")
    number = sum(len(p.changes) for p in plans.values())
    result.changed = result.changed or number > 0
    result.details["tuning"] = {"nodes": [report.detail(n, plans[n.where], None) for n in nodes]}
    result.metrics["parameters_changed"] = 0
    result.msg = f"would set {report.parameters(number)} on {report.servers(len(nodes))}" if number else _SAME


_SAME = "every server has the values that are wanted"


def _change_all(
    nodes: Sequence[Node],
    plans: dict[str, Plan],
    told: TuningSettings,
    result: Result,
    progress: Progress,
    tools: Tools,
) -> None:
    """Change one node after another, and stop at the first that is the worse for it."""
    due = [node for node in nodes if plans[node.where].changes]
    outcomes: dict[str, Outcome] = {}
    details = {"nodes": [report.detail(n, plans[n.where], None) for n in nodes]}
    result.details["tuning"] = details
    for done, node in enumerate(due):
        changes = plans[node.where].changes
        telling = msgspec.structs.replace(tools, tell=lambda text, done=done: progress(done, len(due), text))
        outcome = outcomes[node.where] = change(node, changes, told, telling)
        _note(node, changes, outcome, told, result)
        details["nodes"] = [report.detail(n, plans[n.where], outcomes.get(n.where)) for n in nodes]
        if not outcome.kept:
            if untouched := [n.where for n in due[done + 1 :]]:
                result.findings.append(report.stopped(node, untouched))
            break
        progress(done + 1, len(due), f"{node.where} is changed")
    kept = [where for where, outcome in outcomes.items() if outcome.kept and not outcome.same]
    result.metrics["nodes_changed"] = len(kept)
    result.metrics["parameters_changed"] = sum(len(plans[where].changes) for where in kept)
    result.msg = _sentence(outcomes, result)


def _note(
    node: Node, changes: tuple[Change, ...], outcome: Outcome, told: TuningSettings, result: Result
) -> None:
    if outcome.same:
        result.findings.append(report.ineffective(node, changes))
        return
    if outcome.kept:
        result.changed = True
        result.actions += [f"{node.where}: set {one}" for one in changes]
        result.actions += [f"{node.where}: CONFIG REWRITE"] if outcome.rewritten else []
        result.findings.append(report.applied(node, changes, outcome))
        result.findings += report.unjudged(node, outcome)
        if not told.persist:
            result.findings.append(report.not_persistent(node))
        return
    names = ", ".join(str(one) for one in changes)
    result.actions.append(f"{node.where}: tried {names}, and took it back")
    result.findings.append(report.regressed(node, changes, outcome))


def _sentence(outcomes: dict[str, Outcome], result: Result) -> str:
    back = [where for where, outcome in outcomes.items() if not outcome.kept]
    if back:
        return f"the change made {back[0]} worse and was taken back there"
    number = int(result.metrics["parameters_changed"])
    if number:
        return f"{report.parameters(number)} set on {report.servers(int(result.metrics['nodes_changed']))}"
    return "what an earlier run had begun is ended; " + _SAME if result.changed else _SAME
