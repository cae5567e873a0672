"""Records reach every store on their own: one that is away holds up no other, and gets what it missed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from components.errors import RegistryError
from components.records import Completion, Feedback, Message, Trace, Usage, production_record
from components.serving import Journal, Outlet
from components.serving.routing import Answer
from tests.flows.conftest import wait_until

SCHEMA = {"type": "object", "properties": {"intent": {"type": "string"}}}


class Kept:
    """A store in memory that may be away."""

    def __init__(self) -> None:
        self.segments: dict[str, list[str]] = {}
        self.away: Exception | None = None

    def __call__(self, segment: str, lines: list[str]) -> None:
        if self.away is not None:
            raise self.away
        self.segments[segment] = lines

    @property
    def records(self) -> list[Any]:
        return [production_record(line) for name in sorted(self.segments) for line in self.segments[name]]

    @property
    def ids(self) -> list[str]:
        return [record.id for record in self.records if isinstance(record, Trace)]


def answered(journal: Journal, follower: Any, name: str, *, returned: bool = True, n: int = 1) -> None:
    usage = Usage(input_tokens=5, output_tokens=2)
    completion = Completion(example_id=name, text='{"intent": "x"}', usage=usage, latency_ms=3.0)
    turns = [Message(role="user", content="Hi")]
    route = "champion" if returned else "shadow"
    journal.answered(name, Answer(route, follower.served, turns, {}, [completion] * n), returned=returned)


@pytest.fixture
def follower(follow: Callable[..., Any]) -> Any:
    follower = follow()
    follower.start()
    wait_until(lambda: follower.served, most_s=20)
    follower.close()
    return follower


def test_a_store_gets_its_share_and_all_that_belongs_to_those_requests(tmp_path: Path, follower: Any) -> None:
    all_of_them, some = Kept(), Kept()
    journal = Journal(
        "triage", SCHEMA, Outlet(tmp_path / "all", all_of_them, 60), Outlet(tmp_path / "some", some, 60, share=0.2)
    )
    names = [f"chatcmpl-{number}" for number in range(1000)]
    for name in names:
        answered(journal, follower, name)
        answered(journal, follower, name, returned=False)
        journal.told(name, 1.0, None)
    journal.close()
    assert len(all_of_them.records) == 3000
    assert all_of_them.ids[::2] == names
    chosen = [name for name in some.ids if "~" not in name]
    assert 150 < len(chosen) < 250  # 200 of 1000, four standard deviations of 12.6
    assert [name for name in some.ids if "~" in name] == [f"{name}~shadow" for name in chosen]
    assert [record.trace_id for record in some.records if isinstance(record, Feedback)] == chosen


def test_an_answer_that_nobody_gets_has_the_name_of_the_one_that_the_caller_gets_and_its_route(
    tmp_path: Path, follower: Any
) -> None:
    kept = Kept()
    journal = Journal("triage", SCHEMA, Outlet(tmp_path, kept, 60))
    answered(journal, follower, "chatcmpl-a", n=2)
    answered(journal, follower, "chatcmpl-a", n=2, returned=False)
    journal.close()
    assert kept.ids == ["chatcmpl-a", "chatcmpl-a-1", "chatcmpl-a~shadow", "chatcmpl-a-1~shadow"]


def test_the_same_requests_are_chosen_each_time(tmp_path: Path, follower: Any) -> None:
    chosen: list[list[str]] = []
    for place in "ab":
        kept = Kept()
        journal = Journal("triage", SCHEMA, Outlet(tmp_path / place, kept, 60, share=0.5))
        for number in range(50):
            answered(journal, follower, f"chatcmpl-{number}")
        journal.close()
        chosen.append(kept.ids)
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_store_that_is_away_holds_up_no_other_and_gets_what_it_missed(
    tmp_path: Path, follower: Any, lost: int
) -> None:
    stores = [Kept(), Kept()]
    stores[lost].away = RegistryError("nobody answers") if lost else OSError("no such disk")
    journal = Journal(
        "triage", SCHEMA, *(Outlet(tmp_path / str(place), store, 0.02) for place, store in enumerate(stores))
    )
    journal.start()
    for number in range(20):
        answered(journal, follower, f"chatcmpl-{number}")
        time.sleep(0.005)
    wait_until(lambda: len(stores[1 - lost].ids) == 20, most_s=10)
    assert stores[lost].ids == []
    stores[lost].away = None
    wait_until(lambda: len(stores[lost].ids) == 20, most_s=10)
    journal.close()
    assert stores[lost].ids == stores[1 - lost].ids == [f"chatcmpl-{number}" for number in range(20)]


def test_a_store_that_never_answers_holds_up_neither_answers_nor_the_end_of_the_server(
    tmp_path: Path, run_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.serving.repeating.MOST_AWAITED_S", 0.2)
    kept = Kept()
    journal = Journal(
        "triage",
        SCHEMA,
        Outlet(tmp_path / "lake", kept, 0.02),
        Outlet(tmp_path / "mlflow", lambda segment, lines: time.sleep(3600), 0.02),
    )
    started = time.monotonic()
    with run_server(journal=journal) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none")
        turns: list[Any] = [{"role": "user", "content": "Hello"}]
        names = [client.chat.completions.create(model="triage", messages=turns, max_tokens=2).id for _ in range(5)]
        wait_until(lambda: kept.ids == names, most_s=10)
    assert time.monotonic() - started < 20
    assert [path.name for path in (tmp_path / "mlflow").glob("*.jsonl")]  # it waits


def test_a_corrupt_segment_is_counted_for_prometheus(tmp_path: Path, run_server: Callable[..., Any]) -> None:
    (tmp_path / "1-1.jsonl").write_bytes(b"\xff\n")
    journal = Journal("triage", SCHEMA, Outlet(tmp_path, Kept(), 0.02))
    with run_server(journal=journal) as address:
        wait_until(lambda: "gradus_corrupt_segments 1.0" in httpx.get(f"{address}/metrics").text, most_s=10)
