"""Limits connections: how many there may be, and how long a request may take to arrive.

uvicorn speaks HTTP; this limits whom it serves. A connection waits while it has sent no complete request and no answer
is due: if there are too many connections, the one that has waited longest is closed. So a thousand silent callers keep
nobody out, and a caller who sends a request at once is never closed.
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

OTHER_FILES = 128  # open files that a process needs besides connections: spools, models, libraries
MOST_AHEAD = 64  # requests that one connection may send before it has the answer to the first
PIECE = 8_192  # bytes that are parsed before limits are looked at again


class Door:
    """Counts connections, and keeps the waiting ones in the order in which they began to wait."""

    def __init__(self, params: ConnectionParams, most: int) -> None:
        self.params, self._most = params, most
        self._open: set[Any] = set()
        self._waiting: dict[Any, None] = {}

    def enter(self, connection: Any) -> bool:
        """Admit a connection, if need be in place of the one that has waited longest; returns whether there is room."""
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
        """Note that a connection waits: no answer is due."""
        if connection in self._open:
            self._waiting.setdefault(connection)

    def works(self, connection: Any) -> None:
        """Note that a connection's request is being answered."""
        self._waiting.pop(connection, None)

    def leave(self, connection: Any) -> None:
        """Note that a connection has ended."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)


def guarded(door: Door) -> type[asyncio.Protocol]:
    """Uvicorn's protocol class, with connections limited by a door."""

    class Guarded(AutoHTTPProtocol):  # pyright: ignore[reportGeneralTypeIssues]
        """One connection, with deadlines for a request to arrive and for its client to take what is sent."""

        transport: Any
        loop: Any
        cycle: Any = None
        _deadline: asyncio.TimerHandle | None = None
        _untaken: asyncio.TimerHandle | None = None
        _reads_headers = False  # or waits for them; never with h11, which limits them itself
        _header_bytes = 0  # of headers that have not ended
        _field_bytes = 0
        pipeline: Any = ()

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._reads_headers = hasattr(self, "parser")
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
            for start in range(0, len(data), PIECE):
                self._take(data[start : start + PIECE])

        def _take(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            self._header_bytes += len(data) * self._reads_headers
            super().data_received(data)
            if len(self.pipeline) > MOST_AHEAD:
                self.transport.abort()
                return
            if self._arrived:
                self._in_time()
                door.works(self)
            else:
                self._hurry()
            if self._header_bytes > door.params.most_header_bytes:
                self._refuse_headers()

        def on_message_begin(self) -> None:
            super().on_message_begin()  # pyright: ignore[reportAttributeAccessIssue]
            self._field_bytes = 0

        def on_header(self, name: bytes, value: bytes) -> None:
            """A header, or a trailer behind a body in chunks, which the parser adds to the headers."""
            super().on_header(name, value)  # pyright: ignore[reportAttributeAccessIssue]
            self._field_bytes += len(name) + len(value)
            if self._field_bytes > door.params.most_header_bytes:
                self._refuse_headers()

        def on_headers_complete(self) -> None:
            super().on_headers_complete()  # pyright: ignore[reportAttributeAccessIssue]
            self._reads_headers, self._header_bytes = False, 0

        def on_message_complete(self) -> None:
            super().on_message_complete()  # pyright: ignore[reportAttributeAccessIssue]
            self._reads_headers, self._header_bytes = True, 0
            self._in_time()

        def _refuse_headers(self) -> None:
            """Refuse the request that is being read; without a word where its client would take that for another's."""
            if self.transport.is_closing():
                return
            if self._has_headers if self._reads_headers else self.pipeline or self.cycle.response_started:
                self.transport.abort()
                return
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
            """Whether a request's headers have arrived and it is not answered yet."""
            return self.cycle is not None and not self.cycle.response_complete

        @property
        def _arrived(self) -> bool:
            """Whether a complete request has arrived and is not answered yet."""
            return self._has_headers and not self.cycle.more_body

        def _hurry(self) -> None:
            """Start the deadline for a request to arrive, unless it is running."""
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
    """Uvicorn's settings for a server: its limits; only trusted proxies may name other callers."""
    limits, proxies = params.connections, list(params.access.trusted_proxies)
    door = Door(limits, most_connections(limits))
    return Config(
        app,
        http=guarded(door),
        ws="none",
        h11_max_incomplete_event_size=limits.most_header_bytes,
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
        ConfigError: The address is taken, or this machine does not have it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"--host {host} --port {port}: expected an address to listen on, found: {why}") from None


def most_connections(limits: ConnectionParams) -> int:
    """The most connections: as the settings say, or fewer if this process may not open so many files.

    Raises the process's limit of open files if that is allowed.
    """
    wanted = limits.most + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return limits.most if soft == resource.RLIM_INFINITY else max(1, min(limits.most, soft - OTHER_FILES))


def _reply(status: str, error: RequestError) -> bytes:
    """A complete HTTP response, for a connection that does not reach the application."""
    body = json.dumps(error.body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **error.headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body
