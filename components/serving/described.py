"""The server's API as an OpenAPI document: what its routes take, for tools that generate requests."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from components.serving.protocol import ChatCompletionRequest, FeedbackRequest
from components.serving.responses import ResponsesRequest

BODIES: dict[str, type[BaseModel]] = {
    "/v1/chat/completions": ChatCompletionRequest,
    "/v1/responses": ResponsesRequest,
    "/v1/feedback": FeedbackRequest,
}
_REFERENCE = "#/components/schemas/{model}"


def described(app: FastAPI) -> dict[str, Any]:
    """The document. It is not served, because clients of OpenAI's API do not ask for it."""
    document = get_openapi(title=app.title, version="1", routes=app.routes)
    kinds: Any = [(kind, "validation") for kind in BODIES.values()]
    names, schemas = models_json_schema(kinds, ref_template=_REFERENCE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
    for path, kind in BODIES.items():
        schema = names[kind, "validation"]
        document["paths"][path]["post"]["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": schema}},
        }  # fmt: skip
    return document
