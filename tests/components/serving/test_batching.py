"""Batches, with an engine that waits until it is let go."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.engines import ChatRequest, Sampling
from components.records import Completion, Message, Usage
from components.serving.batching import Batcher
from components.serving.champion import Served
from components.serving.request import Request
from components.serving.waiting import QueueFull, Waiting


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
    return [one.text for one in done.result(10)]


def test_what_waits_is_answered_together_and_each_gets_its_own() -> None:
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


def test_other_versions_and_other_sampling_are_other_batches() -> None:
    engine = Echo()
    batcher = Batcher(8, 0)
    first = batcher.submit(request(engine, "x"))
    while not engine.batches:
        pass
    kinds = [request(engine, "a"), request(engine, "b", version=2), request(engine, "c", seed=3), request(engine, "d")]
    waiting = [batcher.submit(one) for one in kinds]
    engine.go.set()
    assert [texts(one) for one in [first, *waiting]] == [["x0"], ["a0"], ["b0"], ["c0"], ["d0"]]
    batcher.close()
    assert engine.batches == [1, 2, 1, 1]


def test_who_is_alone_waits_for_nobody_and_those_who_had_answers_together_are_waited_for() -> None:
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


def test_a_failure_is_told_to_its_batch_alone_and_the_thread_goes_on() -> None:
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


def asked(caller: str, name: str, **sampling: Any) -> Request:
    one = request(Echo(), name, name, **sampling)
    one.caller = caller
    return one


def names(batch: list[Request]) -> list[str]:
    return [one.chat.example_id for one in batch]


def test_callers_take_turns_however_much_one_of_them_asks_for() -> None:
    waiting = Waiting(100, 100)
    for number in range(24):
        waiting.put(asked("greedy", f"g{number}", n=16, seed=number))  # each a batch of its own
    waiting.put(asked("modest", "m0"))
    waiting.put(asked("other", "o0"))
    assert [names(waiting.take(64, 1, 0)) for _ in range(3)] == [["g0"], ["m0", "o0"], ["g1"]]


def test_a_batch_has_one_of_each_caller_before_a_second_of_any() -> None:
    waiting = Waiting(100, 100)
    for name in ("a0", "a1", "a2", "b0", "c0"):
        waiting.put(asked(name[0], name))
    assert names(waiting.take(4, 1, 0)) == ["a0", "b0", "c0", "a1"]
    assert names(waiting.take(4, 1, 0)) == ["a2"]


def test_a_batch_holds_no_more_completions_than_it_may_but_always_a_request() -> None:
    waiting = Waiting(100, 100)
    for name in "abc":
        waiting.put(asked(name, name, n=3))
    assert [names(waiting.take(7, 1, 0)), names(waiting.take(2, 1, 0))] == [["a", "b"], ["c"]]


def test_one_caller_has_its_share_of_the_places_and_others_have_the_rest() -> None:
    waiting = Waiting(4, 2)
    waiting.put(asked("a", "a0"))
    waiting.put(asked("a", "a1"))
    with pytest.raises(QueueFull):
        waiting.put(asked("a", "a2"))
    waiting.put(asked("b", "b0"))
    given_up = asked("c", "c0")
    waiting.put(given_up)
    with pytest.raises(QueueFull):
        waiting.put(asked("d", "d0"))
    assert given_up.done.cancel()  # its place is free
    waiting.put(asked("d", "d0"))
    assert len(waiting) == 4


def test_nobody_joins_after_the_end_and_all_who_wait_are_taken() -> None:
    waiting = Waiting(4, 4)
    waiting.put(asked("a", "a0"))
    waiting.close()
    with pytest.raises(QueueFull):
        waiting.put(asked("a", "a1"))
    assert [names(waiting.take(4, 1, 0)), waiting.take(4, 1, 0)] == [["a0"], []]
