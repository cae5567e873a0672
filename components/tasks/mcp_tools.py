"""Environments that use an MCP server's tools: a process for each try over stdio, or a session over HTTP.

Decides how a server fulfils the contract of environments: its tools are offered to the agent, except those with the
contract's own names, which are called as its methods: `reset` with the columns of the row that it takes, `get_reward`,
and names with an underscore. What such a method returns is the value beside the answer's text, where a server gives
one. The only module that imports mcp, which is an extra.
"""

import json
import shlex
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from components.errors import ConfigError
from components.records import Tool
from components.tasks.environment import NOT_TOOLS, EnvironmentFailure, EnvironmentSpec, Hung
from components.tasks.schemas import refuse_bad_schemas

PREFIX = "mcp:"
LET_GO_S = 30.0  # without an answer a server is released, so that one that a try has abandoned does not stay
MOST_PAGES = 100
RESULT = "result"  # the key under which the official SDK returns what is no object


def open_mcp(address: str) -> EnvironmentSpec:
    """The environment at `mcp:` followed by a server's address, or by the command that runs one.

    Raises:
        ConfigError: The extra is not installed, the server does not answer, or it offers no tool, or a bad schema.
    """
    server = _server(address)
    try:
        session = Session(server)
    except Exception as error:  # transports' errors have no common base class
        raise ConfigError(f"agent.environment: expected an MCP server, found {_why(error)} ({address})") from error
    try:
        listed = session.tools()
    except EnvironmentFailure as error:
        raise ConfigError(f"agent.environment: expected an MCP server that lists its tools: {error}") from error
    finally:
        session.close()
    offered = tuple(each.tool for each in listed if not _is_hook(each.tool.name))
    if not offered:
        raise ConfigError(f"agent.environment: expected an MCP server with tools, found none ({address})")
    refuse_bad_schemas(offered, address)
    return EnvironmentSpec(partial(McpEnvironment, server, listed), offered, timed=True)


def _is_hook(name: str) -> bool:
    """Whether a tool is one of the contract's own methods."""
    return name in NOT_TOOLS or name.startswith("_")


def _server(address: str) -> Any:
    """What the client connects to: an address, or a command with its arguments."""
    try:
        from mcp import StdioServerParameters
    except ImportError as error:
        raise ConfigError("agent.environment: expected the extra `mcp` (pip install 'gradus[mcp]')") from error
    named = address.removeprefix(PREFIX).strip()
    if named.startswith(("http://", "https://")):
        return named
    try:
        command, *arguments = shlex.split(named)
    except ValueError as error:
        raise ConfigError(f"agent.environment: expected {PREFIX}ADDRESS or {PREFIX}COMMAND, found {address}") from error
    return StdioServerParameters(command=command, args=arguments)


@dataclass(frozen=True)
class Answer:
    """What a tool returned: its text as a model reads it, and the value beside it, None where there is none."""

    text: str
    value: Any


@dataclass(frozen=True)
class Listed:
    """A tool of a server; `wrapped` says that a value that is no object comes as the `result` of one."""

    tool: Tool
    wrapped: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of what it takes, in their order."""
        return tuple(self.tool.arguments_schema.get("properties", {}))

    def unwrapped(self, value: Any) -> Any:
        """The value as the tool's function returned it."""
        if self.wrapped and isinstance(value, dict) and value.keys() == {RESULT}:
            return value[RESULT]
        return value


def _listed(tool: Any) -> Listed:
    """A tool as the client lists it."""
    known = Tool(name=tool.name, description=tool.description or "", parameters=tool.input_schema)
    returned = tool.output_schema
    return Listed(known, wrapped=returned is None or set(returned.get("properties", ())) == {RESULT})


class Session:
    """A client of one server, callable from any thread; its event loop runs in a thread of its own."""

    def __init__(self, server: Any, seconds: float = LET_GO_S) -> None:
        """An answer may take so many seconds. Raises the transport's error if nothing answers."""
        from anyio.from_thread import start_blocking_portal
        from mcp import Client, StdioServerParameters, stdio_client

        transport = server
        if isinstance(server, StdioServerParameters):
            transport = stdio_client(server, errlog=sys.__stderr__ or sys.stderr)
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            client = Client(transport, read_timeout_seconds=seconds)
            self._client = stack.enter_context(self._portal.wrap_async_context_manager(client))
            self._held = stack.pop_all()
        self._closed = weakref.finalize(self, _close, self._held)
        self._seconds = seconds

    def tools(self) -> tuple[Listed, ...]:
        """All tools of the server.

        Raises:
            EnvironmentFailure: The server does not list them.
        """
        listed: list[Listed] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = self._ask(partial(self._client.list_tools, cursor=cursor))
            listed += map(_listed, page.tools)
            if not (cursor := page.next_cursor):
                break
        return tuple(listed)

    def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool and return its answer.

        Raises:
            Failed: The tool reports an error, or its answer is not text.
            EnvironmentFailure: The server is gone, or does not answer.
        """
        result = self._ask(partial(self._client.call_tool, name, dict(arguments)))
        texts = [block.text for block in result.content if block.type == "text"]
        strange = sorted({block.type for block in result.content} - {"text"})
        if result.is_error:
            raise Failed("\n".join(texts) or "the tool failed and did not say why")
        if strange:
            raise Failed(f"the tool returned {strange[0]}, which is no text")
        value = result.structured_content
        bare = not result.content and value is not None
        return Answer(json.dumps(value, ensure_ascii=False) if bare else "\n".join(texts), value)

    def close(self) -> None:
        """End the session, and the process behind it."""
        self._closed()

    def _ask(self, question: Callable[[], Any]) -> Any:
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        try:
            return self._portal.call(question)
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                raise Hung(f"expected the MCP server to answer within {self._seconds:g} s") from error
            if error.code == CONNECTION_CLOSED:
                raise EnvironmentFailure(f"the MCP server is gone: {error}") from error
            raise Failed(str(error)) from error
        except Exception as error:  # transports' errors have no common base class
            raise EnvironmentFailure(f"the MCP server does not answer: {_why(error)}") from error


class Failed(Exception):
    """A tool reported an error."""


class McpEnvironment:
    """One session with a server as an environment."""

    def __init__(self, server: Any, listed: Sequence[Listed], call_seconds: float) -> None:
        # Whoever waits for a call gives up first.
        self.__session = Session(server, max(LET_GO_S, call_seconds + 1))
        self.__tools = {each.tool.name: each for each in listed}

    def reset(self, **row: str) -> str | None:
        """Call the server's `reset`, if it has one, with the columns of the row that it takes."""
        reset = self.__tools.get("reset")
        if reset is None:
            return None
        answer = self.__session.call("reset", {name: row[name] for name in reset.parameters if name in row})
        value = answer.text if answer.value is None else reset.unwrapped(answer.value)
        return None if value is None else answer.text or None

    def _close(self) -> None:
        self.__session.close()

    def __getattr__(self, name: str) -> Any:
        """The tool of this name; the contract's own methods return a value."""
        if name.startswith("_McpEnvironment") or name not in self.__tools:
            raise AttributeError(name)
        if _is_hook(name):
            return partial(self.__hook, name)
        return lambda **arguments: self.__session.call(name, arguments).text

    def __hook(self, name: str, *arguments: Any) -> Any:
        hook = self.__tools[name]
        answer = self.__session.call(name, dict(zip(hook.parameters, arguments, strict=False)))
        if answer.value is None:
            return _read(answer.text, words=name == "_user")
        return hook.unwrapped(answer.value)


def _read(text: str, *, words: bool) -> Any:
    """The value that a text is the JSON of, or else the text; where words are expected, "4711" is no number."""
    if not text:
        return None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if words and not isinstance(value, str | None) else value


def _close(held: ExitStack) -> None:
    """Close a session; the transport's errors at its end are ignored."""
    with suppress(Exception):
        held.close()


def _why(error: BaseException) -> str:
    """The first cause in a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
