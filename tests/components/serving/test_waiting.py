"""Who waits, who is next, and who must stay outside."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from components.serving.request import Request
from components.serving.waiting import QueueFull, Waiting
from tests.components.serving.test_batching import Echo, request


def asked(caller: str, name: str, **sampling: Any) -> Request:
    waiting = request(Echo(), name, name, **sampling)
    waiting.caller = caller
    return waiting


def names(batch: list[Request]) -> list[str]:
    return [waiting.chat.example_id for waiting in batch]


def test_callers_take_turns_however_much_one_of_them_asks_for() -> None:
    waiting = Waiting(100, 100)
    for number in range(24):
        waiting.put(asked("greedy", f"g{number}", n=16, seed=number))  # each a batch of its own
    waiting.put(asked("modest", "m0"))
    waiting.put(asked("other", "o0"))
    for batch in (["g0"], ["m0", "o0"], ["g1"]):
        assert names(waiting.take(64, 1, 0)) == batch


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
    assert names(waiting.take(7, 1, 0)) == ["a", "b"]
    assert names(waiting.take(2, 1, 0)) == ["c"]


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
    assert names(waiting.take(4, 1, 0)) == ["a0"]
    assert Taking(waiting, expected=1, wait_s=HOUR_S).batch() == []


def test_places_of_given_up_requests_become_free_when_a_caller_has_used_up_its_share() -> None:
    waiting = Waiting(100, 2)
    given_up, stays = asked("a", "a0"), asked("a", "a1")
    for entry in (given_up, stays, asked("b", "b0")):
        waiting.put(entry)
    assert given_up.done.cancel()
    waiting.put(asked("a", "a2"))
    with pytest.raises(QueueFull):
        waiting.put(asked("a", "a3"))
    assert names(waiting.take(9, 1, 0)) == ["a1", "b0", "a2"]


def test_a_caller_all_of_whose_requests_were_given_up_has_no_turn() -> None:
    waiting = Waiting(2, 2)
    for entry in (gone := [asked("a", "a0"), asked("a", "a1")]):
        waiting.put(entry)
    assert all(entry.done.cancel() for entry in gone)
    waiting.put(asked("b", "b0"))
    assert len(waiting) == 1
    assert names(waiting.take(9, 1, 0)) == ["b0"]


def test_a_batch_is_of_the_kind_of_its_first_and_leaves_the_others_in_their_order() -> None:
    waiting = Waiting(100, 100)
    for name, seed in (("a0", 1), ("a1", 2), ("a2", 1), ("b0", 2), ("c0", 0), ("c1", 1)):
        waiting.put(asked(name[0], name, seed=seed))
    for batch in (["a0", "c1", "a2"], ["b0", "a1"], ["c0"]):
        assert names(waiting.take(9, 1, 0)) == batch


def test_draining_takes_every_waiting_request() -> None:
    waiting = Waiting(100, 100)
    for name in ("a0", "b0", "a1"):
        waiting.put(asked(name[0], name))
    assert names(waiting.drain()) == ["a0", "a1", "b0"]
    assert (len(waiting), waiting.drain()) == (0, [])


PATIENCE_S = 30.0  # with a thread that does nothing any more; a busy machine needs less


class Taking:
    """A thread that takes a batch, and says each time before it waits for somebody."""

    def __init__(self, waiting: Waiting, expected: int, wait_s: float, most: int = 9) -> None:
        self._waits, self._batch = threading.Semaphore(0), list[Request]()
        wait_for: Callable[..., bool] = waiting._changed.wait_for

        def told(*args: Any) -> bool:
            self._waits.release()
            return wait_for(*args)

        waiting._changed.wait_for = told  # type: ignore[method-assign]
        self._thread = threading.Thread(
            target=lambda: self._batch.extend(waiting.take(most, expected, wait_s)), daemon=True
        )
        self._thread.start()

    def waits(self) -> bool:
        """Whether it comes to wait once more."""
        return self._waits.acquire(timeout=PATIENCE_S)

    def batch(self) -> list[str]:
        """What it took."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return names(self._batch)


HOUR_S = 3600.0


def test_a_batch_waits_for_its_first_request_however_long_and_alone_for_no_other() -> None:
    waiting = Waiting(100, 100)
    taking = Taking(waiting, expected=1, wait_s=HOUR_S)
    assert taking.waits()
    waiting.put(asked("a", "a0"))
    assert taking.batch() == ["a0"]


def test_a_batch_waits_until_as_many_are_there_as_are_expected() -> None:
    waiting = Waiting(100, 100)
    taking = Taking(waiting, expected=3, wait_s=HOUR_S)
    for name in "abc":
        assert taking.waits()
        waiting.put(asked(name, name))
    assert taking.batch() == ["a", "b", "c"]


def test_a_batch_that_is_full_waits_for_nobody() -> None:
    waiting = Waiting(100, 100)
    for name in "abc":
        waiting.put(asked(name, name))
    assert Taking(waiting, expected=5, wait_s=HOUR_S, most=3).batch() == ["a", "b", "c"]


def test_a_batch_does_not_wait_for_requests_that_come_too_late() -> None:
    waiting = Waiting(100, 100)
    waiting.put(asked("a", "a0"))
    assert Taking(waiting, expected=2, wait_s=0.01).batch() == ["a0"]


@pytest.mark.parametrize("there", [[], ["a"]])
def test_closing_wakes_the_thread_that_waits_for_a_request(there: list[str]) -> None:
    waiting = Waiting(100, 100)
    for name in there:
        waiting.put(asked(name, name))
    taking = Taking(waiting, expected=3, wait_s=HOUR_S)
    for _ in ["the first", *there]:
        assert taking.waits()
    waiting.close()
    assert taking.batch() == there


def test_what_nobody_waits_for_takes_no_callers_place_and_has_few_of_its_own() -> None:
    waiting = Waiting(1, 1)
    spare = [asked("a", f"s{number}") for number in range(9)]
    for each in spare:
        each.spare = True
    for each in spare[:8]:
        waiting.put(each)
    with pytest.raises(QueueFull):
        waiting.put(spare[8])
    assert len(waiting) == 0
    waiting.put(asked("a", "a0"))
    assert names(waiting.take(9, 1, 0)) == ["a0"]
    assert names(waiting.take(9, 1, 0)) == ["s0"]  # one at a time, so that a caller who comes need not wait long
    waiting.close()
    with pytest.raises(QueueFull):
        waiting.put(spare[8])
    assert names(waiting.drain()) == [f"s{number}" for number in range(1, 8)]
