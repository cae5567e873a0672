"""Environments that use an MCP server's tools: a process for each try over stdio, or a session over HTTP.

Decides how a server fulfils the contract of environments: its tools are offered to the agent, except those with the
contract's own names, which are called as its methods: `reset` with the columns of the row that it takes, `get_reward`,
and names with an underscore. The only module that imports mcp, which is an extra.
"""

import json
import shlex
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from components.errors import ConfigError
from components.records import Tool
from components.tasks.environment import NOT_TOOLS, EnvironmentFailure, EnvironmentSpec, Hung

PREFIX = "mcp:"
MOST_S = 30.0  # for one answer, so that a server that a try has abandoned is released in the end
MOST_PAGES = 100


def open_mcp(address: str) -> EnvironmentSpec:
    """The environment at `mcp:` followed by a server's address, or by the command that runs one.

    Raises:
        ConfigError: The extra is not installed, the server does not answer, or it offers no tool.
    """
    server = _server(address)
    try:
        session = Session(server)
    except Exception as error:  # transports' errors have no common base class
        raise ConfigError(f"agent.environment: expected an MCP server, found {_why(error)} ({address})") from error
    try:
        tools = session.tools()
    except EnvironmentFailure as error:
        raise ConfigError(f"agent.environment: expected an MCP server that lists its tools: {error}") from error
    finally:
        session.close()
    offered = tuple(tool for tool in tools if tool.name not in NOT_TOOLS and not tool.name.startswith("_"))
    if not offered:
        raise ConfigError(f"agent.environment: expected an MCP server with tools, found none ({address})")
    return EnvironmentSpec(partial(McpEnvironment, server, tools), offered)


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


class Session:
    """A client of one server, callable from any thread; its event loop runs in a thread of its own."""

    def __init__(self, server: Any) -> None:
        """Raises the transport's error if nothing answers."""
        from anyio.from_thread import start_blocking_portal
        from mcp import Client, StdioServerParameters, stdio_client

        transport = server
        if isinstance(server, StdioServerParameters):
            transport = stdio_client(server, errlog=sys.__stderr__ or sys.stderr)
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            client = Client(transport, read_timeout_seconds=MOST_S)
            self._client = stack.enter_context(self._portal.wrap_async_context_manager(client))
            self._held = stack.pop_all()
        self._closed = weakref.finalize(self, _close, self._held)

    def tools(self) -> tuple[Tool, ...]:
        """All tools of the server.

        Raises:
            EnvironmentFailure: The server does not list them.
        """
        listed: list[Tool] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = self._ask(partial(self._client.list_tools, cursor=cursor))
            listed += [
                Tool(name=tool.name, description=tool.description or "", parameters=tool.input_schema)
                for tool in page.tools
            ]
            if not (cursor := page.next_cursor):
                break
        return tuple(listed)

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Call a tool and return its answer as text.

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
        if not result.content and result.structured_content is not None:
            return json.dumps(result.structured_content, ensure_ascii=False)
        return "\n".join(texts)

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
                raise Hung(f"expected the MCP server to answer within {MOST_S:g} s") from error
            if error.code == CONNECTION_CLOSED:
                raise EnvironmentFailure(f"the MCP server is gone: {error}") from error
            raise Failed(str(error)) from error
        except Exception as error:  # transports' errors have no common base class
            raise EnvironmentFailure(f"the MCP server does not answer: {_why(error)}") from error


class Failed(Exception):
    """A tool reported an error."""


class McpEnvironment:
    """One session with a server as an environment."""

    def __init__(self, server: Any, tools: Sequence[Tool]) -> None:
        self.__session = Session(server)
        self.__tools = {tool.name: tool for tool in tools}

    def reset(self, **row: str) -> str | None:
        """Call the server's `reset`, if it has one, with the columns of the row that it takes."""
        tool = self.__tools.get("reset")
        if tool is None:
            return None
        taken = tool.parameters.get("properties", {})
        return self.__session.call("reset", {name: text for name, text in row.items() if name in taken}) or None

    def _close(self) -> None:
        self.__session.close()

    def __getattr__(self, name: str) -> Any:
        """The tool of this name; the contract's own methods return their answer as a JSON value."""
        if name.startswith("_McpEnvironment") or name not in self.__tools:
            raise AttributeError(name)
        if name in NOT_TOOLS or name.startswith("_"):
            return partial(self.__hook, name)
        return lambda **arguments: self.__session.call(name, arguments)

    def __hook(self, name: str, *arguments: Any) -> Any:
        named = dict(zip(self.__tools[name].parameters.get("properties", {}), arguments, strict=False))
        text = self.__session.call(name, named)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text


def _close(held: ExitStack) -> None:
    """Close a session; the transport's errors at its end are ignored."""
    with suppress(Exception):
        held.close()


def _why(error: BaseException) -> str:
    """The first cause in a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
