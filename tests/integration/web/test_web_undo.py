"""Taking back what a run did from its page: who may, what is run, how it ends, and what the log says."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from courtkeeper.runner import processes
from courtkeeper.store.rows import ActionRow
from courtkeeper.undo import ways_back
from courtkeeper.web.undoing import Undoing
from support.records import found, record
from support.sites import NOW, SYSTEM, Scene

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))
from runner_checkout import until

# Ended by nothing but its end.
ENDLESS = f"courtkeeper serve -i {SYSTEM} --no-web"


def keep(scene: Scene, number: int, *undos: str) -> tuple[str, list[ActionRow]]:
    """A run that did one thing for each way back; its id and its actions."""
    at = NOW - timedelta(minutes=number)
    run_id = f"{at:%Y%m%dT%H%M%SZ}-reports-{number:04x}"
    did = [found(f"thing {n}", "ok", applied=f"did thing {n}", undo=undo) for n, undo in enumerate(undos)]
    done = record(number, did, job="reports", started_at=at, finished_at=at, run_id=run_id,
                  inventory=f"inventory/{SYSTEM}")  # fmt: skip
    scene.store.recording.finish(done)
    page = scene.store.queries.run_page(run_id)
    assert page is not None
    return run_id, [action for action in page.actions if action.undo]


def said(scene: Scene, run_id: str) -> list[tuple[str, str]]:
    """What the audit log has of a run, the latest first."""
    rows = scene.store.people.audit(limit=100).rows
    return [(row.who, row.what) for row in rows if row.subject == run_id]


def test_an_operator_reads_what_is_run_and_takes_it_back(local):
    scene, visitor = local.scene, local.visitor()
    run_id, (first, index) = keep(scene, 1, "courtkeeper --version", "DROP INDEX x;")
    page = visitor.get(f"/runs/{run_id}").text
    assert f"/runs/{run_id}/undo/{first.id}" in page
    assert f"/runs/{run_id}/undo/{index.id}" not in page  # for a person at the database
    assert "in the database, by db1" in page
    asked = visitor.get(f"/runs/{run_id}/undo/{first.id}").text
    assert "<code>courtkeeper --version</code>" in asked
    assert "One thing was done after it" in asked
    form = {"run_id": run_id, "action": str(first.id)}
    refused = visitor.do("undo", page=f"/runs/{run_id}/undo/{first.id}", **form)
    assert (refused.status_code, "confirm that" in refused.text) == (400, True)
    assert said(scene, run_id) == []
    done = visitor.do("undo", page=f"/runs/{run_id}/undo/{first.id}", **form, confirmed="true")
    assert (done.status_code, done.headers["location"][-8:]) == (303, "=undoing")
    until(lambda: said(scene, run_id) == [("local", "undo"), ("local", "undo-begun")])
    until(lambda: scene.site.undoing.attempt(first.id) is None)
    assert "by local" in visitor.get(f"/runs/{run_id}").text
    assert visitor.get(f"/runs/{run_id}/undo/{first.id}").status_code == 404
    for action, sentence in ((first, "no action"), (index, "do it in the database, by db1: DROP INDEX x;")):
        again = visitor.do(
            "undo", page="/jobs/x/checks", run_id=run_id, action=str(action.id), confirmed="true"
        )
        assert (again.status_code, sentence in again.text) == (400, True), again.text


def test_what_could_not_be_taken_back_says_why(local):
    scene, visitor = local.scene, local.visitor()
    run_id, (bad, long) = keep(scene, 2, "courtkeeper history no-such-run", ENDLESS)
    place = f"/runs/{run_id}/undo"
    visitor.do("undo", run_id=run_id, action=str(bad.id), confirmed="true")
    until(lambda: visitor.get(f"{place}/{bad.id}/state").status_code == 286)
    why = visitor.get(f"{place}/{bad.id}/state").text
    assert "ended with code 2: courtkeeper: " in why
    assert "no-such-run" in why
    assert f"{place}/{bad.id}" in why  # it can be tried again
    until(lambda: said(scene, run_id) == [("local", "undo-failed"), ("local", "undo-begun")])
    for word in ("undoing", "undoing-before"):
        answer = visitor.do("undo", run_id=run_id, action=str(long.id), confirmed="true")
        assert answer.headers["location"].endswith(f"={word}")
    assert visitor.get(f"{place}/{long.id}/state").status_code == 204
    assert "Being taken back" in visitor.get(f"/runs/{run_id}").text


def test_a_viewer_takes_nothing_back(guarded):
    run_id, (action,) = keep(guarded.scene, 3, "courtkeeper --version")
    viewer = guarded.visitor()
    viewer.sign_in(guarded.tokens["vic"])
    assert f"/undo/{action.id}" not in viewer.get(f"/runs/{run_id}").text
    place = f"/runs/{run_id}/undo/{action.id}"
    assert 'action="/do/undo"' not in viewer.get(place).text
    form = {"csrf": viewer.csrf("/"), "run_id": run_id, "action": str(action.id), "confirmed": "true"}
    assert viewer.post("/do/undo", form).status_code == 403
    operator = guarded.visitor()
    operator.sign_in(guarded.tokens["ann"])
    assert 'action="/do/undo"' in operator.get(place).text
    assert operator.post("/do/undo", {**form, "csrf": "0" * 64}).status_code == 403
    assert said(guarded.scene, run_id) == []


def test_a_dashboard_that_stops_leaves_nothing_behind(tmp_path):
    scene = Scene(tmp_path)
    run_id, actions = keep(scene, 4, ENDLESS)
    (way,) = ways_back(actions)
    undoing = Undoing(scene.store, scene.root, lambda: NOW)
    assert undoing.begin(way, scene.site.calendars.inventories[SYSTEM], "ann")
    started = eventually(lambda: processes.of_run(scene.root / "var/undo" / str(way.number)))
    undoing.stop()
    now = processes.table()
    assert not [each for each in started if now.get(each.pid) == each]
    attempt = undoing.attempt(way.number)
    assert attempt is not None
    assert attempt.trouble == "It was broken off: the dashboard was stopped."
    assert said(scene, run_id) == [("ann", "undo-failed"), ("ann", "undo-begun")]
    assert not undoing.begin(way, scene.site.calendars.inventories[SYSTEM], "ann")
    scene.store.close()


def eventually(look: Callable[[], set[processes.Process]]) -> set[processes.Process]:
    """What `look` sees once it sees something."""
    end = time.monotonic() + 120
    while not (seen := look()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
    return seen
