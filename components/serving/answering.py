"""A request and its answer over HTTP: whole, or piece by piece as it is written; counted either way."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ValidationError

from components.serving.protocol import ChatCompletionRequest
from components.serving.refusals import RequestError, refusal
from components.serving.replies import Reply, usage
from components.serving.server import CLIENT_LEFT, Server
from components.serving.streaming import Stream

log = logging.getLogger(__name__)
Body = TypeVar("Body", bound=BaseModel)
Result = TypeVar("Result")


async def parsed(kind: type[Body], server: Server, request: Request) -> Body:
    """Parse the body of a request, in a thread: a long one must not hold up other callers.

    Raises:
        RequestError: It is too long, or does not match `kind`.
    """
    body = await server.read(request)
    return await read_apart(lambda: kind.model_validate_json(body))


async def read_apart(read: Callable[[], Body]) -> Body:
    """What `read` makes of a request, in a thread; what it finds wrong is put into words there too.

    Raises:
        RequestError: The request does not match what is read.
    """

    def reading() -> Body:
        try:
            return read()
        except ValidationError as error:
            raise refusal(error) from None

    return await asyncio.to_thread(reading)


class Exchange:
    """One request for an answer, from its first byte on."""

    def __init__(self, server: Server, request: Request) -> None:
        self._server, self._request, self._started = server, request, time.perf_counter()

    async def reply(self, understood: Callable[[], Awaitable[tuple[ChatCompletionRequest, Reply]]]) -> Response:
        """The response to the request that `understood` parses.

        Raises:
            Exception: The request is refused, or nothing answers; it has been counted.
        """
        server = self._server
        try:
            caller = server.admit(self._request)
            asked, form = await understood()
            if asked.stream:
                return await self._streamed(asked, form, caller)
            answer = server.begin(form.name, asked, caller)
            completions = await self._unless_left(answer, answer)
        except Exception as error:
            server.metrics.refused(refusal(error).status)
            raise
        server.metrics.answered(time.perf_counter() - self._started, usage(completions))
        return JSONResponse(form.body(completions))

    async def _unless_left(self, wanted: Awaitable[Result], answer: "asyncio.Task[Any]") -> Result:
        """What is wanted of an answer, which is given up where its caller leaves before.

        Raises:
            RequestError: The caller left.
            Exception: The answer's error.
        """
        got, left = asyncio.ensure_future(wanted), asyncio.ensure_future(self._request.receive())
        try:
            await asyncio.wait((got, left), return_when=asyncio.FIRST_COMPLETED)
            if got.done():
                return got.result()
            raise RequestError(CLIENT_LEFT, "expected a caller that waits, found it gone")
        except BaseException:
            self._server.leave(answer)
            raise
        finally:
            left.cancel()
            if got is not answer:
                got.cancel()

    async def _streamed(self, asked: ChatCompletionRequest, form: Reply, caller: str) -> Response:
        """Stream an answer. The status leaves with the first piece, so that an earlier error gets its own status."""
        stream, metrics = Stream(), self._server.metrics
        answer = self._server.begin(form.name, asked, caller, stream.add)
        pieces = stream.pieces(answer)
        first = await self._unless_left(anext(pieces, None), answer)
        metrics.first_token.observe(time.perf_counter() - self._started)

        async def lines() -> AsyncGenerator[str]:
            try:
                yield form.begins() + (form.text(*first) if first else "")
                async for piece in pieces:
                    yield form.text(*piece)
                completions = answer.result()
            except (
                asyncio.CancelledError,
                GeneratorExit,
            ):  # the caller went away
                self._server.leave(answer)
                metrics.refused(CLIENT_LEFT)
                raise
            except Exception as error:  # of any kind: the status was already sent
                log.exception("A stream ended before its time.")
                metrics.refused(refusal(error).status)
                yield form.broken(refusal(error))
                return
            metrics.answered(time.perf_counter() - self._started, usage(completions))
            yield form.ends(completions)

        return StreamingResponse(lines(), media_type="text/event-stream")
