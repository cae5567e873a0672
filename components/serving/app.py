"""The HTTP server: `/v1/chat/completions` and `/v1/models` as OpenAI's API has them, feedback, health and metrics.

Decides addresses, statuses and shapes; what happens to a request in between is the `Server`'s business.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from components.serving.protocol import (
    ChatRequest,
    Events,
    FeedbackRequest,
    RequestError,
    answer_body,
    new_id,
    refusal,
    usage,
)
from components.serving.server import Server
from components.serving.streaming import Stream

log = logging.getLogger(__name__)
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

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready() -> dict[str, Any]:
        served = server.served
        if server.journal is not None and server.journal.trouble:
            raise RequestError(503, "answers cannot be written down; the log says why", code="no_traces")
        return {"status": "ok", "model": server.model, "version": served.version, "method": served.made_by}

    @app.get("/metrics")
    async def metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        if server.journal is not None:
            server.metrics.watch(server.journal)
        server.metrics.version.set(server.follower.served.version if server.follower.served else 0)
        return Response(generate_latest(server.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        server.admit(request)
        return {"object": "list", "data": [_model(server)]}

    @app.get("/v1/models/{name}")
    async def model(request: Request, name: str) -> dict[str, Any]:
        server.admit(request)
        if name != server.model:
            raise RequestError(404, f"expected the model {server.model}, found {name}", code="model_not_found")
        return _model(server)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        started, name = time.perf_counter(), new_id()
        try:
            caller = server.admit(request)
            if server.journal is not None:
                server.journal.asked(name, caller)
            asked = ChatRequest.model_validate_json(await server.read(request))
            if asked.stream:
                return await _streamed(server, name, asked, started)
            found = await server.answer(name, asked)
        except Exception as error:
            server.metrics.refused(refusal(error).status)
            raise
        server.metrics.answered(time.perf_counter() - started, usage(found))
        return JSONResponse(answer_body(name, server.model, found))

    @app.post("/v1/feedback")
    async def feedback(request: Request) -> dict[str, str]:
        caller = server.admit(request)
        told = FeedbackRequest.model_validate_json(await server.read(request))
        if server.journal is None:
            raise RequestError(501, "this server keeps no traces", code="no_traces")
        server.journal.told(told.id, told.score, told.corrected, caller)
        return {"status": "ok"}

    return app


def _model(server: Server) -> dict[str, Any]:
    """The one model as OpenAI describes models; `root` says which version stands behind the name."""
    served = server.served
    return {
        "id": server.model, "object": "model", "created": 0, "owned_by": "gradus",
        "root": f"{server.model}/{served.version}", "method": served.made_by,
        "inputs": list(served.columns),
    }  # fmt: skip


async def _streamed(server: Server, name: str, asked: ChatRequest, started: float) -> Response:
    """An answer as it is written, from its first piece on: what goes wrong before has a status of its own."""
    stream = Stream()
    answer = server.begin(name, asked, stream.hear)
    pieces = stream.pieces(answer)
    first = await anext(pieces, None)
    server.metrics.first_token.observe(time.perf_counter() - started)
    events, counted = Events(name, server.model), bool(asked.stream_options and asked.stream_options.include_usage)

    async def lines() -> AsyncGenerator[str]:
        try:
            yield "".join(events.role(index) for index in range(asked.n)) + (events.text(*first) if first else "")
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
        yield events.ends(found, include_usage=counted)

    return StreamingResponse(lines(), media_type="text/event-stream")


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's shape."""

    async def tell(_: Request, error: Exception) -> JSONResponse:
        told = refusal(error)
        return JSONResponse(told.body, status_code=told.status)

    for kind in (RequestError, ValidationError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, tell)
