"""Completions by any OpenAI-compatible API, many at a time.

Decides the pace, how failures are handled and what is read from a response. Retries are the client's own: exponential
backoff from 0.5 to 8 s with jitter, or as long as the server says. The key is read from the environment, and kept out
of every message.
"""

import asyncio
import os
from typing import Any

from tqdm import tqdm

from components.engines.base import ChatRequest, Sampling, failed
from components.engines.thinking import answer_of
from components.errors import EngineError
from components.params import ApiParams
from components.records import Completion, Usage

NO_KEY = "none"


class OpenAIEngine:
    """A model behind an API.

    `latency_ms` is the time from sending the attempt that succeeded to the end of its response, without the wait for a
    free slot and earlier attempts. `usage` is what the API reports.
    """

    def __init__(self, model: str, params: ApiParams) -> None:
        self.model, self.params, self._key = model, params, key_of(params)

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        """Answer every request: `n` completions in a row for each, by one API call each, in the order of the requests.

        Raises:
            EngineError: The API refuses the key or does not know the model, or not one request was answered.
        """
        answers = asyncio.run(self._answer_all(requests, sampling))
        if answers and all(answer.finish_reason == "error" for answer in answers):
            raise EngineError(
                f"expected answers from {self.model}, found {len(answers):,} failures: {answers[0].error}"
            )
        return answers

    async def _answer_all(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        pace = Pace(self.params.requests_per_minute)
        slots = asyncio.Semaphore(self.params.concurrency)
        # The hooks run for every attempt, so that retries keep the pace as well.
        hooks = {"request": [pace.wait], "response": [self._whole]}
        http = DefaultAsyncHttpxClient(event_hooks=hooks, timeout=self.params.timeout_s)
        async with AsyncOpenAI(
            api_key=self._key,
            base_url=self.params.base_url,
            timeout=self.params.timeout_s,
            max_retries=self.params.max_retries,
            http_client=http,
        ) as client:
            with tqdm(total=len(requests) * sampling.n, desc=self.model, unit="answer") as bar:

                async def answer(request: ChatRequest, sample: int) -> Completion:
                    async with slots:
                        completion = await self._answer(client, request, self._body(request, sampling, sample))
                    bar.update()
                    return completion

                return await _all([answer(request, sample) for request in requests for sample in range(sampling.n)])

    async def _whole(self, response: Any) -> None:
        """Read a whole response within the time limit, which the client applies only to each read."""
        import httpx

        try:
            async with asyncio.timeout(self.params.timeout_s):
                await response.aread()
        except TimeoutError:
            raise httpx.ReadTimeout("no whole answer in time", request=response.request) from None

    def _body(self, request: ChatRequest, sampling: Sampling, sample: int) -> dict[str, Any]:
        settings = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed + sample}
        return {
            "model": self.model,
            "messages": [message.openai for message in request.messages],
            self.params.limit_field: sampling.max_new_tokens,
            **{name: value for name, value in settings.items() if name not in self.params.omit},
            **({"response_format": response_format(sampling.answer_schema)} if sampling.answer_schema else {}),
            "extra_body": self.params.extra_body or None,
        }

    async def _answer(self, client: Any, request: ChatRequest, body: dict[str, Any]) -> Completion:
        """One completion; a failed one says why."""
        from openai import AuthenticationError, NotFoundError, OpenAIError, PermissionDeniedError

        try:
            raw = await client.chat.completions.with_raw_response.create(**body)
            return read_reply(request, raw.parse(), raw.elapsed.total_seconds() * 1e3)
        except (AuthenticationError, NotFoundError, PermissionDeniedError) as error:
            # Every other request would end in the same way.
            raise EngineError(f"expected an API that serves {self.model}, found {self._explain(error)}") from None
        except (OpenAIError, ValueError) as error:
            return failed(request, self._explain(error))

    def _explain(self, error: Exception) -> str:
        """A library's message without the key, which some servers repeat."""
        message = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
        return message.replace(self._key, "…") if self._key != NO_KEY else message


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """The `response_format` that holds an answer to a schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


class Pace:
    """Spaces starts evenly: at most `per_minute` in any minute; None sets no limit."""

    def __init__(self, per_minute: float | None) -> None:
        self.gap_s = 60 / per_minute if per_minute else 0.0
        self.next_s = 0.0

    async def wait(self, _: object = None) -> None:
        """Sleep until it is this caller's turn."""
        if not self.gap_s:
            return
        now = asyncio.get_running_loop().time()
        turn = max(now, self.next_s)
        self.next_s = turn + self.gap_s
        await asyncio.sleep(turn - now)


def read_reply(request: ChatRequest, reply: Any, latency_ms: float) -> Completion:
    """The API's reply as a completion.

    Raises:
        ValueError: It is no chat completion, has no usage, or the API withheld the answer.
    """
    try:
        choice, used = reply.choices[0], reply.usage
        text, reason = choice.message.content, choice.finish_reason
        usage = Usage(input_tokens=used.prompt_tokens, output_tokens=used.completion_tokens)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ValueError(f"expected a chat completion with its usage, found {str(reply)[:200]!r}") from None
    if text is None or reason == "content_filter":
        raise ValueError(f"expected an answer in text, found none (finish_reason {reason})")
    return Completion(
        example_id=request.example_id,
        text=answer_of(text),
        usage=usage,
        latency_ms=latency_ms,
        finish_reason="length" if reason == "length" else "stop",
    )


async def _all(waiting: list[Any]) -> list[Completion]:
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
        EngineError: The variable is not set.
    """
    variable = params.key_variable
    if variable is None:
        return NO_KEY
    if not (key := os.environ.get(variable)):
        raise EngineError(f"expected an API key in the environment variable {variable}, found none")
    return key
