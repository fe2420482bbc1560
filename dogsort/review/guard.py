"""Who may use the server: the browser that was given the token, from the server's own page."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

HEADERS = {
    # The page needs nothing from elsewhere, and no inline script or style.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

ELSEWHERE = "the request comes from another page or host"

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")


class Guard:
    """ASGI middleware that refuses requests of strangers, and adds headers to all answers.

    Args:
        app: answers the others.
        name: the host name under which browsers reach the server, besides those for this machine.
            Any other in ``Host`` comes from a page elsewhere whose name now points to this machine
            (DNS rebinding). Ports are not compared, because ``ssh -L`` changes them.
        any_address: whether to allow numeric addresses, too; those cannot be rebound.
        port: makes the cookie's name different from those of other servers on this machine.

    Attributes:
        token: in the page's address; whoever sends it gets the cookie.
        token_for_once: another one, which works once. It goes on a browser's command line, which
            all users of the machine can read.
    """

    def __init__(self, app: ASGIApp, name: str, any_address: bool, port: int) -> None:
        self._app, self._any_address = app, any_address
        self._names = (*LOCAL_NAMES, name.lower())
        self._cookie = f"dogsort-{port}"
        self._secret = secrets.token_urlsafe()
        self.token, self.token_for_once = secrets.token_urlsafe(), secrets.token_urlsafe()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["type"] == "http":
            answer = self._own_answer(scope) or self._app
            await answer(scope, receive, send_with_headers)

    def _own_answer(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_ours(headers, scope["method"]):
            return _refusal(ELSEWHERE)
        is_elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and self._takes(token):
            answer: Response = RedirectResponse("/", 303)
            if is_elsewhere:
                # The link is in a web terminal. After a redirect from there, no cookie is sent.
                answer = Response(headers={"Refresh": "0; url=/"})
            answer.set_cookie(
                self._cookie, self._secret, path="/", httponly=True, samesite="strict"
            )
            return answer
        if is_elsewhere:
            return _refusal(ELSEWHERE)
        # Cookies of other ports arrive, too. Unlike http.cookies, this skips malformed ones.
        secret = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        if not _same(secret, self._secret):
            return _refusal("open the address that dogsort review printed")
        return None

    def _takes(self, token: str) -> bool:
        if _same(token, self.token_for_once):
            self.token_for_once = secrets.token_urlsafe()
            return True
        return _same(token, self.token)

    def _is_ours(self, headers: Headers, method: str) -> bool:
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            is_own = origin is not None and urlsplit(origin).netloc == host
        except ValueError:
            return False
        # The last part of a host name that can be rebound is never a number.
        is_address = ":" in name or name.rpartition(".")[2].isdigit()
        if name not in self._names and not (self._any_address and is_address):
            return False
        return is_own or (origin is None and method in ("GET", "HEAD"))


def _refusal(reason: str) -> Response:
    return JSONResponse({"error": reason}, 403)


def _same(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode(), expected.encode())
