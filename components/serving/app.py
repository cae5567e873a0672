"""The HTTP server: `/v1/chat/completions` and `/v1/models` as OpenAI's API has them, feedback, health and metrics.

Decides addresses, statuses and shapes; what happens to a request in between is the `Server`'s business.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from components.serving.browsers import Guard, Names
from components.serving.health import problems
from components.serving.protocol import ChatRequest, FeedbackRequest
from components.serving.refusals import RequestError, refusal
from components.serving.replies import Events, answer_body, new_id, usage
from components.serving.server import Server
from components.serving.streaming import Stream

log = logging.getLogger(__name__)
Body = TypeVar("Body", bound=BaseModel)
UNSUPPORTED = ("completions", "embeddings")
CLIENT_LEFT = 499  # a status that no client sees: nginx's, for the metrics


def create_app(server: Server) -> FastAPI:
    """The application: it follows the champion from its start to its end."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncGenerator[None]:
        for follower in server.followers:
            follower.start()
        if server.journal is not None:
            server.journal.start()
        yield
        for part in (*server.followers, server.batcher, server.second_batcher):
            if part is not None:
                await asyncio.to_thread(part.close)
        await asyncio.gather(*server.answering, return_exceptions=True)  # whose callers went away
        if server.journal is not None:
            await asyncio.to_thread(server.journal.close)

    app = FastAPI(title=f"Gradus: {server.model}", lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    _add_errors(app)
    app.add_middleware(Guard, names=Names.of(server.host, server.params.access.hosts, keyed=bool(server.keys.hashes)))

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready(request: Request) -> dict[str, Any]:
        server.admit_house(request)
        if found := await asyncio.to_thread(problems, server):
            raise RequestError(503, "; ".join(found), code="not_ready", retry_after_s=1)
        served = server.served
        return {"status": "ok", "model": server.model, "version": served.version, "method": served.made_by}

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        server.admit_house(request)
        await asyncio.to_thread(_measure, server)
        return Response(generate_latest(server.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        server.admit(request)
        return {"object": "list", "data": [_model(server)]}

    @app.get("/v1/models/{name}")
    async def model(request: Request, name: str) -> dict[str, Any]:
        server.admit(request)
        if name != server.model:
            raise RequestError(404, f"expected the model {server.model}, found {name[:100]}", code="model_not_found")
        return _model(server)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        started, name = time.perf_counter(), new_id()
        try:
            caller = server.admit(request)
            asked = await _parsed(ChatRequest, server, request)
            if asked.stream:
                counted = bool(asked.stream_options and asked.stream_options.include_usage)
                events = Events(name, server.model, asked.n, include_usage=counted)
                return await _streamed(server, name, asked, caller, events, started)
            found = await server.answer(name, asked, caller)
        except Exception as error:
            server.metrics.refused(refusal(error).status)
            raise
        server.metrics.answered(time.perf_counter() - started, usage(found))
        return JSONResponse(answer_body(name, server.model, found))

    @app.post("/v1/feedback")
    async def feedback(request: Request) -> dict[str, str]:
        server.admit(request)
        told = await _parsed(FeedbackRequest, server, request)
        if server.journal is None:
            raise RequestError(501, "this server keeps no traces", code="no_traces")
        if server.corrections is not None:
            await asyncio.to_thread(server.corrections.check, told, server.params)
        await asyncio.to_thread(server.journal.told, told.id, told.score, told.corrected)
        return {"status": "ok"}

    for path in UNSUPPORTED:
        app.add_api_route(f"/v1/{path}", _unsupported(path), methods=["GET", "POST"])
    return app


def _model(server: Server) -> dict[str, Any]:
    """The one model as OpenAI describes models; `root` says which version stands behind the name."""
    served = server.served
    return {
        "id": server.model, "object": "model", "created": 0, "owned_by": "gradus",
        "root": f"{server.model}/{served.version}", "method": served.made_by,
        "inputs": list(served.columns),
    }  # fmt: skip


async def _parsed(kind: type[Body], server: Server, request: Request) -> Body:
    """The body of a request, read in a thread: it may be long, and other callers are to be heard."""
    return await asyncio.to_thread(kind.model_validate_json, await server.read(request))


def _unsupported(path: str) -> Callable[[], Awaitable[None]]:
    async def refuse() -> None:
        raise RequestError(
            404, f"expected /v1/chat/completions or /v1/responses, found /v1/{path}, which is not supported here",
            code="unsupported_endpoint",
        )  # fmt: skip

    return refuse


def _measure(server: Server) -> None:
    """What has to be looked up for `/metrics`."""
    server.metrics.corrupt.set(server.journal.corrupt if server.journal else 0)
    server.metrics.version.set(server.follower.served.version if server.follower.served else 0)
    server.metrics.waiting_requests.set(server.batcher.waiting)
    server.metrics.unwritable.set(bool(server.journal and server.journal.trouble))
    server.metrics.ready.set(not problems(server))


async def _streamed(
    server: Server, name: str, asked: ChatRequest, caller: str, events: Events, started: float
) -> Response:
    """An answer as it is written, from its first piece on: what goes wrong before has a status of its own."""
    stream = Stream()
    answer = server.begin(name, asked, caller, stream.hear)
    pieces = stream.pieces(answer)
    first = await anext(pieces, None)
    server.metrics.first_token.observe(time.perf_counter() - started)

    async def lines() -> AsyncGenerator[str]:
        try:
            yield events.begins() + (events.text(*first) if first else "")
            async for piece in pieces:
                yield events.text(*piece)
            found = answer.result()
        except (asyncio.CancelledError, GeneratorExit):  # the caller went away; the answer is written down without it
            server.metrics.refused(CLIENT_LEFT)
            raise
        except Exception as error:  # of any kind: the status has left
            log.exception("A stream ended before its time.")
            server.metrics.refused(refusal(error).status)
            yield events.broken(refusal(error))
            return
        server.metrics.answered(time.perf_counter() - started, usage(found))
        yield events.ends(found)

    return StreamingResponse(lines(), media_type="text/event-stream")


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's shape."""

    async def tell(_: Request, error: Exception) -> JSONResponse:
        told = refusal(error)
        return JSONResponse(told.body, status_code=told.status, headers=told.headers)

    for kind in (RequestError, ValidationError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, tell)
