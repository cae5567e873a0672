"""Guards a local server: it accepts only its own address, no foreign pages, and requires a login.

Loopback is not a security boundary: every page in the operator's browser and every user of the machine can reach it. A
foreign Host is a name that someone has pointed here (DNS rebinding), a foreign Origin is someone else's page.
"""

import base64
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

HEALTH = frozenset({"/health", "/api/health", "/api/ready"})  # they reveal only that the server is running
POLICY = {"x-frame-options": "SAMEORIGIN", "referrer-policy": "same-origin", "x-content-type-options": "nosniff"}


class Guard:
    """An ASGI middleware that checks requests.

    Args:
        app: The guarded application.
        address: Its address, such as `http://127.0.0.1:5000`: the only allowed Host and Origin.
        login: `user:password` for HTTP basic authentication; None if the application authenticates itself.
    """

    def __init__(self, app: ASGIApp, address: str, login: str | None = None) -> None:
        self._app, self._origin, self._login = app, address, login
        self._host = address.partition("://")[2]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif (refused := self._refused(scope)) is None:
            await self._app(scope, receive, _framed(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            await refused(scope, receive, send)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.getlist("host") != [self._host]:
            return _no(421, f"expected the address {self._host}, found another Host")
        if any(origin != self._origin for origin in headers.getlist("origin")):
            return _no(403, f"expected a request from http://{self._host}, found another Origin")
        if self._login is None or (scope["type"] == "http" and scope["path"] in HEALTH):
            return None
        if not _proves(headers.get("authorization", ""), self._login):
            challenge = {"www-authenticate": 'Basic realm="gradus", charset="UTF-8"'}
            return _no(401, "expected the user and password that `gradus up` or `gradus ui` named", challenge)
        return None


def _proves(authorization: str, login: str) -> bool:
    """Whether a header has the login, compared in constant time."""
    expected = "basic " + base64.b64encode(login.encode()).decode()
    scheme, _, token = authorization.partition(" ")
    return secrets.compare_digest(f"{scheme.lower()} {token}".encode(), expected.encode())


def _no(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{why}\n", status, headers)


def _framed(send: Send) -> Send:
    """Add headers so that other pages cannot frame responses, and browsers do not guess their types."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in POLICY.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
