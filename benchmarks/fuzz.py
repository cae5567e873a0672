"""What nobody meant to send: random requests over HTTP, and random inputs to every reader of what comes from outside.

Requests are made by schemathesis from the server's own OpenAPI document, those that fit it and those that do not, and
sent to a real server over loopback whose answers are canned. A failure is a status of 500, an error in another shape
than OpenAI's, more than a second of the processor, no answer, or a server that does not answer afterwards. Inputs are
made by hypothesis (`READERS`), files by damaging whole ones (`fuzz_files`); a failure is any error but the reader's own
refusals, or more than a second of the processor.

    python -m benchmarks.fuzz

It goes piece by piece: what an earlier call did without a failure is not done again, unless it is asked for (--fresh).
Parts (--part 0 2, --part 1 2) may run side by side; a call without it then sums up.
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
from components.engines import Ask, Sampling
from components.params import ServingParams
from components.prompts import Prompt
from components.records import Completion, Usage
from components.serving import Corrections, Follower, Served, Server, bind, config, create_app
from components.serving.described import described
from components.serving.protocol import ChatRequest, FeedbackRequest
from components.serving.refusals import RequestError, refusal
from components.serving.responses import ResponsesRequest
from components.serving.stops import cut

ROOT = Path(__file__).resolve().parents[1]
SCHEMA: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": ["kind"],
    "properties": {"kind": {"enum": ["refund", "delivery"]}, "amount": {"type": ["number", "null"]}},
}  # fmt: skip
SLOW_S = 1.0  # of the processor, so that other work on the machine is no hang
PATIENCE_S = 120.0  # until no answer is none
STUCK_S = 10.0  # of the processor, after which a reading is ended
PIECE = 1000
PROGRESS = ROOT / "state" / "bench" / "fuzz.jsonl"
EXPECTED = frozenset({501, 503})  # of 5xx: no traces are kept here; too much at once
MOST_KEPT = 20  # failures in the record


@dataclass(frozen=True)
class Reader:
    """What reads something from outside: its name, inputs for it, and the reading; it raises for a failure alone."""

    name: str
    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    share: float = 1.0  # of the inputs, in proportion to other readers'


class StuckError(BaseException):
    """A reading did not end; no reader's `except` may take it for its own."""


@dataclass
class Found:
    """What a piece came to."""

    count: int = 0
    statuses: Counter[str] = field(default_factory=Counter[str])
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    slowest_s: float = 0.0

    def tried(self, read: Callable[[], object], value: object) -> None:
        """Read once, and a second time where it was slow: a library that is imported late is no hang."""
        self.count += 1
        seconds, why = _timed(read)
        if seconds > SLOW_S and not why:
            seconds, why = _timed(read)
        self.slowest_s = max(self.slowest_s, seconds)
        if why or seconds > SLOW_S:
            self.failures.append({"input": repr(value)[:500], "why": why or f"took {seconds:.1f} s of the processor"})


def _timed(read: Callable[[], object]) -> tuple[float, str]:
    """Seconds of the processor that a reading took, and how it failed; empty where it did not."""
    signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, STUCK_S)
    began = time.process_time()
    why = ""
    try:
        read()
    except (Exception, StuckError) as error:  # of any kind: that is what is looked for
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
    """Requests that are nearly right: fields of the right form, any of them replaced, cut off, or none at all."""
    fields = st.fixed_dictionaries(
        dict(needed), optional={**{name: VALUES for name in NAMES}, "response_format": FORMS, "user": VALUES}
    )
    replaced = st.tuples(fields, st.dictionaries(st.sampled_from([*needed, *NAMES, "odd"]), VALUES, max_size=2))
    written = replaced.map(lambda pair: json.dumps(pair[0] | pair[1]).encode())
    torn = st.tuples(written, st.integers(0, 200), st.binary(max_size=4)).map(lambda t: t[0][: t[1]] + t[2])
    return written | written | torn | st.binary(max_size=60)


def served() -> Served:
    """A version that is asked with two inputs."""
    return Served(1, "sft", Canned(), Prompt("short", "Sort.", "{subject}: {text}"), 12, SCHEMA)


def read_chat(body: bytes) -> None:
    """As the server reads a request for a chat completion, up to what the engine is asked."""
    with refusals():
        prepare(ChatRequest.model_validate_json(body))


def read_response(body: bytes) -> None:
    """As the server reads a request for a response."""
    with refusals():
        prepare(ResponsesRequest.model_validate_json(body).chat)


def read_feedback(body: bytes) -> None:
    """As the server reads feedback."""
    with refusals():
        CORRECTIONS.check(FeedbackRequest.model_validate_json(body), ServingParams())


def read_message(content: str) -> None:
    """As the server reads a user message with several inputs."""
    with refusals():
        prepare(ChatRequest(model="triage", messages=[{"role": "user", "content": content}]))  # type: ignore[list-item]


def prepare(asked: ChatRequest) -> None:
    """What becomes of a request before the engine sees it: its tokens are bounded, and its answer ends at a stop."""
    asked.refuse_unknown()
    sampling = asked.sampling(12, SCHEMA, ServingParams())
    assert sampling.n * sampling.max_new_tokens <= ServingParams().most_new_tokens
    SERVED.conversation(asked.conversation)
    answer = Completion(example_id="", text="{a}", usage=Usage(input_tokens=1, output_tokens=1), latency_ms=0)
    assert not any(stop in cut(answer, asked.stop).text for stop in asked.stop)


@contextmanager
def refusals() -> Generator[None]:
    """What is refused with a 4xx is no failure."""
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
    """An engine whose answers are always the same."""

    def generate(self, prompts: list[Ask], sampling: Sampling) -> list[Completion]:
        """`n` answers to each prompt."""
        usage = Usage(input_tokens=1, output_tokens=1)
        answer = Completion(example_id="", text='{"kind": "refund"}', usage=usage, latency_ms=0.1)
        return [answer for _ in prompts for _ in range(sampling.n)]


SERVED, CORRECTIONS = served(), Corrections(SCHEMA)


@contextmanager
def server() -> Generator[tuple[str, dict[str, Any]]]:
    """The address of a server that runs, and its OpenAPI document."""
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
    """The operations that the server's OpenAPI document names."""
    import schemathesis

    return [
        found.ok()  # pyright: ignore[reportAttributeAccessIssue]: one that cannot be read ends the run
        for found in schemathesis.openapi.from_dict(session.document).get_all_operations()
    ]


@dataclass(frozen=True)
class Session:
    """A server that runs, and a connection to it."""

    address: str
    document: dict[str, Any]
    connection: Any


@contextmanager
def session() -> Generator[Session]:
    """A server, and who asks it."""
    import requests

    with server() as (address, document), requests.Session() as connection:
        yield Session(address, document, connection)


def fuzz_http(open_session: Session, place: int, mode: str, n: int, number: int) -> Found:
    """Send so many requests to an operation, those that fit its description or (`mode`) those that do not."""
    import requests
    from schemathesis import GenerationMode

    found = Found()
    operation = operations(open_session)[place]

    def send(case: Any) -> None:
        if (path := case.formatted_path).startswith("/v1") and case.body is None and case.method == "POST":
            case.headers = {**(case.headers or {}), "Content-Type": "application/json"}
        if found.count % 2 and isinstance(case.body, dict) and "model" in case.body:  # a name that there is
            case.body = case.body | {"model": "triage"}
        started = time.process_time()
        found.count += 1
        try:
            reply = case.call(base_url=open_session.address, session=open_session.connection, timeout=PATIENCE_S)
        except requests.RequestException as error:
            found.failures.append({"path": path, "input": repr(case.body)[:500], "why": f"no answer: {error}"[:300]})
            return
        found.statuses[str(reply.status_code)] += 1
        if problem := _problem(reply, time.process_time() - started):
            found.failures.append({"path": path, "input": repr(case.body)[:500], "why": problem})

    with suppress(Unsatisfiable):  # without parameters, none breaks the description
        _draw(operation.as_strategy(generation_mode=GenerationMode[mode]), n, number, send)
    if not open_session.connection.get(f"{open_session.address}/healthz", timeout=PATIENCE_S).ok:
        found.failures.append({"path": "/healthz", "why": "the server no longer answers"})
    return found


def _problem(reply: Any, seconds: float) -> str:
    """What is wrong with a reply; empty where nothing is."""
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
    """Give a reader so many inputs."""
    found = Found()
    _draw(reader.inputs, n, number, lambda value: found.tried(lambda: reader.read(value), value))
    return found


def fuzz_files(files: Files, n: int, number: int) -> Found:
    """Give a reader of files so many damaged ones."""
    found = Found()
    damaged(files, n, number, found.tried)
    return found


def _draw(strategy: st.SearchStrategy[Any], n: int, number: int, use: Callable[[Any], None]) -> None:
    """Draw so many values: in rounds, since hypothesis ends a round when it has seen all that it can think of."""
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


# -- both, piece by piece


@dataclass(frozen=True)
class Piece:
    """So many requests or inputs, which are made and counted together."""

    section: str
    n: int
    number: int
    kind: str  # of what is counted: requests or inputs
    run: Callable[[], Found]

    @property
    def name(self) -> str:
        """By which it is known to be done."""
        return f"{self.section}: {self.n} from {self.number}"


def pieces(requests: int, inputs: int, opened: Session | None) -> list[Piece]:
    """All that is to be done."""
    found: list[Piece] = []
    if opened:
        asked = [
            (place, one, mode) for place, one in enumerate(operations(opened)) for mode in ("POSITIVE", "NEGATIVE")
        ]
        budgets = _shares(requests, [8.0 if one.body else 0.5 for _, one, _ in asked])
        for (place, one, mode), budget in zip(asked, budgets, strict=True):
            section = f"{one.method.upper()} {one.path}, {mode.lower()}"
            found += _cut_up(section, budget, "requests", partial(fuzz_http, opened, place, mode))
    budgets = _shares(inputs, [one.share for one in (*READERS, *FILES)])
    for one, budget in zip((*READERS, *FILES), budgets, strict=True):
        run = partial(fuzz_reader, one) if isinstance(one, Reader) else partial(fuzz_files, one)
        found += _cut_up(one.name, budget, "inputs", run)
    return found


def _cut_up(section: str, n: int, kind: str, run: Callable[[int, int], Found]) -> list[Piece]:
    sizes = [min(PIECE, n - begin) for begin in range(0, n, PIECE)]
    return [Piece(section, size, number, kind, partial(run, size, number)) for number, size in enumerate(sizes)]


def _shares(n: int, weights: list[float]) -> list[int]:
    """Parts of a number in proportion to weights, rounded up."""
    return [-(-round(n * weight) // max(1, round(sum(weights)))) for weight in weights]


def main() -> None:
    """Send, read, say what failed, and write the record; ends with code 1 where anything did."""
    options = parse()
    logging.disable(logging.CRITICAL)
    PROGRESS.parent.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        PROGRESS.unlink(missing_ok=True)
    with session() if options.requests else nullcontext() as opened:
        wanted = pieces(options.requests, options.inputs, opened)
        done = _done()
        part, parts = options.part or (0, 1)
        for piece in (one for one in wanted[part::parts] if one.name not in done and not options.so_far):
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
    found = piece.run()
    row = {
        "name": piece.name, "section": piece.section, "kind": piece.kind, "count": found.count,
        "statuses": dict(found.statuses), "failures": found.failures, "slowest_s": found.slowest_s,
        "seconds": time.monotonic() - began, "processor_s": time.process_time() - spent,
    }  # fmt: skip
    print(f"{piece.name}: {len(found.failures)} failures, {row['seconds']:.0f} s", flush=True)
    for failure in found.failures[:3]:
        print(f"  {failure}", flush=True)
    return row


def _done() -> dict[str, dict[str, Any]]:
    """What an earlier call did without failures; what failed is done again."""
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
