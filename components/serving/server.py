"""What happens to a request between its first byte and its last: admitted, routed, answered, written down.

Decides the order of these; who is let in, what is asked, and how requests share a batch is decided by the modules
named after it. HTTP is `app`'s business.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from starlette import requests

from components.data.shares import falls_in
from components.engines import CallingEngine, ChatRequest
from components.errors import EngineError
from components.params import ServingParams
from components.records import Completion, RouteName
from components.serving.access import Keys, Limit
from components.serving.batching import Batcher
from components.serving.browsers import LOOPBACK
from components.serving.champion import Follower, Served
from components.serving.corrections import Corrections
from components.serving.journal import Journal
from components.serving.metrics import Metrics
from components.serving.protocol import ChatCompletionRequest
from components.serving.refusals import RequestError, refusal
from components.serving.request import OnText, Request
from components.serving.routing import Answer, canary_answers
from components.serving.stops import Stopping, cut
from components.serving.waiting import QueueFull

log = logging.getLogger(__name__)
CLIENT_LEFT = 499  # a status that no client sees: nginx's, for the metrics


@dataclass
class Server:
    """What one server is made of; `model` is the name that clients ask for, `host` the address that it listens on.

    What depends on a request's length runs in threads: other callers are heard meanwhile.
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
        self.answering = set["asyncio.Task[Sequence[Completion]]"]()  # goes on when the caller of a stream goes away
        self.limit = Limit(self.params.requests_per_minute)
        batcher = partial(
            Batcher, self.params.most_batched, self.params.wait_ms,
            most_waiting=self.params.most_waiting, caller_share=self.params.caller_share,
        )  # fmt: skip
        self.batcher = batcher(self.metrics.batches.observe)
        # One of its own: what waits for another model's API must not keep others waiting.
        self.second_batcher = batcher() if self.fallback else None

    @property
    def followers(self) -> list[Follower]:
        """All that follow the registry."""
        return [one for one in (self.follower, self.canary, self.shadow) if one is not None]

    @property
    def served(self) -> Served:
        """The version that answers.

        Raises:
            RequestError: There is none yet.
        """
        served = self.follower.served  # once: the follower's thread may take it away meanwhile
        if served is None:
            raise RequestError(503, f"{self.model} has no champion that is ready", code="not_ready")
        return served

    def known(self, request: requests.Request) -> str:
        """The caller: the hash of its key, or its address where no keys are asked for.

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
        """Let a caller in, and say who it is.

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
        """Let in who looks after the server: anybody on this machine, others with a key unless the settings say so.

        Raises:
            RequestError: The key is unknown.
        """
        if self.host not in LOOPBACK and not self.params.access.open_probes:
            self.known(request)

    async def read(self, request: requests.Request) -> bytes:
        """The body, read no further than it may be long.

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
        self, name: str, asked: ChatCompletionRequest, caller: str, on_text: OnText
    ) -> "asyncio.Task[Sequence[Completion]]":
        """`answer` as a task that ends by itself, whoever waits for it."""
        task = asyncio.create_task(self.answer(name, asked, caller, on_text))
        self.answering.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Sequence[Completion]]") -> None:
        self.answering.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.debug("A streamed request was not answered: %s", error)

    async def answer(
        self, name: str, asked: ChatCompletionRequest, caller: str = "", on_text: OnText | None = None
    ) -> Sequence[Completion]:
        """The completions of a request, written down under its name.

        `on_text` is called with their text as it is written, unless they may be replaced by the second model's.

        Raises:
            RequestError: It cannot be answered, or not in time.
        """
        if asked.model != self.model:
            raise RequestError(
                404, f"expected the model {self.model}, found {asked.model[:100]}", code="model_not_found"
            )
        asked.refuse_unknown()
        customer = asked.customer or caller
        if self.journal is not None:
            customer = self.journal.asked(name, caller, asked.customer)
        route, served = self._route(customer if self.params.routing.unit == "customer" else name)
        may_fall_back = self._may_fall_back(asked)
        on_text = None if may_fall_back else on_text
        request = await asyncio.to_thread(self._request, served, name, asked, caller, on_text)
        async with self._noted(name, request.answered(route)):
            answer = await self._ask(self.batcher, route, request, asked.stop)
        if may_fall_back and not await asyncio.to_thread(self._all_good, answer.completions):
            answer = await self._second(answer, name, asked, caller)
        await asyncio.to_thread(self._write_down, name, answer, asked, caller)
        return answer.completions

    def _write_down(self, name: str, answer: Answer, asked: ChatCompletionRequest, caller: str) -> None:
        """The traces of what is returned; the shadow is asked then."""
        if self.journal is not None:
            self.journal.answered(name, answer)
        self._shadow(name, asked, caller)

    @asynccontextmanager
    async def _noted(self, name: str, unanswered: Answer) -> AsyncGenerator[None]:
        """Write down that a version did not answer; not where nobody asked it, because too many wait.

        `unanswered` has no completions.
        """
        started = time.perf_counter()
        try:
            yield
        except Exception as error:  # of any kind: it goes on
            told = refusal(error)
            if self.journal is not None and told.code != "overloaded":
                latency_ms = (time.perf_counter() - started) * 1e3
                await asyncio.to_thread(self.journal.failed, name, unanswered, str(told), latency_ms)
            raise

    def _route(self, unit: str) -> tuple[RouteName, Served]:
        """The canary for its share of the units while there is one, else the champion."""
        share, canary = self.params.routing.canary_share, self.canary and self.canary.served
        if canary is not None and canary_answers(share, canary.version, unit):
            return "canary", canary
        return "champion", self.served

    async def _ask(self, batcher: Batcher, route: RouteName, request: Request, stops: Sequence[str]) -> Answer:
        """The answer of a version."""
        try:
            waiting = asyncio.wrap_future(batcher.submit(request))
            found = await asyncio.wait_for(waiting, self.params.timeout_s)
        except QueueFull:
            raise RequestError(
                503, "too many requests wait for their answers; try again later", code="overloaded", retry_after_s=1
            ) from None
        except TimeoutError:
            raise RequestError(504, f"no answer within {self.params.timeout_s:g} s", code="timeout") from None
        except EngineError as error:
            raise RequestError(400, str(error)) from error
        if error := next((one.error for one in found if one.error is not None), None):
            raise RequestError(400, error, param="messages")
        return request.answered(route, [cut(one, stops) for one in found])

    def _request(
        self, served: Served, name: str, asked: ChatCompletionRequest, caller: str, on_text: OnText | None = None
    ) -> Request:
        """What a version is asked. Draws depend on the seed and the request's name: requests without a seed differ."""
        sampling = asked.sampling(served.max_new_tokens, served.answer_schema, self.params)
        if calling := sampling.calls is not None:
            _refuse_tools(served)
        messages, inputs = served.conversation(asked.conversation, tools=calling)
        chat = ChatRequest(name if asked.seed is None else "", messages, caller)
        if on_text is not None and asked.stop:
            on_text = Stopping(on_text, asked.stop)
        return Request(served, chat, sampling, {} if calling else inputs, on_text, caller)

    def _may_fall_back(self, asked: ChatCompletionRequest) -> bool:
        """Whether the second model may be asked; not where the caller named a form or tools of its own."""
        free = asked.response_format is None and not asked.calling
        return self.fallback is not None and self.journal is not None and free

    def _all_good(self, completions: Sequence[Completion]) -> bool:
        return all(map(self._good, completions))

    def _good(self, completion: Completion) -> bool:
        """Whether an answer needs no second model's: it obeys the schema, and the first model is sure enough of it."""
        assert self.journal is not None
        named = self.params.routing.fallback
        least, sure = named and named.min_confidence, completion.confidence
        return self.journal.valid(completion) and (least is None or sure is None or sure >= least)

    async def _second(self, first: Answer, name: str, asked: ChatCompletionRequest, caller: str) -> Answer:
        """The second model's answer; the first one where it has none, or only the first one obeys the schema."""
        assert self.fallback is not None and self.second_batcher is not None and self.journal is not None
        try:
            request = await asyncio.to_thread(self._request, self.fallback, name, asked, caller)
            second = await self._ask(self.second_batcher, "fallback", request, asked.stop)
        except RequestError as error:
            log.warning("The fallback did not answer: %s", error)
            return first
        return await asyncio.to_thread(self._better, name, first, second)

    def _better(self, name: str, first: Answer, second: Answer) -> Answer:
        """The one to return; the other one is written down."""
        assert self.journal is not None
        valid = self.journal.valid
        first_alone = all(map(valid, first.completions)) and not all(map(valid, second.completions))
        returned, other = (first, second) if first_alone else (second, first)
        self.journal.answered(name, other, returned=False)
        return returned

    def _shadow(self, name: str, asked: ChatCompletionRequest, caller: str) -> None:
        """Let the shadow answer its share of the requests; nobody waits for it."""
        journal, share = self.journal, self.params.routing.shadow_share
        shadow = self.shadow and self.shadow.served
        if journal is None or shadow is None or not falls_in(share, "shadow", name):
            return
        try:
            request = self._request(shadow, name, asked, caller)
        except RequestError:  # its prompt takes other inputs than the champion's
            return

        def write(done: "Future[list[Completion]]") -> None:
            if not done.cancelled() and done.exception() is None:
                journal.answered(name, request.answered("shadow", done.result()), returned=False)

        with suppress(QueueFull):  # what is returned comes first
            self.batcher.submit(request).add_done_callback(write)


def _refuse_tools(served: Served) -> None:
    """Refuse tools where what answers knows no calls.

    Raises:
        RequestError: It does not.
    """
    engine = served.engine
    if not isinstance(engine, CallingEngine) or not engine.calls_tools:
        raise RequestError(
            400, "expected a request without `tools`: what answers here has no form for calls of tools",
            code="unsupported_parameter", param="tools",
        )  # fmt: skip
