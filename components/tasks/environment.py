"""Environments: a user's class by TRL's contract, each instance in a thread of its own, which is abandoned if it hangs.

The contract is `reset(**row) -> str | None`; every other public method is a tool with type hints and a Google
docstring; `get_reward() -> float` is optional. Names with an underscore are ignored by plain TRL: `_state() -> dict` is
the final state, `_user(messages) -> str | None` the user's next turn (None hangs up), `_done` says that a tool has
ended the try, `_score` is the score of the turn, `_close()` releases resources.
"""

import asyncio
import importlib
import inspect
import json
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any

from components.errors import ConfigError
from components.params.agent import MCP
from components.records import Tool
from components.tasks.schemas import refuse_bad_schemas

NOT_TOOLS = ("reset", "get_reward")


class EnvironmentFailure(Exception):
    """The environment raised, hung or returned something invalid; that says nothing about the agent."""


class Hung(EnvironmentFailure):
    """The environment did not answer in time."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """A class of environments and the tools that it offers; a `timed` one is made with the seconds of a call."""

    make: Callable[..., Any]
    tools: tuple[Tool, ...]
    timed: bool = False


@lru_cache(maxsize=16)
def open_environment(address: str) -> EnvironmentSpec:
    """The environment at `module:Class` or `mcp:SERVER`; an MCP server is asked for its tools once in a process.

    Raises:
        ConfigError: There is no such environment, or it breaks the contract.
    """
    if address.startswith(MCP):
        from components.tasks.mcp_tools import open_mcp

        return open_mcp(address)
    module, _, name = address.partition(":")
    try:
        kind: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"agent.environment: expected module:Class, found {address}: {error}") from error
    return spec_of(kind, address)


def spec_of(kind: Any, address: str) -> EnvironmentSpec:
    """An environment class with its tools, which are found as TRL does.

    Raises:
        ConfigError: The class has no `reset`, no tool, or a tool without type hints, docstring or schema.
    """
    if not callable(getattr(kind, "reset", None)):
        raise ConfigError(f"agent.environment: expected a class with a method `reset`, found none ({address})")
    names = [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]
    names = [name for name in names if name not in NOT_TOOLS]
    if not names:
        raise ConfigError(f"agent.environment: expected public methods as tools, found none ({address})")
    tools = tuple(tool_of(getattr(kind, name), f"{address}.{name}") for name in names)
    refuse_bad_schemas(tools, address)
    return EnvironmentSpec(kind, tools)


def tool_of(method: Any, where: str) -> Tool:
    """A method as a tool, by its type hints and its Google docstring.

    Raises:
        ConfigError: Type hints or docstring are missing.
    """
    from transformers.utils import get_json_schema
    from transformers.utils.chat_template_utils import DocstringParsingException, TypeHintParsingException

    try:
        described: dict[str, Any] = get_json_schema(_without_self(method))["function"]
    except (DocstringParsingException, TypeHintParsingException) as error:
        raise ConfigError(f"expected a tool with type hints and a Google docstring, found {error} ({where})") from error
    return Tool(name=described["name"], description=described["description"], parameters=described["parameters"])


def _without_self(method: Any) -> Any:
    """The method bound to a dummy, so that `self` is not listed as an argument."""
    return method.__get__(object())


class EnvironmentThread:
    """Runs one environment in one thread, because what it opens may belong to a thread.

    Coroutines run in one event loop, as in TRL, and what they started goes on during the next. If a call hangs, the
    thread is abandoned, and this environment is not called again but to be released.
    """

    def __init__(self, spec: EnvironmentSpec, call_seconds: float, seconds: float) -> None:
        self._spec, self._call_seconds, self._left = spec, call_seconds, seconds
        self._asked: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._environment: Any = None
        self._runner = asyncio.Runner()  # makes its loop with the first coroutine
        self._hung = False
        threading.Thread(target=self._work, daemon=True, name="environment").start()

    def begin(self, row: Mapping[str, str]) -> str:
        """Create and reset the environment; returns its greeting.

        Raises:
            EnvironmentFailure: It fails.
        """

        def reset() -> Any:
            self._environment = self._spec.make(self._call_seconds) if self._spec.timed else self._spec.make()
            return self._environment.reset(**row)

        first = self._do("reset", reset)
        if first is not None and not isinstance(first, str):
            raise EnvironmentFailure(f"expected reset to return a text or None, found {type(first).__name__}")
        return first or ""

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool and return its result.

        Raises:
            ToolError: The tool raised.
            Hung: The tool did not return in time.
            EnvironmentFailure: The environment is gone.
        """

        def call() -> Any:
            try:
                return self._awaited(getattr(self._environment, name)(**arguments))
            except EnvironmentFailure:
                raise
            except Exception as error:
                raise ToolError(told(error)) from error

        return self._do(name, call)

    def has(self, hook: str) -> bool:
        """Whether the environment has an optional method.

        Raises:
            EnvironmentFailure: It fails.
        """
        return self._do(hook, lambda: callable(getattr(self._environment, hook, None)))

    def hook(self, name: str, *arguments: Any) -> Any:
        """The result of an optional method, or the value of an attribute; None if there is none.

        Raises:
            EnvironmentFailure: It fails.
        """

        def ask() -> Any:
            value = getattr(self._environment, name, None)
            return value(*arguments) if callable(value) else value

        return self._do(name, ask)

    def close(self) -> None:
        """Release the environment, in as much time as a call may take beside the try's; errors are ignored.

        One that hangs is not waited for: its thread releases it when it comes back.
        """
        closed: Future[Any] = Future()
        self._asked.put((self._release, closed))
        self._asked.put(None)
        if not self._hung:
            with suppress(TimeoutError):
                closed.exception(self._call_seconds)

    def _release(self) -> Any:
        close = getattr(self._environment, "_close", None)
        return close() if callable(close) else None

    def _do(self, name: str, work: Callable[[], Any]) -> Any:
        allowed, started = min(self._call_seconds, self._left), perf_counter()
        if self._hung or allowed <= 0:
            raise Hung(f"expected the environment's calls to take less time, found none left for {name}")
        future: Future[Any] = Future()
        self._asked.put((work, future))
        try:
            error = future.exception(allowed)
        except TimeoutError:
            self._hung = True
            raise Hung(f"expected {name} to return within {allowed:g} s, found no answer") from None
        finally:
            self._left -= perf_counter() - started
        if error is None:
            return future.result()
        if isinstance(error, ToolError | EnvironmentFailure):
            raise error
        raise EnvironmentFailure(f"{name} raised {told(error)}") from error

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            work, future = asked
            try:
                future.set_result(self._awaited(work()))
            except BaseException as error:  # the user's code raises anything; passed on to the caller
                future.set_exception(error)
        with suppress(BaseException):  # tasks that are cancelled now raise anything too
            self._runner.close()

    def _awaited(self, value: Any) -> Any:
        """A method's result; a coroutine is run to its end."""
        return self._runner.run(value) if inspect.iscoroutine(value) else value


def told(error: BaseException) -> str:
    """An error in words; what a user's code raises may have none."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


class ToolError(Exception):
    """A tool raised; the agent is told, and goes on."""


class NoResult(Exception):
    """A tool's result cannot be shown to a model."""


def text_of(value: Any, most_characters: int) -> str:
    """A tool's result as text: text as it is, other values as JSON.

    Raises:
        NoResult: It is neither text nor JSON, or too long.
    """
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(value).__name__
        raise NoResult(f"the tool returned a value of the type {kind}, which is neither text nor JSON") from error
    if len(text) > most_characters:
        raise NoResult(f"the tool returned {len(text):,} characters, more than {most_characters:,}")
    return text
