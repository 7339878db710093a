"""What stands before every page: who is asking, whether the request is his own, and what a browser may do."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from courtkeeper.web.access import Gate, Role, Who
from courtkeeper.web.sessions import LASTS_S, Sessions

MOST_BYTES = 64 * 1024
_OPEN = ("/login", "/health")  # beside /static/
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")
_HEADERS = {
    # No script, style or form of anybody else; no inline script, whatever a finding's text may hold.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: then a browser would hide the Origin of our own forms as well.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


@dataclass
class Session:
    """The browser's id; `keep` sends it back as a cookie."""

    id: str
    keep: bool = False


class Guard:
    """ASGI middleware. What it learns is in `request.state`: `who`, `session`, `csrf`, `form`."""

    def __init__(self, app: ASGIApp, gate: Gate, sessions: Sessions) -> None:
        """Stand before `app`."""
        self._app = app
        self._gate = gate
        self._sessions = sessions
        self._cookie = f"courtkeeper_{gate.access.port}"  # cookies know no ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        request = Request(scope, receive)
        session = self._session(request)
        send = self._signed(request, session, send)
        answer = self._refusal(request, session)
        if answer is None and request.method == "POST":
            body = await _body(request)
            answer = self._not_his_own(request, session, body)
            receive = _replay(body or b"")
        await (answer or self._app)(scope, receive, send)

    def _session(self, request: Request) -> Session:
        name = _cookies(request.headers).get(self._cookie, "")
        session = Session(name) if Sessions.valid(name) else Session(Sessions.new(), keep=True)
        request.state.session = session
        request.state.csrf = self._sessions.csrf(session.id)
        request.state.form = {}
        return session

    def _refusal(self, request: Request, session: Session) -> Response | None:
        """Return the answer to whom may not come in; else None."""
        access, path = self._gate.access, request.url.path
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or (access.hosts is not None and _name(hosts[0]) not in access.hosts):
            return PlainTextResponse(
                "This is not the name of this dashboard: use the one that `courtkeeper serve` says, or add "
                "this one with --name.\n",
                421,
            )
        if "\0" in path or "%00" in request.url.query:  # no text in a database can hold it
            return _say(request, 400, "There is nothing of that name.")
        request.state.who = self._who(request, session)
        if path in _OPEN or path.startswith("/static/"):
            return None
        if request.state.who is None:
            return self._unknown(request)
        if request.method == "POST" and path != "/logout" and request.state.who.role is not Role.OPERATOR:
            return _say(request, 403, "A viewer may read; this needs an operator.")
        return None

    def _who(self, request: Request, session: Session) -> Who | None:
        gate, headers = self._gate, request.headers
        peer = request.client.host if request.client else ""
        if gate.access.identity_header:
            named = gate.by_proxy(peer, headers.getlist(gate.access.identity_header))
            if named is not None:
                return named
        if gate.access.token_file is not None:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer":
                return gate.by_token(token.strip())
            digest = self._sessions.digest(session.id)
            return gate.by_digest(digest) if digest else None
        # Behind a proxy on this machine everybody would look like somebody on this machine.
        if gate.access.open and not any(name in headers for name in _FORWARDED):
            return Who("local", Role.OPERATOR)
        return None

    def _unknown(self, request: Request) -> Response:
        if self._gate.access.token_file is None:
            sentence = (
                "This request came through a proxy, and the dashboard trusts none: start it with "
                "--identity-header and --trusted-proxy, or with --token-file."
                if self._gate.access.open
                else "The reverse proxy did not say who is asking."
            )
            return _say(request, 401, sentence)
        if request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("accept", ""):
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)
        answer = _say(request, 401, "Sign in at /login, or send a token: Authorization: Bearer TOKEN.")
        answer.headers["www-authenticate"] = 'Bearer realm="courtkeeper"'
        return answer

    def _not_his_own(self, request: Request, session: Session, body: bytes | None) -> Response | None:
        """Return the answer to a request that another site may have made the browser send; else None."""
        if body is None:
            return _say(request, 413, f"That is more than {MOST_BYTES // 1024} KiB.")
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != request.headers["host"].lower()
        if foreign or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return _say(request, 403, "This came from another site, and was not done.")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.url.path.startswith("/api/"):
            # No page of another site can send this type without asking first, and nobody is told yes.
            return None if kind == "application/json" else _say(request, 415, "Send application/json.")
        if kind != "application/x-www-form-urlencoded":
            return _say(request, 415, "Send a form.")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50)
        except (ValueError, UnicodeDecodeError):
            return _say(request, 400, "That is no form.")
        request.state.form = dict(pairs)
        if not self._sessions.is_own_form(session.id, request.state.form.get("csrf", "")):
            return _say(
                request, 403, "This form is too old (the dashboard was started since): load the page again."
            )
        return None

    def _signed(self, request: Request, session: Session, send: Send) -> Send:
        """Return a `send` that adds our headers, and the cookie where it is new."""

        async def signing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                is_page = headers.get("content-type", "").startswith("text/html")
                if session.keep and (is_page or message["status"] == 303):
                    headers.append("set-cookie", self._set_cookie(request, session))
            await send(message)

        return signing

    def _set_cookie(self, request: Request, session: Session) -> str:
        peer = request.client.host if request.client else ""
        by_proxy = self._gate.trusts(peer) and request.headers.get("x-forwarded-proto") == "https"
        secure = "; Secure" if by_proxy or request.url.scheme == "https" else ""
        age = round(LASTS_S)
        return f"{self._cookie}={session.id}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"


def _say(request: Request, status: int, sentence: str) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": sentence}, status)
    return PlainTextResponse(sentence + "\n", status)


def _name(host: str) -> str:
    """Return a Host header without its port, lower-case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _cookies(headers: Headers) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", "")[:8192])
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


async def _body(request: Request) -> bytes | None:
    """Return what was sent; None for more than MOST_BYTES."""
    whole = b""
    async for part in request.stream():
        whole += part
        if len(whole) > MOST_BYTES:
            return None
    return whole


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
