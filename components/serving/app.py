"""The HTTP server: `/v1/chat/completions` and `/v1/models` as OpenAI's API has them, feedback, health and metrics.

Decides addresses, statuses and shapes; what happens to a request in between is the `Server`'s business.
"""

import asyncio
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
    FeedbackRequest,
    RequestError,
    answer_body,
    new_id,
    stream_lines,
    usage,
)
from components.serving.server import Server


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
        return {"status": "ok", "model": server.model, "version": served.version, "method": served.method}

    @app.get("/metrics")
    async def metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

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
            server.admit(request)
            asked = ChatRequest.model_validate_json(await server.read(request))
            found = await server.answer(name, asked)
        except Exception as error:
            server.metrics.requests.labels(str(_refusal(error).status)).inc()
            raise
        server.metrics.requests.labels("200").inc()
        server.metrics.latency.observe(time.perf_counter() - started)
        spent = usage(found)
        server.metrics.tokens.labels("prompt").inc(spent["prompt_tokens"])
        server.metrics.tokens.labels("completion").inc(spent["completion_tokens"])
        if not asked.stream:
            return JSONResponse(answer_body(name, server.model, found))
        counted = bool(asked.stream_options and asked.stream_options.include_usage)
        return StreamingResponse(
            stream_lines(name, server.model, found, include_usage=counted), media_type="text/event-stream"
        )

    @app.post("/v1/feedback")
    async def feedback(request: Request) -> dict[str, str]:
        server.admit(request)
        told = FeedbackRequest.model_validate_json(await server.read(request))
        if server.journal is None:
            raise RequestError(501, "this server keeps no traces", code="no_traces")
        server.journal.told(told.id, told.score, told.corrected)
        return {"status": "ok"}

    return app


def _model(server: Server) -> dict[str, Any]:
    """The one model as OpenAI describes models; `root` says which version stands behind the name."""
    served = server.served
    return {
        "id": server.model, "object": "model", "created": 0, "owned_by": "gradus",
        "root": f"{server.model}/{served.version}", "method": served.method,
    }  # fmt: skip


def _refusal(error: Exception) -> RequestError:
    """Any error as one that clients read; what nobody foresaw is not told to them."""
    match error:
        case RequestError():
            return error
        case ValidationError() | RequestValidationError():
            first = error.errors()[0]
            field_name = ".".join(str(part) for part in first["loc"])
            return RequestError(400, f"{field_name}: {first['msg']}" if field_name else first["msg"], param=field_name)
        case HTTPException():
            return RequestError(error.status_code, str(error.detail))
        case _:
            return RequestError(500, "the server failed; its log says why")


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's shape."""

    async def tell(_: Request, error: Exception) -> JSONResponse:
        refusal = _refusal(error)
        return JSONResponse(refusal.body, status_code=refusal.status)

    for kind in (RequestError, ValidationError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, tell)
