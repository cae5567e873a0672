"""Fuzzing: random requests over HTTP, and random inputs to every reader of outside data.

schemathesis makes requests from the server's own OpenAPI document, valid and invalid ones, and sends them over loopback
to a real server with canned answers. A failure is status 500, an error not in OpenAI's form, more than a second of CPU
time, no answer, or a server that no longer answers afterwards. hypothesis makes inputs (`READERS`); files are damaged
(`fuzz_files`). A failure is any error except the reader's own refusals, or more than a second of CPU time.

    python -m benchmarks.fuzz

The work is split into pieces; those that an earlier call completed without failures are skipped (unless --fresh). Parts
(--part 0 2, --part 1 2) can run in parallel; a call without --part then summarises.
"""

import argparse
import json
import logging
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from benchmarks.engine_speed import machine, write
from benchmarks.fuzz_files import FILES, Files, damaged
from components.engines import ChatRequest, Sampling
from components.params import ServingParams
from components.prompts import Prompt
from components.records import Completion, Usage
from components.serving import Corrections, Follower, Served, Server, bind, config, create_app
from components.serving.described import described
from components.serving.protocol import ChatCompletionRequest, FeedbackRequest
from components.serving.refusals import RequestError, refusal
from components.serving.responses import ResponsesRequest
from components.serving.stops import cut

ROOT = Path(__file__).resolve().parents[1]
SCHEMA: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": ["kind"],
    "properties": {"kind": {"enum": ["refund", "delivery"]}, "amount": {"type": ["number", "null"]}},
}  # fmt: skip
SLOW_S = 1.0  # of CPU time, so that other load on the machine does not count as a hang
PATIENCE_S = 120.0  # after which there is no answer
STUCK_S = 10.0  # of CPU time, after which reading is aborted
PIECE = 1000
PROGRESS = ROOT / "state" / "bench" / "fuzz.jsonl"
EXPECTED = frozenset({501, 503})  # allowed 5xx: no traces are kept here; too many requests at once
MOST_KEPT = 20  # failures in the record


@dataclass(frozen=True)
class Reader:
    """A reader of outside data: its name, inputs for it, and a function that raises only for failures."""

    name: str
    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    share: float = 1.0  # of the inputs, relative to other readers


class StuckError(BaseException):
    """Reading did not end; not an Exception, so that no reader's `except` catches it."""


@dataclass
class Found:
    """The outcome of a piece."""

    count: int = 0
    statuses: Counter[str] = field(default_factory=Counter[str])
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    slowest_s: float = 0.0

    def tried(self, read: Callable[[], object], value: object) -> None:
        """Read, and repeat if slow, because a late import is not a hang."""
        self.count += 1
        seconds, why = _timed(read)
        if seconds > SLOW_S and not why:
            seconds, why = _timed(read)
        self.slowest_s = max(self.slowest_s, seconds)
        if why or seconds > SLOW_S:
            self.failures.append({"input": repr(value)[:500], "why": why or f"took {seconds:.1f} s of the processor"})


def _timed(read: Callable[[], object]) -> tuple[float, str]:
    """The CPU seconds for reading, and the failure, "" if none."""
    signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, STUCK_S)
    began = time.process_time()
    why = ""
    try:
        read()
    except (Exception, StuckError) as error:  # of any kind: this is the purpose
        where = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"[:300]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return time.process_time() - began, why


def _stop(*_: object) -> None:
    raise StuckError(f"expected an end, found none after {STUCK_S:.0f} s of the processor")


# -- the request parser

TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "",
        "\0",
        "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
        "<|im_end|>",
        "x" * 300,
        "{",
        "[[",
    ]
)
NUMBERS = (
    st.integers(-3, 20) | st.integers() | st.sampled_from([2**31, 2**63, -(2**70), 10**400, 1e308, 1e-300, 0.5, 2.0])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
PARTS = st.fixed_dictionaries({"type": st.sampled_from(["text", "input_text", "image_url", "refusal"]), "text": TEXTS})
TURNS = st.fixed_dictionaries({"role": ROLES}, optional={"content": TEXTS | st.none() | st.lists(PARTS, max_size=3)})
FORMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"])},
    optional={"json_schema": st.fixed_dictionaries({"name": TEXTS, "schema": VALUES}), "schema": VALUES},
)
NAMES = ("temperature", "top_p", "n", "seed", "stop", "stream", "stream_options", "max_tokens", "tools", "logprobs")


def bodies(needed: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[bytes]:
    """Almost valid requests: fields in the right form, with some replaced, or truncated, or missing."""
    fields = st.fixed_dictionaries(
        dict(needed), optional={**{name: VALUES for name in NAMES}, "response_format": FORMS, "user": VALUES}
    )
    replaced = st.tuples(fields, st.dictionaries(st.sampled_from([*needed, *NAMES, "odd"]), VALUES, max_size=2))
    written = replaced.map(lambda pair: json.dumps(pair[0] | pair[1]).encode())
    torn = st.tuples(written, st.integers(0, 200), st.binary(max_size=4)).map(lambda t: t[0][: t[1]] + t[2])
    return written | written | torn | st.binary(max_size=60)


def served() -> Served:
    """A version with two inputs."""
    return Served(1, "sft", Canned(), Prompt("short", "Sort.", "{subject}: {text}"), 12, SCHEMA)


def read_chat(body: bytes) -> None:
    """Read a request for a chat completion like the server, up to the engine's input."""
    with refusals():
        prepare(ChatCompletionRequest.model_validate_json(body))


def read_response(body: bytes) -> None:
    """Read a request for a response like the server."""
    with refusals():
        prepare(ResponsesRequest.model_validate_json(body).chat)


def read_feedback(body: bytes) -> None:
    """Read feedback like the server."""
    with refusals():
        CORRECTIONS.check(FeedbackRequest.model_validate_json(body), ServingParams())


def read_message(content: str) -> None:
    """Read a user message with several inputs like the server."""
    with refusals():
        prepare(ChatCompletionRequest(model="triage", messages=[{"role": "user", "content": content}]))  # type: ignore[list-item]


def prepare(asked: ChatCompletionRequest) -> None:
    """Process a request as before the engine: tokens are bounded, and the answer ends at a stop."""
    asked.refuse_unknown()
    sampling = asked.sampling(12, SCHEMA, ServingParams())
    assert sampling.n * sampling.max_new_tokens <= ServingParams().most_new_tokens
    SERVED.conversation(asked.conversation)
    answer = Completion(example_id="", text="{a}", usage=Usage(input_tokens=1, output_tokens=1), latency_ms=0)
    assert not any(stop in cut(answer, asked.stop).text for stop in asked.stop)


@contextmanager
def refusals() -> Generator[None]:
    """Refusals with a 4xx are not failures."""
    try:
        yield
    except (RequestError, ValueError) as error:
        if not 400 <= refusal(error).status < 500:
            raise


MESSAGES = TEXTS | VALUES.map(json.dumps) | st.fixed_dictionaries({"subject": VALUES, "text": VALUES}).map(json.dumps)
CORRECTED = TEXTS | st.dictionaries(st.sampled_from(["kind", "amount", "odd"]), VALUES, max_size=3).map(json.dumps)
FEEDBACK = st.fixed_dictionaries(
    {"id": TEXTS | st.just("chatcmpl-" + "0" * 32)}, optional={"score": VALUES, "corrected": CORRECTED | VALUES}
)
READERS: list[Reader] = [
    Reader("chat request", bodies({"model": st.just("triage"), "messages": st.lists(TURNS, max_size=3)}), read_chat, 4),
    Reader(
        "response request", bodies({"model": st.just("triage"), "input": TEXTS | st.lists(TURNS)}), read_response, 2
    ),
    Reader("feedback", FEEDBACK.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=40), read_feedback),
    Reader("user message", MESSAGES, read_message),
]


# -- requests over HTTP


class Canned:
    """An engine with constant answers."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        """`n` answers to each prompt."""
        usage = Usage(input_tokens=1, output_tokens=1)
        answer = Completion(example_id="", text='{"kind": "refund"}', usage=usage, latency_ms=0.1)
        return [answer for _ in requests for _ in range(sampling.n)]


SERVED, CORRECTIONS = served(), Corrections(SCHEMA)


@contextmanager
def server() -> Generator[tuple[str, dict[str, Any]]]:
    """The address of a running server, and its OpenAPI document."""
    import uvicorn

    from components.registry import Version

    version = Version(1, "sft", "model", "short", Path())
    follower = Follower(lambda: version, lambda _: served(), every_s=60)
    params = ServingParams(requests_per_minute=None)
    app = create_app(Server("triage", follower, params, corrections=CORRECTIONS))
    listening = bind("127.0.0.1", 0)
    http = uvicorn.Server(config(app, params, log_level="critical"))
    thread = threading.Thread(target=http.run, args=([listening],), daemon=True)
    thread.start()
    while not http.started or follower.served is None:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", described(app)
    finally:
        http.should_exit = True
        thread.join(30)
        listening.close()


def operations(session: "Session") -> list[Any]:
    """The operations in the server's OpenAPI document."""
    import schemathesis

    return [
        operation.ok()  # pyright: ignore[reportAttributeAccessIssue]: an invalid one ends the run
        for operation in schemathesis.openapi.from_dict(session.document).get_all_operations()
    ]


@dataclass(frozen=True)
class Session:
    """A running server, and a connection to it."""

    address: str
    document: dict[str, Any]
    connection: Any


@contextmanager
def session() -> Generator[Session]:
    """A server, and a client for it."""
    import requests

    with server() as (address, document), requests.Session() as connection:
        yield Session(address, document, connection)


def fuzz_http(open_session: Session, place: int, mode: str, n: int, number: int) -> Found:
    """Send so many requests to an operation, valid or invalid ones according to `mode`."""
    import requests
    from schemathesis import GenerationMode

    outcome = Found()
    operation = operations(open_session)[place]

    def send(case: Any) -> None:
        if (path := case.formatted_path).startswith("/v1") and case.body is None and case.method == "POST":
            case.headers = {**(case.headers or {}), "Content-Type": "application/json"}
        if outcome.count % 2 and isinstance(case.body, dict) and "model" in case.body:  # an existing name
            case.body = case.body | {"model": "triage"}
        started = time.process_time()
        outcome.count += 1
        try:
            reply = case.call(base_url=open_session.address, session=open_session.connection, timeout=PATIENCE_S)
        except requests.RequestException as error:
            outcome.failures.append({"path": path, "input": repr(case.body)[:500], "why": f"no answer: {error}"[:300]})
            return
        outcome.statuses[str(reply.status_code)] += 1
        if problem := _problem(reply, time.process_time() - started):
            outcome.failures.append({"path": path, "input": repr(case.body)[:500], "why": problem})

    with suppress(Unsatisfiable):  # without parameters, no request is invalid
        _draw(operation.as_strategy(generation_mode=GenerationMode[mode]), n, number, send)
    if not open_session.connection.get(f"{open_session.address}/healthz", timeout=PATIENCE_S).ok:
        outcome.failures.append({"path": "/healthz", "why": "the server no longer answers"})
    return outcome


def _problem(reply: Any, seconds: float) -> str:
    """What is wrong with a reply; "" if nothing is."""
    if reply.status_code >= 500 and reply.status_code not in EXPECTED:
        return f"status {reply.status_code}"
    if seconds > SLOW_S:
        return f"took {seconds:.1f} s"
    if reply.status_code < 400:
        return ""
    try:
        error = json.loads(reply.content)["error"]
        wrong = set(error) != {"message", "type", "param", "code"} or not isinstance(error["message"], str)
    except (ValueError, KeyError, TypeError):
        wrong = True
    return f"status {reply.status_code} in another shape: {reply.content[:200]!r}" if wrong else ""


# -- readers


def fuzz_reader(reader: Reader, n: int, number: int) -> Found:
    """Test a reader with so many inputs."""
    outcome = Found()
    _draw(reader.inputs, n, number, lambda value: outcome.tried(lambda: reader.read(value), value))
    return outcome


def fuzz_files(files: Files, n: int, number: int) -> Found:
    """Test a reader of files with so many damaged ones."""
    outcome = Found()
    damaged(files, n, number, outcome.tried)
    return outcome


def _draw(strategy: st.SearchStrategy[Any], n: int, number: int, use: Callable[[Any], None]) -> None:
    """Draw so many values, in rounds, because hypothesis ends a round when its ideas are exhausted."""
    left: int = n
    turn: int = 0
    while left > 0:
        drawn: int = 0

        @seed(number * 1000 + turn)
        @settings(
            max_examples=left, deadline=None, database=None, phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        @given(strategy)
        def round_of(value: Any) -> None:
            nonlocal drawn
            drawn += 1
            use(value)

        round_of()
        left, turn = left - drawn, turn + 1


# -- both, in pieces


@dataclass(frozen=True)
class Piece:
    """A number of requests or inputs that are made and counted together."""

    section: str
    n: int
    number: int
    kind: str  # requests or inputs
    run: Callable[[], Found]

    @property
    def name(self) -> str:
        """The name under which its completion is recorded."""
        return f"{self.section}: {self.n} from {self.number}"


def pieces(requests: int, inputs: int, opened: Session | None) -> list[Piece]:
    """All the work."""
    planned: list[Piece] = []
    if opened:
        asked = [
            (place, operation, mode)
            for place, operation in enumerate(operations(opened))
            for mode in ("POSITIVE", "NEGATIVE")
        ]
        budgets = _shares(requests, [8.0 if operation.body else 0.5 for _, operation, _ in asked])
        for (place, operation, mode), budget in zip(asked, budgets, strict=True):
            section = f"{operation.method.upper()} {operation.path}, {mode.lower()}"
            planned += _cut_up(section, budget, "requests", partial(fuzz_http, opened, place, mode))
    budgets = _shares(inputs, [reader.share for reader in (*READERS, *FILES)])
    for reader, budget in zip((*READERS, *FILES), budgets, strict=True):
        run = partial(fuzz_reader, reader) if isinstance(reader, Reader) else partial(fuzz_files, reader)
        planned += _cut_up(reader.name, budget, "inputs", run)
    return planned


def _cut_up(section: str, n: int, kind: str, run: Callable[[int, int], Found]) -> list[Piece]:
    sizes = [min(PIECE, n - begin) for begin in range(0, n, PIECE)]
    return [Piece(section, size, number, kind, partial(run, size, number)) for number, size in enumerate(sizes)]


def _shares(n: int, weights: list[float]) -> list[int]:
    """Split a number in proportion to weights, rounding up."""
    return [-(-round(n * weight) // max(1, round(sum(weights)))) for weight in weights]


def main() -> None:
    """Send, read, print failures, and write the record; exit with code 1 after any failure."""
    options = parse()
    logging.disable(logging.CRITICAL)
    PROGRESS.parent.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        PROGRESS.unlink(missing_ok=True)
    with session() if options.requests else nullcontext() as opened:
        wanted = pieces(options.requests, options.inputs, opened)
        done = _done()
        part, parts = options.part or (0, 1)
        for piece in (planned for planned in wanted[part::parts] if planned.name not in done and not options.so_far):
            done[piece.name] = _run(piece)
            with PROGRESS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[piece.name]) + "\n")
    if options.part:
        return
    record = _summed([done[piece.name] for piece in wanted if piece.name in done])
    record["pieces_left"] = sum(piece.name not in done for piece in wanted)
    print(json.dumps(record, indent=1))
    write(options.output, record | machine() | {"command": " ".join(["python -m benchmarks.fuzz", *sys.argv[1:]])})
    sys.exit(1 if record["failures"] else 0)


def _run(piece: Piece) -> dict[str, Any]:
    began, spent = time.monotonic(), time.process_time()
    outcome = piece.run()
    row = {
        "name": piece.name, "section": piece.section, "kind": piece.kind, "count": outcome.count,
        "statuses": dict(outcome.statuses), "failures": outcome.failures, "slowest_s": outcome.slowest_s,
        "seconds": time.monotonic() - began, "processor_s": time.process_time() - spent,
    }  # fmt: skip
    print(f"{piece.name}: {len(outcome.failures)} failures, {row['seconds']:.0f} s", flush=True)
    for failure in outcome.failures[:3]:
        print(f"  {failure}", flush=True)
    return row


def _done() -> dict[str, dict[str, Any]]:
    """The pieces that an earlier call completed without failures."""
    if not PROGRESS.is_file():
        return {}
    rows = [json.loads(line) for line in PROGRESS.read_text(encoding="utf-8").splitlines()]
    return {row["name"]: row for row in rows if not row["failures"]}


def _summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of all pieces."""
    counts = {kind: sum(row["count"] for row in rows if row["kind"] == kind) for kind in ("requests", "inputs")}
    sections, statuses = Counter[str](), Counter[str]()
    for row in rows:
        sections[row["section"]] += row["count"]
        statuses.update(row["statuses"])
    failures = [{"section": row["section"], **failure} for row in rows for failure in row["failures"]]
    return {
        **counts, "failures": len(failures), "statuses": dict(sorted(statuses.items())), "sections": dict(sections),
        "first_failures": failures[:MOST_KEPT], "slowest_s": max((row["slowest_s"] for row in rows), default=0.0),
        "seconds": sum(row["seconds"] for row in rows), "processor_s": sum(row["processor_s"] for row in rows),
    }  # fmt: skip


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=22_000, help="over HTTP; some operations have fewer")
    parser.add_argument("--inputs", type=int, default=210_000, help="to the readers, all together")
    parser.add_argument("--part", type=int, nargs=2, metavar=("I", "N"), help="the I-th of N parts; writes no record")
    parser.add_argument("--so-far", action="store_true", help="write the record of what is done, and do nothing more")
    parser.add_argument("--fresh", action="store_true", help="do again what an earlier call has done")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "fuzz.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
