"""Errors as OpenAI's clients read them."""

from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

MOST_NAMED = 300  # characters of a client's own text that an error repeats


class RequestError(Exception):
    """A request that is refused: its status and the fields of OpenAI's error object."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after_s = status, code, param, retry_after_s

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI's clients read it."""
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """When to try again (Retry-After), in whole seconds."""
        return {} if self.retry_after_s is None else {"Retry-After": str(max(1, -int(-self.retry_after_s // 1)))}


def refusal(error: Exception) -> RequestError:
    """Any error as one that clients read; the message of an unforeseen one is kept from them."""
    match error:
        case RequestError():
            return error
        case ValidationError():
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            return _first(first["loc"], first["msg"])
        case RequestValidationError():
            first = error.errors()[0]
            return _first(first["loc"], first["msg"])
        case HTTPException():
            return RequestError(error.status_code, str(error.detail))
        case _:
            return RequestError(500, "the server failed; its log says why")


def _first(place: Sequence[int | str], message: str) -> RequestError:
    """The refusal of a request by the first thing that is wrong in it."""
    field_name = ".".join(str(part)[:60] for part in place)
    text = message.removeprefix("Value error, ")[:MOST_NAMED]
    return RequestError(400, f"{field_name}: {text}" if field_name else text, param=field_name or None)
