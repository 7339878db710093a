"""What people can do, by forms and by the API: who may, what is refused, and what the audit log says."""

from __future__ import annotations

import stat
from datetime import timedelta

import httpx
import pytest

from courtkeeper.web import tokens
from courtkeeper.web.access import Access, Gate, Role, Who
from courtkeeper.web.app import build
from support.sites import NOW, RUNNING, SYSTEM, Scene


def audit(scene: Scene) -> list[tuple[str, str, str]]:
    return [(row.who, row.what, row.subject) for row in scene.store.people.audit(limit=500).rows]


def test_approve_hold_release_run_and_cancel_by_forms(local):
    visitor, store = local.visitor(), local.scene.store
    due = "2026-03-05T02:00:00.000000Z"
    for word in ("approved", "approved-before"):
        answer = visitor.do("approve", page="/", system=SYSTEM, job="patching", scheduled_for=due)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/?said={word}"
    assert "Approved by local" in visitor.get("/calendar/2026-03-05").text
    visitor.do("hold", system=SYSTEM, job="checks", reason="a release", hours="2")
    hold = store.people.holds(system=SYSTEM)[-1]
    assert (hold.job, hold.by, hold.until) == ("checks", "local", NOW + timedelta(hours=2))
    assert "a release" in visitor.get("/jobs/x/checks").text
    assert visitor.do("release", hold=str(hold.id)).headers["location"].endswith("?said=released")
    assert visitor.do("run", system=SYSTEM, job="checks", check="true").headers["location"].endswith("=asked")
    assert visitor.do("run", system=SYSTEM, job="checks").headers["location"].endswith("=asked-before")
    (asked,) = [slot for slot in store.slots.open() if slot.trigger == "request"]
    assert '"check":true' in asked.options
    assert "Asked for" in visitor.get("/jobs/x/checks?said=asked").text
    assert visitor.do("cancel", slot=str(asked.id)).headers["location"].endswith("=cancelled")
    assert visitor.do("cancel", slot=str(asked.id)).headers["location"].endswith("=over")
    assert visitor.do("cancel", run_id=RUNNING).headers["location"].endswith("=cancelling")
    assert store.people.cancellations([RUNNING]) == {RUNNING: "local"}
    said = [what for who, what, _ in audit(local.scene) if who == "local"]
    assert said == ["cancel", "cancel", "run", "release", "hold", "approve"]


@pytest.mark.parametrize(
    ("verb", "form", "sentence"),
    [
        ("approve", {"job": "checks", "scheduled_for": "2026-03-04T13:00:00Z"}, "needs no approval"),
        ("approve", {"job": "patching", "scheduled_for": "2026-03-05T02:01:00Z"}, "has no slot at"),
        ("approve", {"job": "patching", "scheduled_for": "2026-02-26T02:00:00Z"}, "has no slot at"),
        ("approve", {"job": "patching", "scheduled_for": "2026-03-05T02:00:00"}, "needs its zone"),
        ("approve", {"job": "patching", "scheduled_for": "soon"}, "scheduled_for"),
        ("run", {"job": "patching"}, "stops or restarts"),
        ("run", {"job": "nothing"}, "no job"),
        ("run", {"system": "y", "job": "checks"}, "no system"),
        ("hold", {"hours": "-1"}, "hours"),
        ("hold", {"hours": "nan"}, "hours"),
        ("hold", {"reason": "x" * 501}, "reason"),
        ("release", {"hold": "x", "system": ""}, "hold"),
        ("cancel", {"system": ""}, "either run_id or slot"),
        ("cancel", {"system": "", "slot": "99999"}, "no such slot"),
        ("cancel", {"system": "", "run_id": "nope"}, "no such run"),
        ("run", {"job": "checks", "extra": "1"}, "extra"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(local, verb, form, sentence):
    visitor, before = local.visitor(), audit(local.scene)
    answer = visitor.do(verb, **{"system": SYSTEM, **form})
    assert answer.status_code == 400
    assert sentence in answer.text
    assert audit(local.scene) == before


def test_a_form_of_another_site_does_nothing(local):
    visitor, before = local.visitor(), audit(local.scene)
    form = {"csrf": visitor.csrf("/jobs/x/checks"), "system": SYSTEM, "job": "reports"}
    other = local.visitor()
    other.get("/")
    for sent in (
        visitor.post("/do/run", {**form, "csrf": ""}),
        visitor.post("/do/run", {**form, "csrf": "0" * 64}),
        visitor.post("/do/run", form, origin="http://evil.example"),
        visitor.post("/do/run", form, origin="null"),
        visitor.post("/do/run", form, origin=local.url.strip("/").replace("http", "https") + ".evil.example"),
        visitor.post("/do/run", form, **{"sec-fetch-site": "cross-site"}),
        visitor.post("/do/run", form, **{"sec-fetch-site": "same-site"}),
        other.post("/do/run", form),  # somebody else's word
        httpx.post(f"{local.url}do/run", data=form),  # no cookie
    ):
        assert sent.status_code == 403, sent.text
    assert visitor.client.get("/do/run").status_code == 405
    api = f"{local.url}api/v1/run"
    plain = {"system": SYSTEM, "job": "reports"}
    assert httpx.post(api, json=plain, headers={"origin": "http://evil.example"}).status_code == 403
    text = {"content-type": "text/plain"}
    assert httpx.post(api, content=b'{"system":"x","job":"reports"}', headers=text).status_code == 415
    assert httpx.options(api, headers={"origin": "http://evil.example"}).status_code in {403, 405}
    assert audit(local.scene) == before


def test_a_form_leads_back_to_us_and_nowhere_else(local):
    visitor = local.visitor()
    for back in (
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\r\nx: y",
        "",
    ):
        answer = visitor.do("release", hold="1000", back=back)
        assert answer.headers["location"] == "/?said=released-before", back
    kept = visitor.do("release", hold="1000", back="/runs?job=checks&said=asked")
    assert kept.headers["location"] == "/runs?job=checks&said=released-before"


def test_too_much_is_not_taken(local):
    visitor = local.visitor()
    big = {"csrf": visitor.csrf("/jobs/x/checks"), "reason": "x" * 100_000}
    assert visitor.post("/do/hold", big).status_code == 413
    many = "&".join(f"a{n}=1" for n in range(200))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert visitor.client.post("/do/hold", content=many, headers=headers).status_code == 400


def test_without_a_token_nothing_is_shown(guarded):
    visitor = guarded.visitor()
    for path in ("/", "/runs", f"/runs/{RUNNING}/output.txt", f"/runs/{RUNNING}/live", "/kpis?days=30"):
        answer = visitor.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=/")
    for path in ("/api/v1/runs", "/metrics", "/api/openapi.json"):
        answer = httpx.get(guarded.url + path.strip("/"), headers={"authorization": "Bearer wrong"})
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["www-authenticate"]
    assert httpx.post(f"{guarded.url}api/v1/run", json={"system": SYSTEM, "job": "checks"}).status_code == 401
    assert visitor.get("/health").status_code == 200
    assert "nothing here" in visitor.sign_in("wrong").text
    assert visitor.get("/login?next=//evil.example").text.count("evil.example") == 0


def test_a_viewer_reads_and_an_operator_decides(guarded):
    viewer, operator = guarded.visitor(), guarded.visitor()
    before = operator.csrf("/login")
    cookie = dict(operator.client.cookies)
    assert viewer.sign_in(guarded.tokens["vic"]).status_code == 303
    assert operator.sign_in(guarded.tokens["ann"]).status_code == 303
    assert dict(operator.client.cookies) != cookie, "a session begins under a new id"
    page = viewer.get("/jobs/x/checks").text
    assert "vic, viewer" in page
    assert "Run now" not in page
    assert "<button>Hold" not in page
    form = {"csrf": viewer.csrf("/"), "system": SYSTEM, "job": "checks"}
    assert viewer.post("/do/run", form).status_code == 403
    assert operator.post("/do/run", {**form, "csrf": before}).status_code == 403
    assert operator.do("run", system=SYSTEM, job="checks").status_code == 303
    assert ("ann", "run", "checks") in audit(guarded.scene)
    assert ("ann", "login", "") in audit(guarded.scene)
    assert operator.post("/logout", {"csrf": operator.csrf("/")}).status_code == 303
    assert operator.get("/").status_code == 303
    assert viewer.get("/").status_code == 200


def test_the_api_knows_roles_and_says_what_is_wrong(guarded):
    def ask(who: str, path: str, body: object | None = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {guarded.tokens[who]}"}
        where = f"{guarded.url}api/v1/{path}"
        return (
            httpx.get(where, headers=headers)
            if body is None
            else httpx.post(where, json=body, headers=headers)
        )

    listed = ask("vic", "runs?limit=3&job=checks").json()
    assert len(listed["rows"]) == 3
    assert (
        ask("vic", f"runs?limit=3&job=checks&after={listed['next']}").json()["rows"][0] not in listed["rows"]
    )
    assert ask("vic", f"runs/{RUNNING}").json()["row"]["status"] == "running"
    assert ask("vic", f"runs/{RUNNING}/output").json()[0]["seq"] == 0
    assert ask("vic", "findings/1").json()["times"]
    assert [row["job"] for row in ask("vic", "jobs").json()] == ["checks", "drift", "patching", "reports"]
    span = "start=2026-03-04T00:00:00Z&end=2026-03-06T00:00:00Z"
    both = ask("vic", f"calendar?{span}").json()
    assert both["slots"]
    assert {each["job"] for each in both["coming"]} == {"checks", "drift", "patching", "reports"}
    assert ask("vic", "run", {"system": SYSTEM, "job": "checks"}).status_code == 403
    assert ask("ann", "hold", {"system": SYSTEM, "job": "checks"}).json() == {"result": "held"}
    for path in ("runs?limit=0", "runs?limit=x", "runs?color=red", "runs?status=good", "runs?after=q",
                 "findings?open=2", "findings?status=warn&open=false", "calendar",
                 "calendar?start=2026-03-04&end=x",
                 "calendar?start=2026-03-04T00:00:00Z&end=2036-03-04T00:00:00Z"):  # fmt: skip
        answer = ask("vic", path)
        assert answer.status_code == 400, path
        assert answer.json()["error"], path
    for body in ({}, [], "x", {"system": SYSTEM, "job": 3}, {"system": SYSTEM, "job": "checks", "more": 1}):
        assert ask("ann", "run", body).status_code == 400


def test_what_is_taken_out_of_the_token_file_opens_nothing_any_more(tmp_path):
    scene, file = Scene(tmp_path), tmp_path / "tokens"
    token = tokens.add(file, "bob", "operator")
    tokens.add(file, "eve", "viewer")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in file.read_text()
    gate = Access(token_file=file).check()
    assert gate.by_token(token) == Who("bob", Role.OPERATOR)
    lines = [line for line in file.read_text().splitlines() if not line.startswith("bob")]
    file.write_text("\n".join(lines) + "\n")
    assert gate.by_token(token) is None
    assert gate.by_digest(tokens.digest_of(token)) is None
    file.chmod(0o644)
    assert gate.tokens.find_digest(tokens.digest_of(token)) is None
    scene.store.close()


def test_a_token_is_nowhere_but_with_its_owner(guarded):
    operator = guarded.visitor()
    operator.sign_in(guarded.tokens["ann"])
    pages = [operator.get(path).text for path in ("/", "/audit", "/metrics", "/runs")]
    everything = "".join(pages) + "".join(guarded.said) + repr(audit(guarded.scene))
    everything += "".join(path.read_text() for path in [guarded.scene.root / "tokens"])
    everything += (guarded.scene.root / "store.sqlite").read_bytes().decode("latin-1")
    for token in guarded.tokens.values():
        assert token not in everything
    set_cookie = operator.sign_in(guarded.tokens["ann"]).headers["set-cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Lax" in set_cookie
    assert guarded.tokens["ann"] not in set_cookie


class Client:
    """A connection from an address of our choice, which a real socket cannot have."""

    def __init__(self, scene: Scene, gate: Gate, peer: str) -> None:
        transport = httpx.ASGITransport(app=build(scene.site, gate), client=(peer, 1234))
        self.client = httpx.AsyncClient(transport=transport, base_url="https://ops.example")

    def get(self, **headers: str) -> httpx.Response:
        import asyncio

        return asyncio.run(self.client.get("/audit", headers=headers))


def test_only_the_trusted_proxy_may_name_somebody(tmp_path):
    scene = Scene(tmp_path)
    gate = Access(
        host="0.0.0.0", identity_header="X-Remote-User", trusted_proxies=("10.1.0.0/24",),  # noqa: S104
        operators=frozenset({"ann"}),
    ).check()  # fmt: skip
    near, far = Client(scene, gate, "10.1.0.7"), Client(scene, gate, "10.2.0.7")
    assert "ann, operator" in near.get(**{"x-remote-user": "ann"}).text
    assert "bob, viewer" in near.get(**{"x-remote-user": "bob"}).text
    assert "&lt;b&gt;, viewer" in near.get(**{"x-remote-user": "<b>"}).text
    assert near.get().status_code == 401
    assert near.get(**{"x-remote-user": ""}).status_code == 401
    assert far.get(**{"x-remote-user": "ann"}).status_code == 401
    assert far.get(**{"x-remote-user": "ann", "x-forwarded-for": "10.1.0.7"}).status_code == 401
    assert "Secure" in Client(scene, gate, "10.1.0.7").get(**{"x-remote-user": "ann"}).headers["set-cookie"]
    scene.store.close()
