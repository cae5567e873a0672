"""The HTTP server: `/v1/chat/completions` and `/v1/models` as OpenAI's API has them, health and metrics.

Decides what happens to a request between its first byte and its last; `Follower` decides which version answers it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from components.engines import Ask
from components.errors import EngineError
from components.params import ServingParams
from components.records import Completion
from components.serving import batching
from components.serving.access import Keys, Limit
from components.serving.champion import Follower, Served
from components.serving.journal import Journal
from components.serving.metrics import Metrics
from components.serving.protocol import (
    ChatRequest,
    FeedbackRequest,
    RequestError,
    answer_body,
    new_id,
    stream_lines,
    usage,
)


@dataclass
class Server:
    """What one server is made of; `model` is the name that clients ask for."""

    model: str
    follower: Follower
    params: ServingParams = field(default_factory=ServingParams)
    keys: Keys = field(default_factory=Keys)
    journal: Journal | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.limit = Limit(self.params.requests_per_minute)
        self.batcher = batching.Batcher(self.params.most_batched, self.params.wait_ms, self.metrics.batches.observe)

    @property
    def served(self) -> Served:
        """The version that answers.

        Raises:
            RequestError: There is none yet.
        """
        if self.follower.served is None:
            raise RequestError(503, f"{self.model} has no champion that is ready", code="not_ready")
        return self.follower.served

    def admit(self, request: Request) -> None:
        """Let a caller in.

        Raises:
            RequestError: The key is unknown, or its requests are used up.
        """
        caller = request.client.host if request.client else ""
        if self.keys.hashes:
            found = self.keys.caller(request.headers.get("authorization"))
            if found is None:
                raise RequestError(401, "expected a known API key as bearer token", code="invalid_api_key")
            caller = found
        if wait_s := self.limit.wait_s(caller):
            raise RequestError(
                429, f"expected at most {self.params.requests_per_minute:g} requests a minute; "
                f"the next one in {wait_s:.1f} s", code="rate_limit_exceeded",
            )  # fmt: skip

    async def read(self, request: Request) -> bytes:
        """The body, read no further than it may be long.

        Raises:
            RequestError: It is longer.
        """
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self.params.most_request_bytes:
                most = self.params.most_request_bytes
                raise RequestError(413, f"expected a request of at most {most:,} bytes", code="request_too_large")
        return bytes(body)

    async def answer(self, name: str, asked: ChatRequest) -> list[Completion]:
        """The completions of a request, written down under its name.

        Raises:
            RequestError: It cannot be answered, or not in time.
        """
        if asked.model != self.model:
            raise RequestError(404, f"expected the model {self.model}, found {asked.model}", code="model_not_found")
        asked.refuse_unknown()
        served = self.served
        # What is drawn depends on the seed and the ask's name: requests without a seed differ.
        messages = served.conversation([turn.message for turn in asked.messages])
        ask = Ask(name if asked.seed is None else "", messages)
        sampling = asked.sampling(served.max_new_tokens, served.answer_schema)
        waiting = asyncio.wrap_future(self.batcher.submit(batching.Request(served, ask, sampling)))
        try:
            found = await asyncio.wait_for(waiting, self.params.timeout_s)
        except TimeoutError:
            raise RequestError(504, f"no answer within {self.params.timeout_s:g} s", code="timeout") from None
        except EngineError as error:
            raise RequestError(400, str(error)) from error
        if error := next((one.error for one in found if one.error is not None), None):
            raise RequestError(400, error, param="messages")
        if self.journal is not None:
            self.journal.answered(name, served, messages, found)
        return found


def create_app(server: Server) -> FastAPI:
    """The application: it follows the champion from its start to its end."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncGenerator[None]:
        server.follower.start()
        if server.journal is not None:
            server.journal.start()
        yield
        await asyncio.to_thread(server.follower.close)
        await asyncio.to_thread(server.batcher.close)
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
    from pydantic import ValidationError

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

    from pydantic import ValidationError

    for kind in (RequestError, ValidationError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, tell)
