"""What is kept of production: traces, feedback and scores, in one format of lines; and how the watch sees them."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from components.errors import DataError
from components.records.answers import Usage
from components.records.messages import Message, Tool, ToolCall
from components.records.record import Record

RouteName = Literal["champion", "canary", "shadow", "fallback"]
Moment = Annotated[float, Field(ge=0, le=253_402_300_799)]  # seconds since 1970, UTC, to the end of the year 9999


class Trace(Record):
    """One answer of production: who answered what on which route, how long it took, and whether it was valid.

    The answer that the caller got has the id that the caller knows; others have the route behind it.
    `at` is the time in seconds since 1970, UTC; `valid` says whether the answer obeys the workload's schema.
    `input` holds the workload's input columns where the request named them, and is empty where it is no answer of the
    workload: to a conversation of the caller's own, in a form of the caller's, or cut at the caller's limit. `cost_usd`
    is what the answer cost at the measured or listed price. `caller` is a salted hash of the key that asked, empty
    where no key is asked for; `customer` one of whom it asked for. A request that a version did not answer has the
    finish reason `error` and why instead of a text; it is not valid.

    Where tools were offered, `tools` has them with their schemas and `calls` what the answer called; it is valid where
    its calls are whole. It is a turn of a conversation then and no answer of the workload: `input` is empty.
    """

    id: str
    at: Moment
    workload: str
    version: int
    method: str
    input: dict[str, str] = Field(default={})
    messages: tuple[Message, ...]
    text: str
    finish_reason: str
    usage: Usage
    latency_ms: float
    valid: bool
    confidence: float | None = None
    cost_usd: float | None = None
    route: RouteName = "champion"
    returned: bool = True
    caller: str = ""
    customer: str = ""
    tools: tuple[Tool, ...] = ()
    calls: tuple[ToolCall, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the version did not answer."""
        return self.finish_reason == "error"

    @property
    def cut(self) -> bool:
        """Whether it is only an answer's beginning: the limit of tokens came before its end."""
        return self.finish_reason == "length"

    @property
    def is_turn(self) -> bool:
        """Whether it is a turn of a conversation with tools, and no answer of the workload."""
        return bool(self.tools or self.calls) or any(message.tool_calls for message in self.messages)

    @property
    def reply(self) -> Message:
        """The answer as a message."""
        return Message(role="assistant", content=self.text, tool_calls=self.calls)


def request_id(trace_id: str) -> str:
    """The id of the request that a trace belongs to: what stands before the route."""
    return trace_id.partition("~")[0]


def choices_id(trace_id: str) -> str:
    """The id that all completions of a request share: what stands before the route, and before a further one's number.

    A request has at most a hundred completions, and its own id ends in more than two digits.
    """
    stem, dash, number = request_id(trace_id).rpartition("-")
    return stem if dash and number.isdecimal() and len(number) <= 2 else request_id(trace_id)


class Feedback(Record):
    """What became of an answer, by the id of its trace: a score in [0, 1], the right answer, or both.

    `sender` is a salted hash of the key that says so, empty where no key is asked for; `reviewer` says whether that
    key has this role.
    """

    trace_id: str
    at: Moment
    workload: str
    score: float | None = None
    corrected: str | None = None
    sender: str = ""
    reviewer: bool = False

    @property
    def person(self) -> str | None:
        """Who sent it."""
        return self.sender


class Scored(Record):
    """How good an answer of production was, in [0, 1], and who says so; `passed` when nothing was wrong.

    `sender` and `reviewer` are those of the feedback behind it.
    """

    trace_id: str
    at: Moment
    workload: str
    source: Literal["scorer", "feedback", "judge"]
    value: float
    passed: bool
    reason: str = ""
    sender: str = ""
    reviewer: bool = False

    @property
    def person(self) -> str | None:
        """Who sent the feedback behind it; None of what a scorer or a judge says."""
        return self.sender if self.source == "feedback" else None


Production = Trace | Feedback | Scored
FORMAT = 2  # of what is kept of production, raised when something changes its meaning; 1 named no format


def production_line(record: Production) -> str:
    """A record of production as a line of JSON, without the line end; it names its format."""
    return f'{{"format":{FORMAT},{record.model_dump_json().removeprefix("{")}'


def production_record(line: str) -> Production:
    """The record of production that a line of JSON is, written by this version or by an earlier one.

    What a line has beyond a record's fields is left out, what it lacks has its usual value.

    Raises:
        DataError: It is not a record, or has a later format.
    """
    try:
        content: Any = json.loads(line)
        kind = Trace if "trace_id" not in content else Scored if "source" in content else Feedback
        if content.get("format", 1) > FORMAT:
            raise DataError(f"expected a record of format {FORMAT} or earlier, found {line[:80]!r}")
        return kind.model_validate(known_fields(kind, content))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"expected a trace, a feedback or a score, found {line[:80]!r}") from error


def known_fields(kind: type[Record], content: Mapping[str, Any]) -> dict[str, Any]:
    """What a record of this kind takes of what was kept; a field that is null stands for its usual value."""
    return {
        name: content[name]
        for name, field in kind.model_fields.items()
        if name in content and (content[name] is not None or field.is_required())
    }


class Observation(Record):
    """An input and its answer as the watch compares them; personal data masked, as in traces.

    `score` in [0, 1] where it is known. `customer` names whose it is, or the group of an example; empty where nobody
    knows. `at` is the time in seconds since 1970, 0 where there is none.
    """

    input: dict[str, str]
    text: str
    output_tokens: int
    valid: bool
    confidence: float | None = None
    score: float | None = None
    customer: str = ""
    at: float = 0.0
