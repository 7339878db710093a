"""Every page over HTTP: what it shows, what it refuses, and that nothing foreign becomes part of it."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import httpx
import pytest

from courtkeeper.kpi.definitions import INDICATORS
from support.sites import HOSTILE, RUNNING, UNDOABLE, Scene

CHECKS = Scene.checks_id(3)
PAGES = (
    "/", "/calendar", "/calendar?month=2026-04&system=x", "/calendar/2026-03-03", "/calendar/2026-03-05",
    "/jobs", "/jobs/x/checks", "/jobs/x/patching", "/jobs/x/drift", "/jobs/x/reports",
    "/runs", "/runs?system=x&job=checks&status=ok", f"/runs/{CHECKS}", f"/runs/{RUNNING}",
    f"/runs/{CHECKS}/report.html", f"/runs/{CHECKS}/undo/{UNDOABLE}",
    "/findings", "/findings?state=all&finding=disk.space",
    "/findings?status=warn&system=x", "/findings/1", "/findings/2", "/kpis", "/kpis?days=90", "/audit",
)  # fmt: skip
BAD = (
    "/calendar?month=2026-13", "/calendar?month=0000-00", "/calendar?month=9999-01", "/calendar/2026-02-30",
    "/calendar/tomorrow", "/runs?status=good", "/runs?after=1-x", "/runs?after=999999999999999999-1",
    "/findings?state=none", "/runs?job=%00", f"/runs/{CHECKS}%00", "/findings?status=bad", "/kpis?days=8",
    "/kpis?system=y", "/audit?after=x",
)  # fmt: skip
MISSING = (
    "/runs/20260304T122500Z-no-0000", "/findings/999999", "/jobs/x/nothing", "/jobs/y/checks", "/nope",
    "/runs/..%2f..%2fetc%2fpasswd", "/runs/%2e%2e/%2e%2e/etc/passwd",
    "/runs/..%2f..%2fetc%2fpasswd/output.txt", "/static/x/..%2f..%2faccess.py",
    "/static/0/vendor%2fREADME.md", f"/runs/{RUNNING}/report.html", "/findings/99999999999999999999",
    f"/runs/{RUNNING}/undo/1",
)  # fmt: skip


class Tags(HTMLParser):
    """The elements of a page and what they would execute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.styles = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script":
            self.scripts.append(given.get("src"))
        self.handlers += [name for name in given if name.startswith(("on", "hx-on"))]
        self.handlers += [
            value
            for name, value in attrs
            if name in {"href", "src"} and (value or "").startswith("javascript")
        ]
        self.styles += tag == "style" or "style" in given
        if "id" in given:
            self.ids.append(given["id"] or "")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_and_runs_nothing_of_anybody_else(local, path):
    answer = local.visitor().get(path)
    assert answer.status_code == 200, answer.text[-500:]
    found = Tags(answer.text)
    assert found.handlers == []
    assert len(found.ids) == len(set(found.ids)), "an id stands twice"
    if path.endswith("report.html"):
        assert found.scripts == []
        assert "script-src" not in answer.headers["content-security-policy"]
        return
    assert all(source and source.startswith("/static/") for source in found.scripts)
    assert found.styles == 0
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_say_what_numbers_mean_and_where_they_go(local):
    def text(path: str) -> str:
        return html.unescape(local.visitor().get(path).text)

    kpis = text("/kpis")
    for each in INDICATORS:
        assert each.definition in kpis, each.title
    drift = text("/jobs/x/drift")
    assert "Tasks that would change something" in drift
    assert "How much drift would change" in drift  # the picture's own name
    checks = text("/jobs/x/checks")
    assert "nine of ten of the last 20 good runs" in checks
    assert "the night shift" in checks
    patching = text("/jobs/x/patching")
    assert "Thursdays 02:00" in patching
    assert "FREQ" not in patching
    today = text("/")
    assert "it waits for approval" in today
    assert "no scheduler has looked at it yet" in today


@pytest.mark.parametrize("path", BAD)
def test_a_bad_address_is_one_sentence(local, path):
    answer = local.visitor().get(path)
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", MISSING)
def test_what_is_not_there_is_not_found(local, path):
    answer = local.visitor().get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text
    assert local.said == []


def test_foreign_text_is_shown_as_text(local):
    page = local.visitor().get(f"/runs/{CHECKS}").text
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
    assert "49" not in re.findall(r"&amp;\D*(\d+)", page)
    plain = local.visitor().get(f"/runs/{CHECKS}/output.txt")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert HOSTILE in plain.text


def test_lists_go_on_by_key_and_show_each_run_once(local):
    visitor, path, seen = local.visitor(), "/runs", []
    for _ in range(5):
        page = visitor.get(path).text
        seen += re.findall(r'<a href="/runs/([\w-]+)">', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if not following:
            break
        path = following[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 48 + 6 + 1 + 1


def test_a_name_that_is_not_ours_is_refused(local):
    port = local.url.rsplit(":", 1)[1].strip("/")
    with httpx.Client(base_url=local.url) as client:
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.", ""):
            assert client.get("/", headers={"host": host}).status_code in {400, 421}, host
        for host in ("localhost", f"LOCALHOST:{port}", f"[::1]:{port}", "127.0.0.1:9"):
            assert client.get("/", headers={"host": host}).status_code == 200, host


def test_on_this_machine_nobody_comes_through_a_proxy(local):
    for name in ("x-forwarded-for", "forwarded", "via"):
        answer = local.visitor().get("/", headers={name: "for=10.0.0.1"})
        assert answer.status_code == 401
        assert "--trusted-proxy" in answer.text


def test_static_files_may_be_kept_and_htmx_is_as_published(local):
    import hashlib
    from pathlib import Path

    from courtkeeper import web

    visitor = local.visitor()
    for source in Tags(visitor.get("/").text).scripts:
        answer = visitor.get(source)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    vendor = Path(web.__file__).parent / "static/vendor"
    readme = (vendor / "README.md").read_text()
    for path in vendor.glob("*.js"):
        assert f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`" in readme
    assert len(list(vendor.glob("LICENSE.*"))) == 2


def test_metrics_are_readable_and_their_routes_are_ours(local):
    from prometheus_client.parser import text_string_to_metric_families

    visitor = local.visitor()
    visitor.get("/runs/whatever-anybody-asks-for")
    families = {
        family.name: family for family in text_string_to_metric_families(visitor.get("/metrics").text)
    }
    open_now = {
        (sample.labels["system"], sample.labels["status"]): sample.value
        for sample in families["courtkeeper_findings_open"].samples
    }
    assert open_now["x", "crit"] == 1
    assert families["courtkeeper_runs_running"].samples[0].value == 1
    good = {s.labels["job"]: s.value for s in families["courtkeeper_job_last_run_ok"].samples}
    assert good == {"checks": 0, "drift": 1, "patching": 0}
    routes = {sample.labels["route"] for sample in families["courtkeeper_web_request_seconds"].samples}
    assert "/runs/{run_id}" in routes
    assert not any("whatever" in route for route in routes)
