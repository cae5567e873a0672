"""Completions by any OpenAI-compatible API, many at a time.

Decides the pace, how failures are handled and what is read from a response. Retries are the client's own: exponential
backoff from 0.5 to 8 s with jitter, or as long as the server says. The key is read from the environment, and kept out
of every message. All engines' requests are sent by one thread, over connections that are kept.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from weakref import WeakKeyDictionary, finalize

from tqdm import tqdm

from components.engines.base import Calls, ChatRequest, Listeners, Sampling, failed, seed_of
from components.engines.calling import TurnWriter
from components.engines.parting import Parting
from components.engines.thinking import AnswerFilter, answer_of
from components.errors import EngineError, UnreachableError
from components.params import ApiParams
from components.records import Completion, Usage, encodable

if TYPE_CHECKING:
    import httpx
    from openai import AsyncOpenAI

OnText = Callable[[str], None]
Result = TypeVar("Result")
NO_KEY = "none"
STREAMED = "text/event-stream"
SENT_AT = "gradus.sent_at"  # of a request's extensions: when an attempt was sent, by time.perf_counter
MOST_STOPS = 4  # of one request, as OpenAI's API has it; answers are cut at the others by whoever asks
LOOK_S = 0.2  # after so long it is looked again whether somebody still waits for an answer
REFUSALS = 4  # so many requests, and as many as are sent at once, must be refused before every other one is taken to be
_WHOLE = ("stop", "tool_calls", "function_call", "eos", "eos_token", "stop_sequence", "end_turn", "tool_use")
_CUT = ("length", "max_tokens", "model_length", "model_context_window_exceeded")
_LATER = (401, 402, 404, 408, 409, 429)  # statuses, with 5xx, for which the request is not to blame


@dataclass(frozen=True)
class Line:
    """What the sending thread has of an engine: its client, and as many slots as requests are sent at once."""

    client: "AsyncOpenAI"
    slots: asyncio.Semaphore


class Withheld(ValueError):
    """The API answered without a text, by a filter of its own."""


class OpenAIEngine:
    """A model behind an API. Several threads may call it; together they keep its limits.

    `latency_ms` is the time from sending the attempt that succeeded to the end of its response, without the wait for a
    free slot and earlier attempts. `usage` is what the API reports.
    """

    def __init__(self, model: str, params: ApiParams, parting: Parting | None = None) -> None:
        """`parting` keeps what is sent from being read as the model's control tokens, where these are known."""
        self.model, self.params, self._key = model, params, key_of(params)
        self._parting = parting or Parting()

    @property
    def at_once(self) -> int:
        """How many requests are sent at the same time."""
        return self.params.concurrency

    @property
    def calls_tools(self) -> bool:
        """Whether the settings say that the API calls tools."""
        return self.params.tools

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        """Answer every request: `n` completions in a row for each, by one API call each, in the order of the requests.

        Raises:
            EngineError: Not one request was answered, or the API forbids this one.
            UnreachableError: The same where the requests are not to blame: no connection, no time, an unknown key.
        """
        return self.stream(requests, sampling, {})

    def stream(self, requests: list[ChatRequest], sampling: Sampling, listeners: Listeners) -> list[Completion]:
        """Like `generate`, but calls listeners with their completion's text as it arrives.

        Raises:
            EngineError: Not one request was answered, or the API forbids this one.
            UnreachableError: The same where the requests are not to blame: no connection, no time, an unknown key.
        """
        answers = _send(self._answer_all(requests, sampling, {} if "stream" in self.params.omit else listeners))
        if answers and all(answer.error is not None for answer in answers):
            kind = UnreachableError if any(answer.away for answer in answers) else EngineError
            raise kind(f"expected answers from {self.model}, found {len(answers):,} failures: {answers[0].error}")
        return answers

    async def _answer_all(
        self, requests: list[ChatRequest], sampling: Sampling, listeners: Listeners
    ) -> list[Completion]:
        line, reached, refused = self._line(), False, set[str]()
        most_refused = min(max(REFUSALS, self.at_once), len(requests))
        total = len(requests) * sampling.n
        with tqdm(total=total, desc=self.model, unit="answer", disable=total == 1) as bar:

            async def answer(request: ChatRequest, sample: int, on_text: OnText | None) -> Completion:
                nonlocal reached
                within_s = self.params.within_s
                # Of a single request somebody waits for the answer, and for its slot; a batch waits for itself.
                in_all, in_slot = (within_s, None) if len(requests) == 1 else (None, within_s)
                try:
                    async with asyncio.timeout(in_all), line.slots, asyncio.timeout(in_slot):
                        body = self._body(request, sampling, sample)
                        completion = await self._wanted(line.client, request, body, on_text)
                except TimeoutError:
                    completion = failed(request, f"expected an answer within {within_s:g} s, found none", away=True)
                except EngineError as error:
                    refused.add(request.example_id)
                    if not reached and len(refused) >= most_refused:
                        raise
                    completion = failed(request, str(error), away=isinstance(error, UnreachableError))
                reached = reached or completion.error is None
                bar.update()
                return completion

            return await _all(
                [
                    answer(request, sample, listeners.get(at * sampling.n + sample))
                    for at, request in enumerate(requests)
                    for sample in range(sampling.n)
                ]
            )

    def _line(self) -> Line:
        """This engine's line, opened with its first request and closed with the engine."""
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        if self not in _lines:
            # The hooks run for every attempt, so that retries keep the pace as well.
            pace = Pace(self.params.requests_per_minute)
            hooks = {"request": [pace.wait], "response": [partial(_whole, self.params.timeout_s)]}
            client = AsyncOpenAI(
                api_key=self._key,
                base_url=self.params.base_url,
                timeout=self.params.timeout_s,
                max_retries=self.params.max_retries,
                http_client=DefaultAsyncHttpxClient(event_hooks=hooks, timeout=self.params.timeout_s),
            )
            _lines[self] = Line(client, asyncio.Semaphore(self.params.concurrency))
            finalize(self, _close, client, asyncio.get_running_loop())
        return _lines[self]

    def _body(self, request: ChatRequest, sampling: Sampling, sample: int) -> dict[str, Any]:
        seed = seed_of(request, sampling, sample)
        settings = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": seed}
        return {
            "model": self.model,
            "messages": [self._parting.message(message.openai) for message in request.messages],
            **({"stop": list(request.stops[:MOST_STOPS])} if request.stops and "stop" not in self.params.omit else {}),
            self.params.limit_field: sampling.max_new_tokens,
            **{name: value for name, value in settings.items() if name not in self.params.omit},
            **({"response_format": response_format(sampling.answer_schema)} if sampling.answer_schema else {}),
            **(self._parting(offered(sampling.calls)) if sampling.calls else {}),
            "extra_body": self.params.extra_body or None,
        }

    async def _wanted(
        self, client: "AsyncOpenAI", request: ChatRequest, body: dict[str, Any], on_text: OnText | None
    ) -> Completion:
        """One completion; of one that nobody waits for any more what was told, uncounted, without the connection."""
        if (unwanted := request.unwanted) is None:
            return await self._answer(client, request, body, on_text)
        told, started = list[str](), time.perf_counter()

        def hear(text: str) -> None:
            told.append(text)
            if on_text is not None:
                on_text(text)

        answer = asyncio.ensure_future(self._answer(client, request, body, hear if on_text else None))
        try:
            while not unwanted():
                if (await asyncio.wait((answer,), timeout=LOOK_S))[0]:
                    return await answer
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
        nothing, took_ms = Usage(input_tokens=0, output_tokens=0), (time.perf_counter() - started) * 1e3
        return _completion(request, "".join(told), nothing, took_ms, "length")

    async def _answer(
        self, client: "AsyncOpenAI", request: ChatRequest, body: dict[str, Any], on_text: OnText | None
    ) -> Completion:
        """One completion; where it has no text because of `stop` it is asked for again without, and cut afterwards.

        An API may refuse the field, or meet a stop within a thought, of which nothing was shown.

        Raises:
            EngineError: The API forbids it, perhaps as it would every other one.
            UnreachableError: The same for an unknown key or model.
        """
        completion = await self._asked(client, request, body, on_text)
        if "stop" in body and not completion.text and not completion.away:
            free = {name: value for name, value in body.items() if name != "stop"}
            completion = await self._asked(client, request, free, on_text)
        return completion

    async def _asked(
        self, client: "AsyncOpenAI", request: ChatRequest, body: dict[str, Any], on_text: OnText | None
    ) -> Completion:
        """One completion; a failed one says why.

        Raises:
            EngineError: The API forbids it, perhaps as it would every other one.
            UnreachableError: The same for an unknown key or model.
        """
        from httpx import HTTPError
        from openai import APIStatusError, AuthenticationError, NotFoundError, OpenAIError, PermissionDeniedError

        try:
            if on_text is not None:
                return await self._streamed(client, request, body, on_text)
            raw = await client.chat.completions.with_raw_response.create(**body)
            return read_reply(request, raw.parse(), raw.elapsed.total_seconds() * 1e3)
        except (AuthenticationError, NotFoundError, PermissionDeniedError) as error:
            kind = UnreachableError if error.status_code in _LATER else EngineError
            raise kind(f"expected an API that serves {self.model}, found {self._explain(error)}") from None
        except APIStatusError as error:
            return failed(request, self._explain(error), away=error.status_code in _LATER or error.status_code >= 500)
        except Withheld as error:
            return failed(request, str(error))
        except (OpenAIError, HTTPError, ValueError, TimeoutError) as error:  # HTTPError: a stream broke
            return failed(request, self._explain(error), away=True)

    async def _streamed(
        self, client: "AsyncOpenAI", request: ChatRequest, body: dict[str, Any], on_text: OnText
    ) -> Completion:
        """One completion, whose answer is passed on as it arrives.

        Raises:
            ValueError: The stream is not one of a chat completion, or has no end or no usage, or was broken off.
            Withheld: The API withheld the answer.
            TimeoutError: It did not end in time after it had begun.
        """
        asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        asked["extra_headers"] = {"Accept": STREAMED}
        shown, pieces, reason, used = AnswerFilter(on_text), list[str](), None, None
        writer = TurnWriter()
        raw: Any = await client.chat.completions.with_raw_response.create(**body, **asked)
        async with asyncio.timeout(self.params.timeout_s), raw.parse() as stream:
            async for chunk in stream:
                piece, ended, counted = read_chunk(chunk, writer)
                reason, used = ended or reason, counted or used
                if piece is not None:
                    pieces.append(piece)
                    shown(piece)
        if ends := writer.close():
            pieces.append(ends)
            shown(ends)
        milliseconds = (time.perf_counter() - raw.http_request.extensions[SENT_AT]) * 1e3
        if reason is None:
            raise ValueError("expected a streamed answer with its end, found none")
        ended = how_ended("".join(pieces) if pieces else None, reason)
        if used is None:
            raise ValueError(f"expected a streamed answer with its usage, found none (finish_reason {reason})")
        return _completion(request, "".join(pieces), used, milliseconds, ended)

    def _explain(self, error: Exception) -> str:
        """A library's message without the key, which some servers repeat."""
        message = (encodable(str(error)).strip().splitlines() or [""])[0] or type(error).__name__
        return message.replace(self._key, "…") if self._key != NO_KEY else message


async def _whole(timeout_s: float, response: "httpx.Response") -> None:
    """Read a whole response within the time limit, which the client applies only to each read; a stream is left."""
    from httpx import ReadTimeout

    if response.request.headers.get("accept") == STREAMED:
        return
    try:
        async with asyncio.timeout(timeout_s):
            await response.aread()
    except TimeoutError:
        raise ReadTimeout("no whole answer in time", request=response.request) from None


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """The `response_format` that holds an answer to a schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def offered(calls: Calls) -> dict[str, Any]:
    """The fields of a request that say which tools may or must be called; none where there are no tools."""
    if not calls.tools:
        return {}
    choice: Any = "auto"
    if calls.most == 0:
        choice = "none"
    elif calls.least:
        alone = len(calls.names) == 1
        choice = {"type": "function", "function": {"name": calls.names[0]}} if alone else "required"
    single = {"parallel_tool_calls": False} if calls.most == 1 else {}
    return {"tools": [tool.openai for tool in calls.tools], "tool_choice": choice, **single}


class Pace:
    """Spaces starts evenly: at most `per_minute` in any minute; None sets no limit."""

    def __init__(self, per_minute: float | None) -> None:
        self.gap_s = 60 / per_minute if per_minute else 0.0
        self.next_s = 0.0
        self._turn = asyncio.Lock()

    async def wait(self, request: "httpx.Request") -> None:
        """Sleep until it is this request's turn, and note when it was. Who gives up while waiting takes no turn."""
        if self.gap_s:
            async with self._turn:
                now = asyncio.get_running_loop().time()
                turn = max(now, self.next_s)
                await asyncio.sleep(turn - now)
                self.next_s = turn + self.gap_s
        request.extensions[SENT_AT] = time.perf_counter()


def read_reply(request: ChatRequest, reply: Any, latency_ms: float) -> Completion:
    """The API's reply as a completion; calls of tools stand in its text, as engines here write them.

    Raises:
        ValueError: It is no chat completion, has no usage, or was broken off.
        Withheld: The API withheld the answer.
    """
    try:
        choice, used, writer = reply.choices[0], reply.usage, TurnWriter()
        text, reason = _encodable(choice.message.content), choice.finish_reason
        calls = [_read_call(call.function) for call in choice.message.tool_calls or ()]
        usage = Usage(input_tokens=used.prompt_tokens, output_tokens=used.completion_tokens)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ValueError(f"expected a chat completion with its usage, found {str(reply)[:200]!r}") from None
    written = "".join(writer.call(number, *call) for number, call in enumerate(calls)) + writer.close()
    ended = how_ended(text if text is not None else written or None, reason or "stop")
    return _completion(request, (text or "") + written, usage, latency_ms, ended)


def how_ended(text: str | None, reason: str) -> Literal["stop", "length"]:
    """Whether an answer is whole or cut. One that was cut may have no text: that of a thought is kept back.

    Raises:
        ValueError: It was broken off, or ended for an unknown reason.
        Withheld: There is no text, or a filter's.
    """
    said = str(reason).lower()
    if said in _CUT:
        return "length"
    if said == "content_filter" or (text is None and said in _WHOLE):
        raise Withheld(f"expected an answer in text, found none (finish_reason {reason})")
    if said not in _WHOLE:
        raise ValueError(f"expected an answer that was not broken off, found the finish_reason {reason}")
    return "stop"


def read_chunk(chunk: Any, writer: TurnWriter) -> tuple[str | None, str | None, Usage | None]:
    """What a chunk of a stream has: a piece of the turn, why the answer ended, and its usage.

    Raises:
        ValueError: It is no chunk of a chat completion.
    """
    try:
        used = chunk.usage
        usage = used and Usage(input_tokens=used.prompt_tokens, output_tokens=used.completion_tokens)
        if not chunk.choices:
            return None, None, usage
        choice = chunk.choices[0]
        text, calls = _encodable(choice.delta.content), choice.delta.tool_calls or ()
        said = writer.text(text) if text else text
        made = [writer.call(_place(call), *_read_call(call.function), call.id) for call in calls if call.function]
        return (said or "") + "".join(made) if made else said, choice.finish_reason, usage
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ValueError(f"expected a chunk of a chat completion, found {str(chunk)[:200]!r}") from None


def _place(call: Any) -> int | str:
    """What tells a streamed call from others: its index, or its id where a server counts none."""
    place = call.index if call.index is not None else call.id
    if place in (None, ""):
        raise ValueError("a call without index and id")
    return place


def _read_call(function: Any) -> tuple[Any, Any]:
    """The name and the arguments of a call, or of a piece of one."""
    return _encodable(function.name), _encodable(function.arguments)


def _encodable(text: str | None) -> str | None:
    return text and encodable(text)


def _completion(
    request: ChatRequest, text: str, usage: Usage, latency_ms: float, ended: Literal["stop", "length"]
) -> Completion:
    return Completion(
        example_id=request.example_id,
        text=answer_of(text),
        usage=usage,
        latency_ms=latency_ms,
        finish_reason=ended,
    )


class _Sender:
    """The thread that sends all requests, by an event loop of its own; a forked process starts another one."""

    def __init__(self) -> None:
        self._lock, self._loop = threading.Lock(), None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="requests", daemon=True).start()
            return self._loop

    def forget(self) -> None:
        """Start anew in a forked process, which has none of its parent's threads."""
        self.__init__()
        _lines.clear()


_sender = _Sender()
_lines: "WeakKeyDictionary[OpenAIEngine, Line]" = WeakKeyDictionary()
os.register_at_fork(after_in_child=_sender.forget)


def _send(work: Coroutine[Any, Any, Result]) -> Result:
    """Have the sending thread do the work, and wait for it; whoever is interrupted cancels it."""
    future = asyncio.run_coroutine_threadsafe(work, _sender.loop)
    try:
        return future.result()
    finally:
        future.cancel()


def _close(client: "AsyncOpenAI", loop: asyncio.AbstractEventLoop) -> None:
    """Have the sending thread close a client's connections."""
    asyncio.run_coroutine_threadsafe(client.close(), loop)


async def _all(waiting: list[Any]) -> list[Any]:
    """All results in order; the first exception cancels the others."""
    tasks = [asyncio.ensure_future(answer) for answer in waiting]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def key_of(params: ApiParams) -> str:
    """The API key in the environment.

    Raises:
        EngineError: The variable is not set, or holds what no header can.
    """
    variable = params.key_variable
    if variable is None:
        return NO_KEY
    if not (key := os.environ.get(variable, "").strip()):
        raise EngineError(f"expected an API key in the environment variable {variable}, found none")
    if not (key.isascii() and key.isprintable()):
        raise EngineError(
            f"expected an API key of printable ASCII in the environment variable {variable}, found another character"
        )
    return key
