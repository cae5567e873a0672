"""A scorer for a user's reward server: answers are sent in batches, and scores come back in the same order.

A request is a POST of `{"items": [{"input", "reference", "evidence", "text"}, …]}`; its response is
`{"scores": [{"value", "passed", "reason", "parts"} or {"error"}, …]}`, where `reason` and `parts` are optional.
With a secret, `x-gradus-signature` is the hexadecimal HMAC-SHA256 of `x-gradus-timestamp`, a full stop and the body.
Any failure is the server's and becomes an error for each affected answer. Failed calls are not sent.
"""

import asyncio
import hashlib
import hmac
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.errors import ScorerError
from components.params import HttpParams
from components.records import Completion, Example, Score
from components.scorers.protocol import Outcome, Pair, decided

if TYPE_CHECKING:
    import httpx

OK, TOO_MANY, SERVER_ERRORS = 200, 429, 500
LARGEST_REPLY = 64 << 20  # bytes
BACKOFF_S = (0.5, 8.0)  # before the first retry, then doubled up to the maximum


class _Scored(BaseModel):
    """The server's score of an answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    passed: bool
    reason: str = ""
    parts: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}


class _Refused(BaseModel):
    """The server's reason for not scoring an answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    error: str


class _Reply(BaseModel):
    """A response's body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scores: Annotated[list[_Scored | _Refused], Field(fail_fast=True)]


class HttpScorer:
    """Scores from the server."""

    def __init__(self, params: HttpParams) -> None:
        self._params = params

    def score(self, example: Example, completion: Completion) -> Score:
        return decided(self.score_many([(example, completion)])[0])

    def score_many(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """The score of each pair, or the error in its place."""
        to_send = [index for index, (_, completion) in enumerate(pairs) if completion.error is None]
        batches = [to_send[start : start + self._params.batch] for start in range(0, len(to_send), self._params.batch)]
        with ThreadPoolExecutor(1) as thread:  # a separate thread, because the caller's may be running an event loop
            request = thread.submit(lambda: asyncio.run(self._all([[pairs[n] for n in batch] for batch in batches])))
        by_index: dict[int, Outcome] = {}
        for indices, outcomes in zip(batches, request.result(), strict=True):
            by_index.update(zip(indices, outcomes, strict=True))
        return [by_index.get(index) or _unanswered(pair[1]) for index, pair in enumerate(pairs)]

    async def _all(self, batches: Sequence[list[Pair]]) -> list[list[Outcome]]:
        import httpx

        slots = asyncio.Semaphore(self._params.concurrency)

        async def answered(batch: list[Pair]) -> list[Outcome]:
            async with slots:
                return await self._batch(client, batch)

        limits = httpx.Limits(max_connections=self._params.concurrency)
        async with httpx.AsyncClient(timeout=None, limits=limits) as client:  # the time limit is for a whole attempt
            return list(await asyncio.gather(*map(answered, batches)))

    async def _batch(self, client: "httpx.AsyncClient", pairs: list[Pair]) -> list[Outcome]:
        try:
            body = json.dumps({"items": [_item(*pair) for pair in pairs]}).encode()
            return _outcomes(await self._posted(client, body), len(pairs))
        except ScorerError as error:
            place = urlsplit(self._params.url)._replace(query="", fragment="").geturl()  # a key may be in its query
            return [ScorerError(f"{error} ({place})") for _ in pairs]

    async def _posted(self, client: "httpx.AsyncClient", body: bytes) -> bytes:
        """The response's body, with retries.

        Raises:
            ScorerError: The server cannot be reached, or responds with an error.
        """
        import httpx

        problem = ""
        for attempt in range(self._params.max_retries + 1):
            pause: float | None = None
            try:
                async with asyncio.timeout(self._params.timeout_s):
                    status, headers, content = await self._attempt(client, body)
                if status == OK:
                    return content
                problem = f"status {status}: {content[:200].decode(errors='replace')!r}"
                if status != TOO_MANY and status < SERVER_ERRORS:
                    raise ScorerError(f"expected scores from the reward server, found {problem}")
                pause = _seconds(headers.get("retry-after"))
            except TimeoutError:
                problem = f"no whole answer within {self._params.timeout_s:g} s"
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            if attempt < self._params.max_retries:
                await asyncio.sleep(_pause(attempt) if pause is None else pause)
        attempts = self._params.max_retries + 1
        raise ScorerError(f"expected scores from the reward server, found {problem} in the last of {attempts} attempts")

    async def _attempt(self, client: "httpx.AsyncClient", body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """A response's status, headers and body.

        Raises:
            ScorerError: The body is too large.
        """
        content = bytearray()
        async with client.stream("POST", self._params.url, content=body, headers=self._headers(body)) as response:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > LARGEST_REPLY:
                    raise ScorerError(f"expected scores from the reward server, found over {LARGEST_REPLY:,} bytes")
        return response.status_code, response.headers, bytes(content)

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if (name := self._params.secret_variable) is None:
            return headers
        if not (secret := os.environ.get(name)):
            raise ScorerError(
                f"expected the secret of the reward server in the environment variable {name}, found none"
            )
        moment = str(int(time.time()))
        return headers | {"x-gradus-timestamp": moment, "x-gradus-signature": signature(secret, moment, body)}


def signature(secret: str, moment: str, body: bytes) -> str:
    """HMAC-SHA256 in hexadecimal; `moment`, in seconds since 1970, lets the server recognise old requests."""
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()


def _item(example: Example, completion: Completion) -> Mapping[str, Any]:
    """The data about an answer that the server gets."""
    item = example.model_dump(include={"input", "reference", "evidence"})
    return {**item, "text": completion.text}


def _outcomes(content: bytes, expected: int) -> list[Outcome]:
    """The scores in a response.

    Raises:
        ScorerError: There is something else in it, or not a score for each item.
    """
    try:
        scores = _Reply.model_validate_json(content).scores
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ScorerError(f"expected scores from the reward server, found {first['msg']} at {place!r}") from error
    if len(scores) != expected:
        raise ScorerError(f"expected {expected} scores from the reward server, found {len(scores)}")
    return [
        ScorerError(f"the reward server could not decide: {entry.error}")
        if isinstance(entry, _Refused)
        else Score(**entry.model_dump())
        for entry in scores
    ]


def _unanswered(completion: Completion) -> Score:
    return Score(value=0.0, passed=False, reason=f"no answer: {completion.error}")


def _seconds(header: str | None) -> float | None:
    """The pause, in seconds, that a server requests, up to a minute."""
    return min(float(header), 60.0) if header and header.isdigit() else None


def _pause(attempt: int) -> float:
    first, most = BACKOFF_S
    return min(most, first * 2**attempt) * random.uniform(0.5, 1)
