"""What flows between the components: examples, prompts, completions, scores and the record of a run.

Decides their shape and how they are written; computes nothing.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from components.errors import DataError


class Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyRecord = TypeVar("AnyRecord", bound=Record)
Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(Record):
    """A call of a tool as an assistant wrote it; `arguments` are the text that should be a JSON object.

    A call that could not be read as one has no name, and the whole text as its arguments.
    """

    id: str
    name: str
    arguments: str

    @property
    def openai(self) -> dict[str, Any]:
        """The call as OpenAI's messages have it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class Tool(Record):
    """A tool as a model is told of it; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str = ""
    parameters: dict[str, Any]

    @property
    def openai(self) -> dict[str, Any]:
        """The tool as OpenAI's requests and chat templates have it."""
        return {"type": "function", "function": self.model_dump()}


class Message(Record):
    """One turn of a conversation; an assistant's may call tools, a tool's answers the call of `tool_call_id`."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @model_serializer(mode="wrap")
    def _without_what_it_lacks(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Role and content alone where there is nothing else: what was written before tools came reads as it did."""
        return {key: value for key, value in write(self).items() if key in ("role", "content") or value}

    @property
    def openai(self) -> dict[str, Any]:
        """The message as OpenAI's requests and chat templates have it."""
        calls = [call.openai for call in self.tool_calls]
        return {**self.model_dump(), **({"tool_calls": calls} if calls else {})}


class Example(Record):
    """One case of a workload.

    `input` holds the columns that prompts may refer to. `demonstration` is the completion that training imitates,
    `reference` the right one: only evaluation and the verifier read it. `evidence` is what a verifier needs beside
    it, such as unit tests: no prompt ever shows it.
    """

    id: str
    input: dict[str, str]
    demonstration: str
    reference: str
    group: str
    slices: dict[str, str] = {}
    evidence: dict[str, str] = {}


class Preference(Record):
    """Of two answers to an example the better and the worse one: a line of data/<workload>/preferences.jsonl.

    `input` is what was asked where that is no example of train, as in production.
    """

    example_id: str
    chosen: str
    rejected: str
    input: dict[str, str] = {}


class Thumb(Record):
    """Whether one answer to an example was good: a line of data/<workload>/thumbs.jsonl; `input` as of `Preference`."""

    example_id: str
    text: str
    good: bool
    input: dict[str, str] = {}


class Logged(Record):
    """An answer with its score in [0, 1]: a line of data/<workload>/logs.jsonl; `input` as of `Preference`.

    `log_probability` is the natural logarithm of the probability with which the whole answer was drawn, None where it
    was not drawn at temperature 1, or nobody knows.
    """

    example_id: str
    text: str
    score: float = Field(ge=0, le=1)
    input: dict[str, str] = {}
    log_probability: float | None = Field(default=None, le=0)


class Usage(Record):
    """Tokens of one call."""

    input_tokens: int
    output_tokens: int


StopReason = Literal[
    "completed",
    "tool_stopped",
    "max_turns",
    "max_tool_calls",
    "max_tokens",
    "max_sampled_tokens",
    "context_overflow",
    "parse_error",
    "rollout_timeout",
    "environment_error",
    "engine_error",
    "imported",
]
"""Why a trajectory ended: the assistant or its user was done; a tool ended it; the limit of turns, of calls, of the
trajectory's tokens, of a turn's; the model's context; too many calls that could not be made; time; a failure of the
environment or the engine; unknown, since it comes from elsewhere."""


class Trajectory(Record):
    """One try at an example by an agent: what was said and called, how it ended and what state it left.

    `tool_calls` counts calls that were carried out, `tool_errors` those of them that failed, `invalid_calls` what
    could not be carried out: no JSON, an unknown tool, arguments against the schema. `turn_scores` has what the
    environment gave by turn of the assistant, where it tells; `reward` what it gave in the end. `greeting` is what the
    environment said at first, which joined the last message before the assistant's first. `error` says why the try says
    nothing about the agent: it is then no failure of its, and nobody scores it.
    """

    id: str
    example_id: str
    trial: int = Field(default=0, ge=0)
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    stop_reason: StopReason
    turns: int = Field(default=0, ge=0)
    tool_calls: int = Field(default=0, ge=0)
    tool_errors: int = Field(default=0, ge=0)
    invalid_calls: int = Field(default=0, ge=0)
    usage: Usage
    latency_ms: float = 0.0
    final_state: dict[str, Any] | None = None
    turn_scores: tuple[float | None, ...] = ()
    reward: FiniteFloat | None = None
    policy_version: str = ""
    greeting: str = ""
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it came to its end by itself, and no limit cut it."""
        return self.error is None and self.stop_reason in ("completed", "tool_stopped", "imported")

    @property
    def demonstration(self) -> str:
        """It as JSON without what is this try's alone: equal ones are equal texts, whoever made them."""
        free = Usage(input_tokens=0, output_tokens=0)
        plain = {"id": self.example_id, "trial": 0, "usage": free, "latency_ms": 0.0, "policy_version": ""}
        return self.model_copy(update=plain).model_dump_json(exclude_defaults=True)

    @property
    def answer(self) -> str:
        """The last text that the assistant said; empty where it said none."""
        said = (turn.content for turn in reversed(self.messages) if turn.role == "assistant" and turn.content)
        return next(said, "")

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """All calls, in order."""
        return tuple(call for turn in self.messages for call in turn.tool_calls)

    @property
    def undescribed(self) -> tuple[str, ...]:
        """The tools that were called and whose schemas are not here: nobody can learn to call them."""
        return tuple(sorted({call.name for call in self.calls} - {tool.name for tool in self.tools}))

    @property
    def first_turn(self) -> int | None:
        """The place of the assistant's first message, None where it said nothing."""
        return next((at for at, message in enumerate(self.messages) if message.role == "assistant"), None)


class Completion(Record):
    """What a model answered to one example; `error` says why there is no answer.

    Of an agent's trajectory `text` is the last answer.

    `confidence` is the probability in [0, 1] that the model gave the whole answer, None where an engine does not tell.
    """

    example_id: str
    text: str
    usage: Usage
    latency_ms: float
    finish_reason: Literal["stop", "length", "error"] = "stop"
    error: str | None = None
    confidence: float | None = None
    trajectory: Trajectory | None = None

    @property
    def given(self) -> str:
        """All that was given: the text, of an agent the whole try as a demonstration has it."""
        return self.trajectory.demonstration if self.trajectory else self.text

    @classmethod
    def of_text(cls, example_id: str, text: str) -> "Completion":
        """An answer that is only to be scored: whoever wrote it, no tokens and no time are counted."""
        return cls(example_id=example_id, text=text, usage=Usage(input_tokens=0, output_tokens=0), latency_ms=0.0)


RouteName = Literal["champion", "canary", "shadow", "fallback"]
Moment = Annotated[float, Field(ge=0, le=253_402_300_799)]  # seconds since 1970, UTC, to the end of the year 9999


class Trace(Record):
    """One answer of production: who answered what on which route, how long it took, and whether it was valid.

    The answer that the caller got has the id that the caller knows; others have the route behind it.
    `at` is the time in seconds since 1970, UTC; `valid` says whether the answer obeys the workload's schema.
    `input` holds the workload's input columns where the request named them, and is empty for a conversation of the
    caller's own; `cost_usd` is what the answer cost at the measured or listed price. `caller` is a salted hash of the
    key that asked, empty where no key is asked for; `customer` one of whom it asked for. A request that a version did
    not answer has the finish reason `error` and why instead of a text; it is not valid.

    Where tools were offered, `tools` has them with their schemas and `calls` what the answer called; it is valid where
    its calls are whole. It is a turn of a conversation then and no answer of the workload: `input` is empty.
    """

    id: str
    at: Moment
    workload: str
    version: int
    method: str
    input: dict[str, str] = {}
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


Production = Trace | Feedback | Scored


FORMAT = 2  # of what is kept of production, raised when something changes its meaning; 1 named no format


def production_line(record: Production) -> str:
    """A record of production as a line of JSON, without the line end; it names its format."""
    return f'{{"format":{FORMAT},{record.model_dump_json().removeprefix("{")}'


def production_record(line: str) -> Production:
    """The record of production that a line of JSON is, written by this version or by an earlier one.

    What a line has beyond a record's fields is left out, what it lacks has its usual value.

    Raises:
        DataError: It is none, or of a later format.
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


class Score(Record):
    """How good a completion is: `value` in [0, 1]; `passed` when nothing is wrong; `parts` by field or scorer."""

    value: float
    passed: bool
    reason: str = ""
    parts: dict[str, float] = {}


class Judged(Record):
    """What an answer is worth: its score, or why the scorer could not decide, and whether its schema allows it."""

    example_id: str
    valid: bool
    score: Score | None
    failure: str = ""


class Interval(Record):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(Record):
    """A rung against its parent on the same examples; `fixed` and `broken` count examples that changed sides.

    `effect` is the design effect of examples in groups: n of them tell as much as n / effect independent ones.
    """

    delta: float
    low: float
    high: float
    p_value: float
    fixed: int
    broken: int
    effect: float = 1.0


class Latency(Record):
    """Milliseconds a call."""

    p50: float
    p95: float


class Cost(Record):
    """US dollars; `measured` is False where an API was priced from tokens without being called."""

    usd_per_1k_calls: float
    usd_per_year: float
    usd_per_1k_correct: float | None
    measured: bool


Makes = Literal["classifier", "prompt", "model"]
"""What a method makes, and so what answers: a fitted classifier, a prompt for a model, a model with its prompt."""


Need = Literal["demonstrations", "preferences", "reward", "teacher", "suspects", "novelty"]
"""What a method must be given: right answers to imitate, pairs of a better and a worse answer, a scorer that can be
trusted, a stronger model, the suspects of the label audit, word of what some split has already. A reward brings the
certificate before it and the watch during it."""


class DivergedAnswer(Record):
    """An answer on dev that earned more and was worth less; pairs: the best earlier checkpoint's, the last's."""

    example_id: str
    before: str
    after: str
    reward: tuple[float, float]
    sealed: tuple[float, float]


class Divergence(Record):
    """Reward hacking: means on dev at `best_step` and at `step`, where training stopped.

    `p_value` is that of a falling sealed score (one-sided, paired), to be at most `limit`.
    """

    step: int
    best_step: int
    reward: tuple[float, float]
    sealed: tuple[float, float]
    p_value: float
    limit: float
    examples: tuple[DivergedAnswer, ...] = ()


class RewardWatch(Record):
    """How RL was watched by a sealed scorer; `failed` counts answers on which that could not decide."""

    looks: int
    examples: int
    failed: int = 0
    stopped: Divergence | None = None


class Rung(Record):
    """The `result.json` in a rung's directory: what was made, from what, by which run.

    `starts_from` is the rung whose model or prompt it started from, None for the base model and for what starts from
    nothing; `compared_with` the rung or group that it challenges. `dev_score` and `dev_validity` are
    shares of `dev_examples`; `paid_usd` went to APIs while it was made.
    """

    name: str
    method: str
    makes: Makes
    starts_from: str | None = None
    compared_with: str | None = None
    needs: tuple[Need, ...] = ()
    prompt: str | None = None
    params_hash: str
    data_hash: str
    seed: int
    git_commit: str
    seconds: float
    mlflow_run_id: str | None = None
    dev_score: float | None = None
    dev_validity: float | None = None
    dev_examples: int = 0
    curves: dict[str, list[tuple[float, float]]] = {}
    watch: RewardWatch | None = None
    paid_usd: float = 0.0


class TrialShare(Record):
    """Of `tasks` tasks with at least k trials: solved in all of k (`every`), in one of k (`some`)."""

    k: int
    tasks: int
    every: Interval
    some: Interval


class TriesResult(Record):
    """How an agent's `tries` at tasks of test went, in means a try; shares in [0, 1].

    `by_k` is pass^k and pass@k for each k up to the most trials of a task. `calls` are all that were written,
    `invalid_calls` the share of them that could not be carried out, `tool_errors` the share of the others that failed.
    """

    tasks: int
    tries: int
    by_k: tuple[TrialShare, ...]
    turns: float
    calls: float
    invalid_calls: float
    tool_errors: float
    stop_reasons: dict[str, int]


class RungResult(Record):
    """One rung on the test split, as reports read it; `slices` hold accuracies, `slice_sizes` of how many examples.

    `parent` is the rung that it was compared with, `starts_from` the one whose weights it had at first. `n` counts the
    answers that the scorer could decide, `scorer_errors` the others: they are neither right nor wrong. `effective_n` is
    how many independent answers say as much, where examples come in groups. `tries` is told of agents alone: their
    trials of one task are examples of one group.
    """

    name: str
    method: str
    makes: Makes
    parent: str | None
    starts_from: str | None = None
    needs: tuple[Need, ...] = ()
    n: int
    accuracy: Interval
    validity: Interval
    fields: dict[str, float]
    slices: dict[str, dict[str, float]]
    slice_sizes: dict[str, dict[str, int]] = {}
    usage: dict[str, float]
    latency_ms: Latency
    cost: Cost
    vs_parent: Comparison | None
    seconds: float
    mlflow_run_id: str | None
    scorer_errors: int = 0
    effective_n: float | None = None
    tries: TriesResult | None = None


class DataSummary(Record):
    """The data of a run; None where nobody told how many demonstrations are right."""

    version: str
    train: int
    dev: int
    test: int
    sealed: int
    quarantined: int = 0
    demonstration_accuracy: float | None


class SliceComparison(Comparison):
    """A challenger against the champion on the examples of one slice, named as `channel=chat`."""

    name: str
    n: int


class SliceFindings(Record):
    """What slices say to a gate, without saying which said it: how many there are, and how many speak against.

    `refused` tells whether one got significantly worse; `needed` how many examples would rule the losses out that are
    not yet, None where more do not help. `least` and `most` are the smallest losses that would have been seen with a
    chance of 80 %, on the slice that shows most and on the one that shows least; they hang on sizes alone.
    """

    n: int
    against: int = 0
    refused: int = 0
    needed: int | None = None
    least: float | None = None
    most: float | None = None


class GateNumbers(Record):
    """Everything that the gate decides by: a challenger on the sealed split, beside the champion where there is one.

    `level` is what the contenders are compared by, in [0, 1]: accuracy, or the mean score. `p_value` belongs to the
    test that was declared (two-sided, or twice a one-sided one), `deviation` is that of one example's difference.
    Answers that the scorer could not decide, `undecided` of them, count against the challenger; `best_delta` is the
    difference if they counted for it. `groups` says in how many groups the examples come, `valid_effect` is the design
    effect of validity. `slices` are kept only when
    the sealed split retires; before that `sliced` says what a decision needs of them.
    """

    n: int
    validity: float
    valid: Interval | None = None
    valid_effect: float = 1.0
    groups: int | None = None
    undecided: int = 0
    best_delta: float | None = None
    level: Interval
    failed_cases: tuple[str, ...] = ()
    latency_ms_p95: float | None = None
    usd_per_1k_calls: float | None = None
    champion_level: float | None = None
    versus: Comparison | None = None
    p_value: float | None = None
    deviation: float | None = None
    slices: tuple[SliceComparison, ...] = ()
    sliced: SliceFindings | None = None


class Verdict(Record):
    """What the gate decided, and why.

    `alpha` is the level at which this comparison was tested: that of the `look` at the sealed split, corrected for the
    other comparisons of the climb. Where more examples could settle it, `more_examples` says how many.
    """

    champion: str
    challenger: str
    decision: Literal["promoted", "kept"]
    reasons: tuple[str, ...]
    undecided: bool = False
    more_examples: int = 0
    alpha: float | None = None
    look: int = 1
    numbers: GateNumbers | None = None


class Ladder(Record):
    """`artifacts/<run>/ladder.json`: what the report, the gate and other programs read."""

    workload: str
    profile: str
    seed: int
    simulated: bool
    data: DataSummary
    rungs: tuple[RungResult, ...]
    gate: Verdict | None
    climb: tuple[Verdict, ...] = ()
    seconds: dict[str, float]


def to_json(answer: Any) -> str:
    """The one way in which answers are written: whole numbers without a fraction, one line."""
    return json.dumps(_plain(answer), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """Write records one a line, beside the file first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(record.model_dump_json() + "\n" for record in records), encoding="utf-8")
    part.replace(path)


def read_jsonl(path: Path, record: type[AnyRecord]) -> list[AnyRecord]:
    """Read records.

    Raises:
        DataError: The file is missing, or a line is no such record.
    """
    if not path.is_file():
        raise DataError(f"expected a file of {record.__name__} records, found none at {path}")
    records: list[AnyRecord] = []
    *lines, rest = _text(path, record).split("\n")  # U+2028 is text
    if rest:
        raise DataError(f"expected whole lines, found that the last one is cut ({path}:{len(lines) + 1})")
    for number, line in enumerate(lines, start=1):
        try:
            records.append(record.model_validate_json(line))
        except ValidationError as error:
            reason = error.errors()[0]
            raise DataError(f"expected a {record.__name__}, found {reason['msg']} ({path}:{number})") from error
    return records


def write_record(path: Path, record: Record) -> None:
    """Write one record as indented JSON, beside the file first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def read_record(path: Path, record: type[AnyRecord]) -> AnyRecord:
    """Read one record.

    Raises:
        DataError: The file is missing, or holds something else.
    """
    if not path.is_file():
        raise DataError(f"expected a {record.__name__}, found no file at {path}")
    try:
        return record.model_validate_json(_text(path, record))
    except ValidationError as error:
        raise DataError(f"expected a {record.__name__}, found {error.errors()[0]['msg']} ({path})") from error


def _text(path: Path, record: type[Record]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"expected a file of {record.__name__} records, found bytes that are no text ({path})"
        ) from error
