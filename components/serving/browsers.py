"""Keeps foreign web pages away from a server: any page can send requests to any address that its reader can reach.

Decides by headers that browsers set and pages cannot: the host that was called (a page's own host name may point here),
the page that calls, and the content type (without asking the server first, a page cannot send JSON).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from components.serving.refusals import RequestError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_OWN_SITE = frozenset({"same-origin", "none", ""})


@dataclass(frozen=True)
class Names:
    """The host names that a server answers to, None for any; and the other hosts whose pages may call it."""

    own: frozenset[str] | None
    friends: frozenset[str] = frozenset()

    @classmethod
    def of(cls, host: str, named: Collection[str], *, keyed: bool) -> "Names":
        """The names of a server that listens on `host`; `named` are the hosts in its settings.

        No page has a key, so with keys and no hosts in the settings every name is accepted.
        """
        friends = frozenset(name for address in named if (name := _name(f"//{address}")))
        if keyed and not friends:
            return cls(None)
        return cls(friends | LOOPBACK | {host.strip("[]").lower()}, friends)

    def at(self, server: tuple[str, int | None] | None) -> "Names":
        """The names where a connection arrived: also by that address, which no page's host name is."""
        if self.own is None or server is None:
            return self
        return replace(self, own=self.own | {server[0].lower()})


class Guard:
    """An ASGI middleware that refuses requests that a foreign page may have sent."""

    def __init__(self, app: Any, names: Names) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on or refuse it."""
        if scope["type"] == "http":
            try:
                check(scope["method"], Headers(scope=scope), self._names.at(scope.get("server")))
            except RequestError as error:
                await JSONResponse(error.body, status_code=error.status)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def check(method: str, headers: Headers, names: Names) -> None:
    """Refuse a request by its headers.

    Raises:
        RequestError: It calls another name, comes from another site's page, or its body is not JSON.
    """
    if names.own is not None:
        called, origin = headers.get("host", ""), headers.get("origin")
        if _name(f"//{called}") not in names.own:
            raise RequestError(403, f"expected a name of this server, found {called!r:.100}", code="host")
        if (
            origin is not None
            and origin.lower().partition("//")[2] != called.lower()
            and _name(origin) not in names.friends
        ):
            raise RequestError(403, f"expected a page of this server, found one of {origin!r:.100}", code="origin")
        if origin is None and headers.get("sec-fetch-site", "") not in _OWN_SITE:
            raise RequestError(403, "expected a page of this server, found another site's", code="origin")
    if method == "POST" and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestError(415, "expected the content type application/json", code="unsupported_media_type")


def _name(origin: str) -> str | None:
    """The host in `scheme://host:port` or `//host:port`; None if there is none."""
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None
