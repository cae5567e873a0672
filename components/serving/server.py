"""Handles a request from its first byte to its last: admits, routes, answers and records it.

Decides the order of these steps; other modules decide who is admitted, what is asked, and how requests share a batch.
`app` speaks HTTP.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from starlette import requests

from components.data.masking import mask
from components.data.shares import falls_in
from components.engines import CallingEngine, ChatRequest
from components.engines.base import failed
from components.errors import EngineError, UnreachableError
from components.params import ServingParams
from components.records import Completion, RouteName
from components.serving.access import Keys, Limit
from components.serving.batching import Batcher, Batchers
from components.serving.browsers import LOOPBACK
from components.serving.champion import Follower, Served
from components.serving.corrections import Corrections
from components.serving.journal import Journal
from components.serving.metrics import Metrics
from components.serving.protocol import ANY_OBJECT, ChatCompletionRequest
from components.serving.refusals import RequestError, refusal
from components.serving.request import OnText, Request
from components.serving.routing import Answer, Tried, canary_answers
from components.serving.stops import Stopping, cut
from components.serving.waiting import QueueFull

log = logging.getLogger(__name__)
Result = TypeVar("Result")
CLIENT_LEFT = 499  # a status that no client sees: nginx's, for the metrics


@dataclass
class Server:
    """The parts of a server; `model` is the name that clients ask for, `host` the address that it listens on.

    Work that grows with a request's length runs in threads, so that it does not hold up other callers.
    """

    model: str
    follower: Follower
    params: ServingParams = field(default_factory=ServingParams)
    keys: Keys = field(default_factory=Keys)
    journal: Journal | None = None
    canary: Follower | None = None
    shadow: Follower | None = None
    fallback: Served | None = None
    metrics: Metrics = field(default_factory=Metrics)
    corrections: Corrections | None = None
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self.answering = set["asyncio.Task[Any]"]()  # streams whose callers may go away, and the shadow's requests
        self._asked = WeakKeyDictionary["asyncio.Task[Any]", Request]()  # what an answer's engine was last asked
        self.limit = Limit(self.params.requests_per_minute)
        batcher = partial(
            Batcher, self.params.most_batched, self.params.wait_ms, self.metrics.batches.observe,
            most_waiting=self.params.most_waiting, caller_share=self.params.caller_share,
        )  # fmt: skip
        self.batchers = Batchers(batcher)

    @property
    def followers(self) -> list[Follower]:
        """The followers that this server has."""
        return [follower for follower in (self.follower, self.canary, self.shadow) if follower is not None]

    @property
    def standing(self) -> list[Served]:
        """All versions that may be asked now."""
        versions = [*(follower.served for follower in self.followers), self.fallback]
        return [served for served in versions if served is not None]

    @property
    def served(self) -> Served:
        """The version that answers.

        Raises:
            RequestError: There is none yet.
        """
        served = self.follower.served  # read once: the follower's thread may change it meanwhile
        if served is None:
            raise RequestError(503, f"{self.model} has no champion that is ready", code="not_ready")
        return served

    def known(self, request: requests.Request) -> str:
        """The caller: the hash of its key, or its address if there are no keys.

        Raises:
            RequestError: The key is unknown.
        """
        if not self.keys.hashes:
            return request.client.host if request.client else ""
        caller = self.keys.caller(request.headers.get("authorization"))
        if caller is None:
            raise RequestError(401, "expected a known API key as bearer token", code="invalid_api_key")
        return caller

    def admit(self, request: requests.Request) -> str:
        """Admit a caller; returns who it is.

        Raises:
            RequestError: The key is unknown, or its requests are used up.
        """
        caller = self.known(request)
        if wait_s := self.limit.wait_s(caller):
            raise RequestError(
                429, f"expected at most {self.params.requests_per_minute:g} requests a minute; "
                f"the next one in {wait_s:.1f} s", code="rate_limit_exceeded", retry_after_s=wait_s,
            )  # fmt: skip
        return caller

    def admit_house(self, request: requests.Request) -> None:
        """Admit an operator: with a key, unless the server is local or the settings leave the probes open.

        Raises:
            RequestError: The key is unknown.
        """
        if self.host not in LOOPBACK and not self.params.access.open_probes:
            self.known(request)

    async def read(self, request: requests.Request) -> bytes:
        """The body, read up to the longest that is allowed.

        Raises:
            RequestError: It is longer, or its sender went away before its end.
        """
        body, most = bytearray(), self.params.most_request_bytes
        try:
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise RequestError(413, f"expected a request of at most {most:,} bytes", code="request_too_large")
        except requests.ClientDisconnect:
            raise RequestError(CLIENT_LEFT, "expected the whole request, found its sender gone") from None
        return bytes(body)

    def begin(
        self, name: str, asked: ChatCompletionRequest, caller: str, on_text: OnText | None = None
    ) -> "asyncio.Task[Sequence[Completion]]":
        """`answer` as a task, which goes on if nobody waits for it, unless it is told so (`leave`)."""
        return self._begun(self.answer(name, asked, caller, on_text))

    def leave(self, answer: "asyncio.Task[Any]") -> None:
        """Ask nobody for an answer whose caller left; what an engine has written of it until now is still recorded."""
        if (request := self._asked.get(answer)) is not None:
            request.leave()
        else:
            answer.cancel()

    def _begun(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Work that goes on if nobody waits for it."""
        task = asyncio.create_task(work)
        self.answering.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self.answering.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.debug("A request that its caller need not wait for was not answered: %s", error)

    async def answer(
        self, name: str, asked: ChatCompletionRequest, caller: str = "", on_text: OnText | None = None
    ) -> Sequence[Completion]:
        """The completions of a request, recorded under its name.

        `on_text` is called with their text as it is written, unless they may be replaced by the second model's.

        Raises:
            RequestError: It cannot be answered, or not in time.
            OSError: Its answer could not be recorded.
        """
        if asked.model != self.model:
            raise RequestError(
                404, f"expected the model {self.model}, found {asked.model[:100]}", code="model_not_found"
            )
        asked.refuse_unknown()
        customer = asked.customer or caller
        if self.journal is not None:
            if self.journal.trouble:  # before anything is asked, and text of a stream leaves
                await asyncio.to_thread(self.journal.check)
            customer = self.journal.asked(name, caller, asked.customer)
        unit = customer if self.params.routing.unit == "customer" else name
        may_fall_back = self._may_fall_back(asked)
        on_text = None if may_fall_back else on_text
        route, request = await asyncio.to_thread(self._routed, unit, name, asked, caller, on_text)
        tried = await self._try(route, request, asked.stop)
        if may_fall_back and not request.left and await asyncio.to_thread(self._falls_short, tried):
            tried = await self._second(tried, name, asked, caller)
        if tried.error is not None:
            if self.journal is not None and tried.asked:
                await asyncio.to_thread(self.journal.answered, name, tried.answer)
            raise tried.error
        answer = tried.answer
        shadow = await asyncio.to_thread(self._write_down, name, answer, asked, caller)
        if shadow is not None:
            self._begun(self._shadow(name, shadow, asked.stop))
        return answer.completions

    def _write_down(self, name: str, answer: Answer, asked: ChatCompletionRequest, caller: str) -> Request | None:
        """Record what is returned. Returns the request to the shadow, if it is to answer as well."""
        if self.journal is not None:
            self.journal.answered(name, answer)
        return self._for_shadow(name, asked, caller)

    async def _try(self, route: RouteName, request: Request, stops: Sequence[str]) -> Tried:
        """Ask a version; if it fails, that is what became of it, for it is evidence as an answer is."""
        started = time.perf_counter()
        try:
            return Tried(await self._ask(route, request, stops))
        except Exception as error:  # of any kind: the caller gets it unless another model answers
            refused = refusal(error)
            took_ms = (time.perf_counter() - started) * 1e3
            nothing = failed(request.chat, str(refused.__cause__ or refused)).model_copy(update={"latency_ms": took_ms})
            return Tried(request.answered(route, [nothing]), error)

    def _routed(
        self, unit: str, name: str, asked: ChatCompletionRequest, caller: str, on_text: OnText | None
    ) -> tuple[RouteName, Request]:
        """The request to the version that answers a unit, or to the champion where the canary cannot take it.

        Raises:
            RequestError: There is no version, or the champion cannot take it either.
        """
        route, served = self._route(unit)
        if route == "canary":
            try:
                return route, self._request(served, name, asked, caller, on_text)
            except RequestError:  # other inputs than the champion's, or no tools
                route, served = "champion", self.served
        return route, self._request(served, name, asked, caller, on_text)

    def _route(self, unit: str) -> tuple[RouteName, Served]:
        """The canary for its share of the units while there is one, else the champion."""
        share, canary = self.params.routing.canary_share, self.canary and self.canary.served
        if canary is not None and canary_answers(share, canary.version, unit):
            return "canary", canary
        return "champion", self.served

    async def _ask(self, route: RouteName, request: Request, stops: Sequence[str]) -> Answer:
        """The answer of a version.

        Raises:
            RequestError: Too many requests wait, there is no answer in time, or the engine refuses.
        """
        try:
            waiting = asyncio.wrap_future(self.batchers.submit(request, self.standing))
            if (task := asyncio.current_task()) is not None:
                self._asked[task] = request
            completions = await asyncio.wait_for(waiting, self.params.timeout_s)
        except QueueFull:
            raise RequestError(
                503, "too many requests wait for their answers; try again later", code="overloaded", retry_after_s=1
            ) from None
        except TimeoutError:
            raise RequestError(
                504, f"no answer within {self.params.timeout_s:g} s", code="timeout", retry_after_s=1
            ) from None
        except UnreachableError as error:
            raise _away() from error
        except EngineError as error:
            raise RequestError(400, str(error)) from error
        finally:
            request.unwanted.set()
        if lost := next((completion for completion in completions if completion.error is not None), None):
            if lost.away:
                raise _away() from UnreachableError(lost.error)
            raise RequestError(400, lost.error or "", param="messages")
        return request.answered(route, [cut(completion, stops) for completion in completions])

    def _request(
        self, served: Served, name: str, asked: ChatCompletionRequest, caller: str, on_text: OnText | None = None
    ) -> Request:
        """The request to a version. Without a seed, sampling depends on the request's name, so that requests differ.

        Where the caller sets what an answer looks like or where it ends, it is no answer of the workload: no inputs.
        """
        if calling := asked.calling:
            _refuse_tools(served)  # before they are read
        sampling = asked.sampling(served.max_new_tokens, served.answer_schema, self.params)
        messages, inputs = served.conversation(asked.conversation, tools=calling)
        chat = ChatRequest(name if asked.seed is None else "", messages, caller, asked.stop)
        if on_text is not None and asked.stop:
            on_text = Stopping(on_text, asked.stop)
        own = calling or asked.stop or not self._usual(sampling.answer_schema, served)
        limited = sampling.max_new_tokens < min(served.max_new_tokens, self.params.most_new_tokens)
        return Request(served, chat, sampling, {} if own else inputs, on_text, caller, limited=limited)

    def _usual(self, schema: Mapping[str, Any] | None, served: Served) -> bool:
        """Whether a schema is the version's or the workload's own, or any object where the workload's are objects."""
        output = self.journal.schema if self.journal is not None else {}
        any_object = schema == ANY_OBJECT and output.get("type") == "object"
        return schema in (served.answer_schema, output) or any_object

    def _may_fall_back(self, asked: ChatCompletionRequest) -> bool:
        """Whether the second model may be asked; not if the caller sets a response format or uses tools."""
        free = asked.response_format is None and not asked.calling
        return self.fallback is not None and self.journal is not None and free

    def _falls_short(self, tried: Tried) -> bool:
        """Whether the second model is to answer: the first one is away, or an answer of it is not good."""
        return tried.away or (tried.error is None and not all(map(self._good, tried.answer.completions)))

    def _good(self, completion: Completion) -> bool:
        """Whether an answer obeys the schema and the model is sure enough of it, so that no second model is needed."""
        assert self.journal is not None
        named = self.params.routing.fallback
        least, sure = named and named.min_confidence, completion.confidence
        return self.journal.valid(completion) and (least is None or sure is None or sure >= least)

    async def _second(self, first: Tried, name: str, asked: ChatCompletionRequest, caller: str) -> Tried:
        """The second model's answer; the first one if it has none, or only the first one obeys the schema."""
        assert self.fallback is not None
        try:
            request = await asyncio.to_thread(self._request, self.fallback, name, asked, caller)
            second = await self._ask("fallback", request, asked.stop)
        except Exception as error:  # of any kind: what became of the first one counts then
            log.warning("The fallback did not answer: %s", mask(str(error.__cause__ or error)))
            return first
        return Tried(await asyncio.to_thread(self._better, name, first.answer, second))

    def _better(self, name: str, first: Answer, second: Answer) -> Answer:
        """The answer to return; the other one, or why there is none, is only recorded."""
        assert self.journal is not None
        valid = self.journal.valid
        first_alone = all(map(valid, first.completions)) and not all(map(valid, second.completions))
        returned, other = (first, second) if first_alone else (second, first)
        self.journal.answered(name, other, returned=False)
        return returned

    def _for_shadow(self, name: str, asked: ChatCompletionRequest, caller: str) -> Request | None:
        """The request to the shadow, where it answers this one too: of its share, while no caller waits."""
        share, shadow = self.params.routing.shadow_share, self.shadow and self.shadow.served
        if self.journal is None or shadow is None or not falls_in(share, "shadow", name) or self.batchers.waiting:
            return None
        try:
            return replace(self._request(shadow, name, asked, caller), spare=True)
        except RequestError:  # its prompt takes other inputs than the champion's
            return None

    async def _shadow(self, name: str, request: Request, stops: Sequence[str]) -> None:
        """Record the shadow's answer, or that it had none; nobody waits for it."""
        tried = await self._try("shadow", request, stops)
        if self.journal is None or not tried.asked or request.done.cancelled():  # its turn never came
            return
        if (error := tried.error) is not None:
            log.warning("The shadow did not answer: %s", mask(str(error.__cause__ or error)))
        await asyncio.to_thread(self.journal.answered, name, tried.answer, returned=False)


def _away() -> RequestError:
    """The refusal while an engine does not answer; what it said is for the trace alone."""
    return RequestError(503, "the model's engine does not answer; try again later", code="unavailable", retry_after_s=1)


def _refuse_tools(served: Served) -> None:
    """Refuse tools if the version's engine cannot call any.

    Raises:
        RequestError: It cannot.
    """
    engine = served.engine
    if not isinstance(engine, CallingEngine) or not engine.calls_tools:
        raise RequestError(
            400, "expected a request without `tools`: what answers here has no form for calls of tools",
            code="unsupported_parameter", param="tools",
        )  # fmt: skip
