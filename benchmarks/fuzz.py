"""What nobody meant to send: random requests over HTTP, and random inputs to every reader of what comes from outside.

Requests are made by schemathesis from the server's own OpenAPI document, those that fit it and those that do not, and
sent to a real server over loopback whose answers are canned. A failure is a status of 500, an error in another shape
than OpenAI's, no answer within five seconds, or a server that does not answer afterwards. Inputs are made by
hypothesis; a failure is any error but the reader's own refusals. Readers stand in `READERS`.

    python -m benchmarks.fuzz
"""

import argparse
import json
import logging
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from benchmarks.engine_speed import machine, write
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
SLOW_S = 5.0
EXPECTED = frozenset({501, 503})  # of 5xx: no traces are kept here; too much at once
MOST_KEPT = 20  # failures in the record


@dataclass(frozen=True)
class Reader:
    """What reads something from outside: its name, inputs for it, and the reading; it raises for a failure alone."""

    name: str
    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]
    share: float = 1.0  # of the inputs, in proportion to other readers'


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


def fuzz_http(n: int, failures: list[dict[str, Any]]) -> tuple[int, Counter[int]]:
    """Send so many requests, alike to every operation; how many were sent, and the statuses that came back."""
    import requests
    import schemathesis
    from schemathesis import GenerationMode

    statuses = Counter[int]()
    with server() as (address, document), requests.Session() as session:
        operations = [
            found.ok()  # pyright: ignore[reportAttributeAccessIssue]: one that cannot be read ends the run
            for found in schemathesis.openapi.from_dict(document).get_all_operations()
        ]
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        budgets = _shares(n, [8.0 if operation.body else 0.5 for operation in operations for _ in modes])
        for operation, mode, budget in zip(
            [one for one in operations for _ in modes], modes * len(operations), budgets, strict=True
        ):

            def send(case: Any) -> None:
                if (path := case.formatted_path).startswith("/v1") and case.body is None and case.method == "POST":
                    case.headers = {**(case.headers or {}), "Content-Type": "application/json"}
                started = time.monotonic()
                reply = case.call(base_url=address, session=session, timeout=SLOW_S * 4)
                statuses[reply.status_code] += 1
                problem = _problem(reply, time.monotonic() - started)
                if problem:
                    failures.append({"section": "http", "path": path, "body": repr(case.body)[:500], "why": problem})

            with suppress(Unsatisfiable):  # without parameters, none breaks the description
                _draw(operation.as_strategy(generation_mode=mode), budget, send)
        alive = session.get(f"{address}/healthz", timeout=SLOW_S).ok
        if not alive:
            failures.append({"section": "http", "why": "the server no longer answers"})
    return statuses.total(), statuses


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


# -- both


def fuzz_reader(reader: Reader, n: int, failures: list[dict[str, Any]]) -> int:
    """Give a reader so many inputs; how many there were."""
    count = 0

    def read(value: Any) -> None:
        nonlocal count
        count += 1
        try:
            reader.read(value)
        except Exception as error:  # of any kind: that is what is looked for
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"[:300]
            failures.append({"section": reader.name, "input": repr(value)[:500], "why": why})

    _draw(reader.inputs, n, read)
    return count


def _draw(strategy: st.SearchStrategy[Any], n: int, use: Callable[[Any], None]) -> None:
    """Draw so many values: in rounds, since hypothesis ends a round when it has seen all that it can think of."""
    left: int = n
    number: int = 0
    while left > 0:
        drawn: int = 0

        @seed(number)
        @settings(
            max_examples=min(left, 5_000), deadline=None, database=None, phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        @given(strategy)
        def round_of(value: Any) -> None:
            nonlocal drawn
            drawn += 1
            use(value)

        round_of()
        left, number = left - drawn, number + 1


def _shares(n: int, weights: list[float]) -> list[int]:
    """Parts of a number in proportion to weights, rounded up."""
    return [-(-round(n * weight) // max(1, round(sum(weights)))) for weight in weights]


def main() -> None:
    """Send, read, say what failed, and write the record; ends with code 1 where anything did."""
    options = parse()
    logging.disable(logging.CRITICAL)
    failures: list[dict[str, Any]] = []
    started = time.monotonic()
    sent, statuses = fuzz_http(options.requests, failures) if options.requests else (0, Counter[int]())
    read = {
        reader.name: fuzz_reader(reader, n, failures)
        for reader, n in zip(READERS, _shares(options.inputs, [reader.share for reader in READERS]), strict=True)
        if n
    }
    record = {
        "requests": sent,
        "inputs": sum(read.values()),
        "failures": len(failures),
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "readers": read,
        "first_failures": failures[:MOST_KEPT],
        "seconds": time.monotonic() - started,
    }
    print(json.dumps(record, indent=1))
    write(options.output, record | machine() | {"command": " ".join(["python -m benchmarks.fuzz", *sys.argv[1:]])})
    sys.exit(1 if failures else 0)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="over HTTP")
    parser.add_argument("--inputs", type=int, default=200_000, help="to the readers, all together")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "fuzz.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
