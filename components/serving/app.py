"""The HTTP server: OpenAI's chat completions, responses and models, feedback, health and metrics.

Decides routes, statuses and forms; `Server` decides what happens to a request in between.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from components.serving.answering import Exchange, parsed, read_apart
from components.serving.browsers import Guard, Names
from components.serving.health import problems
from components.serving.protocol import ChatCompletionRequest, FeedbackRequest
from components.serving.refusals import RequestError, refusal
from components.serving.replies import ChatReply, Reply
from components.serving.responses import Response as TextResponse
from components.serving.responses import ResponsesRequest
from components.serving.server import Server


def create_app(server: Server) -> FastAPI:
    """The application; while it runs, it follows the champion."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncGenerator[None]:
        for follower in server.followers:
            follower.start()
        if server.journal is not None:
            server.journal.start()
        yield
        for part in (*server.followers, server.batchers):
            await asyncio.to_thread(part.close)
        while server.answering:  # of callers who went away, and the shadow's; one may begin another
            await asyncio.gather(*server.answering, return_exceptions=True)
        if server.journal is not None:
            await asyncio.to_thread(server.journal.close)

    app = FastAPI(title=f"Gradus: {server.model}", lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    _add_errors(app)
    for routes in (_house(server), _models(server), _answers(server), _feedback(server)):
        app.include_router(routes)
    names = Names.of(server.host, server.params.access.hosts, keyed=bool(server.keys.hashes))
    app.add_middleware(Guard, names=names)
    return app


def _house(server: Server) -> APIRouter:
    """Routes for operators: health, readiness and metrics."""
    routes = APIRouter()

    @routes.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/readyz")
    async def ready(request: Request) -> dict[str, Any]:
        server.admit_house(request)
        if reasons := await asyncio.to_thread(problems, server):
            raise RequestError(503, "; ".join(reasons), code="not_ready", retry_after_s=1)
        served = server.served
        return {"status": "ok", "model": server.model, "version": served.version, "method": served.made_by}

    @routes.get("/metrics")
    async def metrics(request: Request) -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        server.admit_house(request)
        await asyncio.to_thread(_measure, server)
        return Response(generate_latest(server.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _measure(server: Server) -> None:
    """Update the metrics that are measured only when `/metrics` is read."""
    metrics, journal, served = server.metrics, server.journal, server.follower.served
    if journal is not None:
        metrics.watch(journal)
    metrics.version.set(served.version if served else 0)
    metrics.waiting_requests.set(server.batchers.waiting)
    metrics.ready.set(not problems(server))


def _models(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        server.admit(request)
        return {"object": "list", "data": [_model(server)]}

    @routes.get("/v1/models/{name}")
    async def model(request: Request, name: str) -> dict[str, Any]:
        server.admit(request)
        if name != server.model:
            raise RequestError(404, f"expected the model {server.model}, found {name[:100]}", code="model_not_found")
        return _model(server)

    return routes


def _model(server: Server) -> dict[str, Any]:
    """The model in OpenAI's form; `root` names the version that is served."""
    served = server.served
    return {
        "id": server.model, "object": "model", "created": 0, "owned_by": "gradus",
        "root": f"{server.model}/{served.version}", "method": served.made_by,
        "inputs": list(served.columns),
    }  # fmt: skip


def _answers(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        exchange = Exchange(server, request)

        async def understood() -> tuple[ChatCompletionRequest, ChatReply]:
            asked = await parsed(ChatCompletionRequest, server, request)
            counted = bool(asked.stream_options and asked.stream_options.include_usage)
            return asked, ChatReply(server.model, asked.n, include_usage=counted, calling=asked.calling)

        return await exchange.reply(understood)

    @routes.post("/v1/responses")
    async def responses(request: Request) -> Response:
        exchange = Exchange(server, request)

        async def understood() -> tuple[ChatCompletionRequest, Reply]:
            asked = await parsed(ResponsesRequest, server, request)
            return await read_apart(lambda: asked.chat), TextResponse(asked, server.model)

        return await exchange.reply(understood)

    @routes.post("/v1/completions")
    @routes.post("/v1/embeddings")
    async def unsupported(request: Request) -> None:
        raise RequestError(
            404, f"expected /v1/chat/completions or /v1/responses, found {request.url.path}, which is not supported",
            code="unsupported_endpoint",
        )  # fmt: skip

    return routes


def _feedback(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.post("/v1/feedback")
    async def feedback(request: Request) -> dict[str, str]:
        caller = server.admit(request)
        body = await parsed(FeedbackRequest, server, request)
        if server.journal is None:
            raise RequestError(501, "this server keeps no traces", code="no_traces")
        if server.corrections is not None:
            await asyncio.to_thread(server.corrections.check, body, server.params)
        await asyncio.to_thread(server.journal.told, body.id, body.score, body.corrected, caller)
        return {"status": "ok"}

    return routes


def _add_errors(app: FastAPI) -> None:
    """Return every error in OpenAI's form."""

    async def tell(_: Request, error: Exception) -> JSONResponse:
        refused = refusal(error)
        return JSONResponse(refused.body, status_code=refused.status, headers=refused.headers)

    for kind in (RequestError, ValidationError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, tell)
