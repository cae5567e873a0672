"""Connections: how many there may be, and how long each may take to say what it wants.

uvicorn speaks HTTP; this limits who it listens to. A connection waits while it has no request that has arrived as a
whole, and nothing is owed to it: where there are too many, the one that has waited longest has to go. So a thousand
callers who say nothing keep nobody out, and who sends a request at once is never the one to go.
"""

import asyncio
import json
import resource
import socket
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from components.errors import ConfigError
from components.params import ConnectionParams, ServingParams
from components.serving.refusals import RequestError

OTHER_FILES = 128  # that a process needs besides connections: spools, models, libraries


class Door:
    """Counts connections; `waiting` are in the order in which they began to wait."""

    def __init__(self, params: ConnectionParams, most: int) -> None:
        self.params, self._most = params, most
        self._open: set[Any] = set()
        self._waiting: dict[Any, None] = {}

    def enter(self, connection: Any) -> bool:
        """Let a new connection in, if need be for the one that has waited longest; whether there is room."""
        if len(self._open) >= self._most and self._waiting:
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            oldest.transport.abort()
        if len(self._open) >= self._most:
            return False
        self._open.add(connection)
        self._waiting[connection] = None
        return True

    def waits(self, connection: Any) -> None:
        """Nothing is owed to a connection."""
        if connection in self._open:
            self._waiting.setdefault(connection)

    def works(self, connection: Any) -> None:
        """A request of a connection is being answered."""
        self._waiting.pop(connection, None)

    def leave(self, connection: Any) -> None:
        """A connection has ended."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)


def guarded(door: Door) -> type[asyncio.Protocol]:
    """Uvicorn's protocol behind this door."""

    class Guarded(AutoHTTPProtocol):  # pyright: ignore[reportGeneralTypeIssues]
        """One connection. Of its deadlines one runs while a request arrives, one while nobody takes what is sent."""

        transport: Any
        loop: Any
        cycle: Any = None
        _deadline: asyncio.TimerHandle | None = None
        _untaken: asyncio.TimerHandle | None = None
        _header_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if door.enter(self):
                self._hurry()
            else:
                refusal = RequestError(503, "too many connections", code="overloaded", retry_after_s=1)
                transport.write(_reply("503 Service Unavailable", refusal))
                transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._in_time()
            self._taken()
            door.leave(self)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            if self._arrived:
                self._in_time()
                self._header_bytes = 0
                door.works(self)
                return
            self._hurry()
            self._header_bytes += len(data) * (not self._has_headers)
            if self._header_bytes > door.params.most_header_bytes:
                refusal = RequestError(431, "too long headers", code="headers_too_large")
                self.transport.write(_reply("431 Request Header Fields Too Large", refusal))
                self.transport.close()

        def on_response_complete(self) -> None:
            super().on_response_complete()  # pyright: ignore[reportAttributeAccessIssue]
            if not self._arrived:
                door.waits(self)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._untaken = self.loop.call_later(door.params.request_s, self._too_late)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._taken()

        @property
        def _has_headers(self) -> bool:
            """Whether a request has begun that is not answered yet."""
            return self.cycle is not None and not self.cycle.response_complete

        @property
        def _arrived(self) -> bool:
            """Whether a request has arrived as a whole that is not answered yet."""
            return self._has_headers and not self.cycle.more_body

        def _hurry(self) -> None:
            """Begin to count the time, unless it is counted already."""
            if self._deadline is None:
                self._deadline = self.loop.call_later(door.params.request_s, self._too_late)

        def _in_time(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _taken(self) -> None:
            if self._untaken is not None:
                self._untaken.cancel()
                self._untaken = None

        def _too_late(self) -> None:
            self.transport.abort()

    return Guarded


def config(app: Any, params: ServingParams, **settings: Any) -> Config:
    """Uvicorn's settings for a server: its limits, and no header of a caller believed but a trusted proxy's."""
    limits, proxies = params.connections, list(params.access.trusted_proxies)
    door = Door(limits, most_connections(limits))
    return Config(
        app,
        http=guarded(door),
        ws="none",
        timeout_keep_alive=max(1, round(limits.idle_s)),
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        server_header=False,
        access_log=False,
        **settings,
    )


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        ConfigError: Somebody listens there already, or this machine has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"--host {host} --port {port}: expected an address to listen on, found: {why}") from None


def most_connections(limits: ConnectionParams) -> int:
    """As the settings say, or as many as this process may open files; its limit is raised where that is allowed."""
    wanted = limits.most + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return limits.most if soft == resource.RLIM_INFINITY else max(1, min(limits.most, soft - OTHER_FILES))


def _reply(status: str, error: RequestError) -> bytes:
    """A whole response, for a connection that no application sees."""
    body = json.dumps(error.body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **error.headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body
