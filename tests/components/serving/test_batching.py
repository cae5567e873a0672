"""Batches, with an engine that waits until it is let go."""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from components.engines import ChatRequest, Sampling
from components.records import Completion, Message, Usage
from components.serving.batching import Batcher, Batchers
from components.serving.champion import Served
from components.serving.request import Request
from components.serving.waiting import QueueFull


@dataclass
class Echo:
    """Answers with the question, once it may."""

    go: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list[int])

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        self.batches.append(len(requests))
        assert self.go.wait(10)
        if requests[0].example_id == "bad":
            raise RuntimeError("no")
        usage = Usage(input_tokens=1, output_tokens=1)
        return [
            Completion(
                example_id=request.example_id, text=f"{request.messages[0].content}{k}", usage=usage, latency_ms=1.0
            )
            for request in requests
            for k in range(sampling.n)
        ]


def request(engine: Echo, text: str, name: str = "x", version: int = 1, **sampling: Any) -> Request:
    served = Served(version, "grpo", engine, None, 8)
    return Request(served, ChatRequest(name, [Message(role="user", content=text)]), Sampling(**sampling))


def texts(done: "Future[list[Completion]]") -> list[str]:
    return [completion.text for completion in done.result(10)]


def test_waiting_requests_are_answered_together_and_each_gets_its_own_answer() -> None:
    engine, sizes = Echo(), list[int]()
    batcher = Batcher(6, 0, sizes.append)  # completions, of which the others want two each
    first = batcher.submit(request(engine, "a"))
    while not engine.batches:  # until the thread is busy
        pass
    others = [batcher.submit(request(engine, text, n=2)) for text in "bcde"]
    engine.go.set()
    assert texts(first) == ["a0"]
    assert [texts(other) for other in others] == [["b0", "b1"], ["c0", "c1"], ["d0", "d1"], ["e0", "e1"]]
    batcher.close()
    assert engine.batches == sizes == [1, 3, 1]


def test_other_versions_and_other_sampling_go_into_other_batches() -> None:
    engine = Echo()
    batcher = Batcher(8, 0)
    first = batcher.submit(request(engine, "x"))
    while not engine.batches:
        pass
    kinds = [request(engine, "a"), request(engine, "b", version=2), request(engine, "c", seed=3), request(engine, "d")]
    waiting = [batcher.submit(kind) for kind in kinds]
    engine.go.set()
    assert [texts(done) for done in [first, *waiting]] == [["x0"], ["a0"], ["b0"], ["c0"], ["d0"]]
    batcher.close()
    assert engine.batches == [1, 2, 1, 1]


def test_a_single_caller_waits_for_nobody_and_callers_answered_together_are_waited_for() -> None:
    engine, minute_ms = Echo(), 60_000.0
    engine.go.set()
    batcher = Batcher(8, minute_ms)
    assert texts(batcher.submit(request(engine, "a"))) == ["a0"]  # at once, or the test would take a minute
    engine.go.clear()
    first = batcher.submit(request(engine, "b"))
    while len(engine.batches) < 2:
        pass
    second = batcher.submit(request(engine, "c"))
    engine.go.set()
    assert texts(first) == ["b0"]
    third = batcher.submit(request(engine, "d"))  # the second one waits for it
    assert [texts(second), texts(third)] == [["c0"], ["d0"]]
    batcher.submit(request(engine, "e"))
    batcher.close()
    assert engine.batches == [1, 1, 2, 1]


def test_a_failure_reaches_only_its_batch_and_the_thread_goes_on() -> None:
    engine = Echo()
    engine.go.set()
    batcher = Batcher(1, 0)
    bad = batcher.submit(request(engine, "a", "bad"))
    with pytest.raises(RuntimeError, match="no"):
        bad.result(10)
    assert texts(batcher.submit(request(engine, "b"))) == ["b0"]
    batcher.close()


def test_a_request_that_was_given_up_is_not_computed() -> None:
    engine = Echo()
    batcher = Batcher(1, 0)
    first = batcher.submit(request(engine, "a"))
    while not engine.batches:
        pass
    given_up = batcher.submit(request(engine, "b"))
    assert given_up.cancel()
    engine.go.set()
    assert texts(first) == ["a0"]
    batcher.close()
    assert engine.batches == [1]


@dataclass
class Joining(Echo):
    """Answers several calls at once."""

    at_once: int = 2


def test_an_engine_that_joins_callers_gets_each_by_itself_while_it_has_room() -> None:
    engine, sizes = Joining(), list[int]()
    batcher = Batcher(8, 60_000.0, sizes.append, most_waiting=1)
    running: list[Future[list[Completion]]] = []
    for begun, text in enumerate("ab"):
        running.append(batcher.submit(request(engine, text)))
        wait(engine, begun + 1)  # the second one does not wait for the first one's answer
    waiting = batcher.submit(request(engine, "c"))
    with pytest.raises(QueueFull):
        batcher.submit(request(engine, "d"))
    assert engine.batches == [1, 1]
    engine.go.set()
    assert [texts(answer) for answer in [*running, waiting]] == [["a0"], ["b0"], ["c0"]]
    bad = batcher.submit(request(engine, "a", "bad"))
    with pytest.raises(RuntimeError, match="no"):
        bad.result(10)
    engine.go.clear()
    last = batcher.submit(request(engine, "e", n=2))
    wait(engine, 5)
    threading.Timer(0.05, engine.go.set).start()
    batcher.close()  # waits for what has begun
    assert last.done() and texts(last) == ["e0", "e1"]
    assert sizes == [1] * 5


def standing(*requests: Request) -> list[Served]:
    return [request.served for request in requests]


def test_an_engine_that_hangs_holds_up_those_alone_who_ask_it() -> None:
    batchers = Batchers(lambda: Batcher(8, 0))
    hangs, joins, alone = Joining(), Joining(), Echo()
    joins.go.set()
    alone.go.set()
    stuck = [request(hangs, text) for text in "abc"]  # one more than it has room for
    others = [request(joins, "d", version=2), request(alone, "e", version=3)]
    kept = standing(*stuck, *others)
    waiting = list[Future[list[Completion]]]()
    for begun, each in enumerate(stuck):
        waiting.append(batchers.submit(each, kept))
        wait(hangs, min(begun + 1, 2))
    assert [texts(batchers.submit(each, kept)) for each in others] == [["d0"], ["e0"]]
    assert batchers.waiting == 1 and not any(answer.done() for answer in waiting)
    hangs.go.set()
    assert [texts(answer) for answer in waiting] == [["a0"], ["b0"], ["c0"]]
    batchers.close()
    with pytest.raises(QueueFull):
        batchers.submit(request(joins, "f"), kept)


def test_an_engine_that_no_version_has_any_more_answers_who_waits_and_is_kept_no_longer() -> None:
    batchers = Batchers(lambda: Batcher(8, 0))
    old, new = Joining(), Joining()
    new.go.set()
    before = [request(old, text) for text in "abc"]
    waiting = [batchers.submit(each, standing(*before)) for each in before]
    wait(old, 2)
    kept = batchers.kept
    after = request(new, "d", version=2)
    assert texts(batchers.submit(after, standing(after))) == ["d0"]
    assert len(kept) == len(batchers.kept) == 2  # the shared one, and the engine's
    assert kept[0] is batchers.kept[0] and kept[1] is not batchers.kept[1]
    late = batchers.submit(request(old, "e"), standing(after))  # it was on its way when the version was replaced
    old.go.set()
    assert [texts(answer) for answer in [*waiting, late]] == [["a0"], ["b0"], ["c0"], ["e0"]]
    kept[1].close()
    assert not kept[1].alive
    batchers.close()


def test_what_nobody_waits_for_is_answered_when_no_caller_waits() -> None:
    engine = Echo()
    batcher = Batcher(8, 0)
    first = batcher.submit(request(engine, "a"))
    while not engine.batches:
        pass
    spare = [replace(request(engine, text), spare=True) for text in "xy"]
    asked = [batcher.submit(each) for each in [spare[0], request(engine, "b", seed=1), spare[1], request(engine, "c")]]
    order = list[str]()
    for answer, text in zip(asked, "xbyc", strict=True):
        answer.add_done_callback(lambda _, text=text: order.append(text))
    assert batcher.waiting == 2
    engine.go.set()
    batcher.close()
    assert texts(first) == ["a0"] and order == ["b", "c", "x", "y"]


def wait(engine: Echo, calls: int) -> None:
    """Wait until so many calls have begun."""
    ends = time.monotonic() + 10
    while len(engine.batches) < calls:
        assert time.monotonic() < ends
        time.sleep(0.001)
