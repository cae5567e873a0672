"""A reward server of the user's own: answers are sent in batches, scores come back in the same order.

One request is a POST of `{"items": [{"input", "reference", "evidence", "text"}, …]}`; its answer is
`{"scores": [{"value", "passed", "reason", "parts"} or {"error"}, …]}`, of which `reason` and `parts` may be missing.
With a secret, `x-gradus-signature` is the hexadecimal HMAC-SHA256 of `x-gradus-timestamp`, a full stop and the body.
What goes wrong is the server's failure, an error for each answer that it concerns; one without an answer is not sent.
"""

import hashlib
import hmac
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.errors import ScorerError
from components.params import HttpParams
from components.records import Completion, Example, Score
from components.scorers.protocol import Outcome, Pair, decided

if TYPE_CHECKING:
    import httpx

OK, TOO_MANY, SERVER_ERRORS = 200, 429, 500
BACKOFF_S = (0.5, 8.0)  # before the first retry, doubled for each further one; at most


class _Told(BaseModel):
    """What the server says of one answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    passed: bool
    reason: str = ""
    parts: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}


class _Refused(BaseModel):
    """Why it cannot say anything of one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    error: str


class _Reply(BaseModel):
    """The body of a response."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scores: list[_Told | _Refused]


class HttpScorer:
    """The server's scores."""

    def __init__(self, params: HttpParams) -> None:
        self._params = params

    def score(self, example: Example, completion: Completion) -> Score:
        return decided(self.score_many([(example, completion)])[0])

    def score_many(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """The score of each pair, or why the server gave none."""
        import httpx

        asked = [place for place, (_, completion) in enumerate(pairs) if completion.error is None]
        batches = [asked[start : start + self._params.batch] for start in range(0, len(asked), self._params.batch)]
        found: dict[int, Outcome] = {}
        with (
            httpx.Client(timeout=self._params.timeout_s) as client,
            ThreadPoolExecutor(self._params.concurrency) as threads,
        ):
            told = threads.map(lambda places: self._batch(client, [pairs[place] for place in places]), batches)
            for places, outcomes in zip(batches, told, strict=True):
                found.update(zip(places, outcomes, strict=True))
        return [found.get(place) or _unanswered(pair[1]) for place, pair in enumerate(pairs)]

    def _batch(self, client: "httpx.Client", pairs: list[Pair]) -> list[Outcome]:
        try:
            body = json.dumps({"items": [_item(*pair) for pair in pairs]}).encode()
            return _outcomes(self._posted(client, body), len(pairs))
        except ScorerError as error:
            return [ScorerError(f"{error} ({self._params.url})") for _ in pairs]

    def _posted(self, client: "httpx.Client", body: bytes) -> bytes:
        """The body of the response, after as many attempts as it takes.

        Raises:
            ScorerError: The server cannot be reached, or answers with an error.
        """
        import httpx

        problem = ""
        for attempt in range(self._params.max_retries + 1):
            pause: float | None = None
            try:
                response = client.post(self._params.url, content=body, headers=self._headers(body))
                if response.status_code == OK:
                    return response.content
                problem = f"status {response.status_code}: {response.text[:200]!r}"
                if response.status_code != TOO_MANY and response.status_code < SERVER_ERRORS:
                    raise ScorerError(f"expected scores from the reward server, found {problem}")
                pause = _seconds(response.headers.get("retry-after"))
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            if attempt < self._params.max_retries:
                time.sleep(_pause(attempt) if pause is None else pause)
        attempts = self._params.max_retries + 1
        raise ScorerError(f"expected scores from the reward server, found {problem} in the last of {attempts} attempts")

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
    """HMAC-SHA256 in hexadecimal digits; `moment` is the time in seconds since 1970, so that old requests are told."""
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()


def _item(example: Example, completion: Completion) -> Mapping[str, Any]:
    """What the server is told of an answer."""
    told = example.model_dump(include={"input", "reference", "evidence"})
    return {**told, "text": completion.text}


def _outcomes(content: bytes, expected: int) -> list[Outcome]:
    """The scores that a response holds.

    Raises:
        ScorerError: It holds something else, or not one for each item.
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
        ScorerError(f"the reward server could not decide: {one.error}")
        if isinstance(one, _Refused)
        else Score(**one.model_dump())
        for one in scores
    ]


def _unanswered(completion: Completion) -> Score:
    return Score(value=0.0, passed=False, reason=f"no answer: {completion.error}")


def _seconds(header: str | None) -> float | None:
    """The pause that a server asks for in seconds, up to a minute."""
    return min(float(header), 60.0) if header and header.isdigit() else None


def _pause(attempt: int) -> float:
    first, most = BACKOFF_S
    return min(most, first * 2**attempt) * random.uniform(0.5, 1)
