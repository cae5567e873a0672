"""Synthetic examples: their slices and source, that no split resembles them, and that they are audited."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.data.novelty import THEMSELVES, resembled
from components.engines import ChatRequest, Sampling
from components.errors import ConfigError, TrainingError
from components.methods import Job, method_of
from components.methods.invented import thin, written
from components.methods.synthetic import added
from components.methods.teachers import Bill, RungTeacher, TeacherSession, Useful
from components.records import Completion, Example
from components.tracking import NullTracker
from tests.components.methods.small import OUTPUT, Item, address, example, job, serving, settings, workload
from tests.components.methods.test_teacher_answers import PRICES, api, asking, right


def generate(n: int, seed: int) -> Iterator[Item]:
    """Messages as those of `example`, all of which are chats or mails by their number; the seed moves the numbers."""
    for number in range(seed % 1000, seed % 1000 + n):
        single = example(number % 1000)
        right = json.loads(single.reference)
        wrong = {**right, "intent": {"refund": "delivery", "delivery": "refund"}[right["intent"]]}
        said = wrong if number % 100 == 50 else right  # one that the audit has to see
        yield Item(single.id, single.input["text"], right, said, single.slices, single.group)


def generated(folder: Path, **changes: Any) -> Job:
    """A job whose workload has a generator; train, dev, test and sealed are numbers below 300."""
    sizes = {"train": 120, "dev": 20, "test": 20, "sealed": 20}
    source = {"kind": "generated", "generator": f"{__name__}:generate", "seed": 1, "sizes": sizes}
    train = [example(number) for number in range(120)]
    known = {"train": train, "sealed": [example(number, "sealed") for number in range(200, 300)]}
    return job(
        folder, workload=workload(source=source), train=train,
        resembled=lambda new: resembled(known, new, 0.95), **changes,
    )  # fmt: skip


def made(of: Job, **changes: Any) -> tuple[list[Example], Counter[str]]:
    counts: Counter[str] = Counter()
    params: Any = settings("synthetic", **{"thin_share": 0.2, "examples": 30, "most_drawn": 900, **changes})
    return added(of, params, Bill(), counts), counts


def numbers(examples: list[Example]) -> list[int]:
    return [int(each.input["text"][-3:]) for each in examples]


def test_thin_slices_are_those_below_the_share_the_rarest_first() -> None:
    train = [example(number) for number in range(40)]  # 4 chats, 36 mails
    odd = [each.model_copy(update={"slices": {"channel": "fax"}}) for each in train[:1]]
    assert thin([*train, *odd], ["channel"], 0.2) == [("channel", "fax"), ("channel", "chat")]
    assert thin(train, ["channel"], 0.1) == []  # 4 of 40 are not below a tenth
    assert thin(train, [], 1.0) == []


def test_new_examples_are_of_the_slice_unlike_every_split_and_not_in_doubt(tmp_path: Path) -> None:
    new, counts = made(generated(tmp_path))
    assert {each.slices["channel"] for each in new} == {"chat"}
    result = numbers(new)
    assert not {*result} & {*range(120), *range(200, 300)}
    assert all(number % 100 != 50 for number in result)  # their demonstrations were wrong
    assert counts["made"] == 30
    assert counts["made"] == len(new) + sum(n for name, n in counts.items() if name != "made")
    assert counts["suspects"] > 0
    assert len({each.id for each in new}) == len(new)
    assert {each.id.partition("-")[0] for each in new} == {"synthetic"}


def test_new_examples_that_are_too_long_are_left_out_and_counted(tmp_path: Path) -> None:
    new, counts = made(generated(tmp_path), max_tokens=32)  # every prompt has more
    assert new == []
    assert counts["too_long"] > 0
    assert counts["made"] == sum(n for name, n in counts.items() if name != "made")


def test_what_drifted_is_named(tmp_path: Path) -> None:
    new, _ = made(generated(tmp_path), thin_share=0.0, slices={"channel": ["mail"]})
    assert {each.slices["channel"] for each in new} == {"mail"}
    with pytest.raises(TrainingError, match=r"fewer than 0% of train have \(thin_share\) or that are named"):
        made(generated(tmp_path), thin_share=0.0)


def test_a_slice_that_no_example_has_is_refused_before_a_teacher_is_asked(tmp_path: Path) -> None:
    with (
        serving(teaching) as server,
        pytest.raises(
            ConfigError,
            match=r"^synthetic\.slices: expected slices of the workload or fields of its answers "
            r"\(channel, intent, order, urgent\), found chanel$",
        ),
    ):
        made(
            generated(tmp_path, prices=PRICES), source="teacher", teacher=api(address(server)),
            slices={"channel": ["chat"], "chanel": ["chat"]},
        )  # fmt: skip
    assert not server.seen


@pytest.mark.parametrize("name", ["intent", "buyer.land", "wants[money]"])
def test_a_teacher_writes_for_a_field_of_answers_as_the_drift_watch_names_it(tmp_path: Path, name: str) -> None:
    buyer = {"type": "object", "properties": {"land": {"enum": ["at", "ch"]}}}
    wants = {"type": "array", "items": {"enum": ["money", "shoes"]}}
    output = {**OUTPUT, "properties": {**OUTPUT["properties"], "buyer": buyer, "wants": wants}}
    of = generated(tmp_path, prices=PRICES)
    with serving(teaching) as server:
        new, _ = made(
            replace(of, workload=of.workload.model_copy(update={"output": output})), source="teacher",
            teacher=api(address(server)), thin_share=0.0, examples=10, slices={name: ["one"]},
        )  # fmt: skip
    assert f"Inputs of {name}: one" in server.seen[0]["messages"][1]["content"]
    assert new


def test_new_examples_are_compared_with_every_split_in_any_case_and_with_each_other() -> None:
    known = {"train": [example(1)], "sealed": [example(2)]}
    loud = example(2).model_copy(update={"input": {"text": example(2).input["text"].upper()}})
    near = example(2).model_copy(update={"input": {"text": example(2).input["text"] + "!"}})
    new = [example(1, "new"), loud, near, example(3), example(3, "again"), example(31)]
    assert resembled(known, new, 0.95) == ["train", "sealed", "sealed", None, THEMSELVES, None]


def test_a_source_of_files_has_no_generator(tmp_path: Path) -> None:
    of = job(tmp_path, resembled=lambda new: [None] * len(new))
    with pytest.raises(ConfigError, match="generator is for workloads whose source is one, found csv"):
        made(of)


def teaching(body: dict[str, Any], asked: int) -> str:
    """Writes ten chats of which one is known and one is empty; answers as the text says, one of them wrong."""
    if "You write new inputs" in body["messages"][0]["content"]:
        texts = [example(number).input["text"] for number in (10, 130, 140, 150, 160, 170, 180, 190, 310)]
        return json.dumps({"inputs": [{"text": text} for text in (*texts, " ")]})
    answer = right(body, asked)
    return answer if "190" not in answer else "I see."


def test_a_teacher_writes_inputs_and_answers_them(tmp_path: Path) -> None:
    with serving(teaching) as server:
        of = generated(tmp_path, prices=PRICES)
        params: Any = settings("synthetic", source="teacher", teacher=api(address(server)), examples=10, thin_share=0.2)
        counts, bill = Counter[str](), Bill()
        new = added(of, params, bill, counts)
    asked = server.seen[0]["messages"]
    assert "Inputs of channel: chat" in asked[1]["content"]
    assert all(text in asked[1]["content"] for text in ("please", "order AB-"))
    assert numbers(new) == [130, 140, 150, 160, 170, 180, 310]
    assert [each.demonstration for each in new] == [example(number).reference for number in numbers(new)]
    assert (counts["made"], counts["like_train"]) == (8, 1)
    assert (bill.asked, bill.usd) == (1 + 9, pytest.approx(10 * 0.02))


def test_long_inputs_are_asked_for_fewer_at_once_and_with_more_tokens(tmp_path: Path) -> None:
    long = [each.model_copy(update={"input": {"text": "a long complaint " * 100}}) for each in map(example, range(40))]
    with serving(lambda body, asked: "I see.") as server:
        of = job(tmp_path, prices=PRICES, train=long)
        counts = Counter[str]()
        written(of, asking(of, api(address(server))), [("channel", "chat")], 8, counts)
    assert counts == {"malformed_replies": 2}
    # 1,700 characters are at most 850 tokens, of which four are 3,400
    asked = server.seen[0]
    assert "with 4 objects" in asked["messages"][0]["content"]
    limit = asked.get("max_tokens") or asked["max_completion_tokens"]
    assert (len(server.seen), limit // 100) == (2, 34)
    assert asked["response_format"]["json_schema"]["schema"]["properties"]["inputs"]["maxItems"] == 4


def test_replies_without_inputs_are_counted_by_why_they_have_none(tmp_path: Path) -> None:
    whole = Completion.of_text("write-0", json.dumps({"inputs": [{"text": "pay me back"}]}))
    cut = whole.model_copy(update={"text": '{"inputs": [{"te', "finish_reason": "length"})
    failed = whole.model_copy(update={"text": "", "finish_reason": "error", "error": "refused"})

    class Told(TeacherSession):
        def ask(self, requests: Sequence[ChatRequest], sampling: Sampling, useful: Useful) -> list[Completion]:
            replies = [whole, cut, failed, cut]
            assert [useful(reply) for reply in replies] == [True, False, False, False]
            return replies

        def answer(self, examples: Sequence[Example]) -> list[Completion]:
            return [Completion.of_text(each.id, example(0).reference) for each in examples]

    of, counts = job(tmp_path), Counter[str]()
    made = written(of, Told(of, RungTeacher(rung="one")), [("channel", "chat")], 40, counts)
    assert ([each.input["text"] for each in made], counts) == (
        ["pay me back"],
        {"cut_replies": 2, "failed_replies": 1},
    )


def test_malformed_replies_are_named_and_asked_for_again(tmp_path: Path) -> None:
    with serving(lambda body, asked: '{"inputs": [{"te') as server:
        of = generated(tmp_path, prices=PRICES)
        params = settings("synthetic", source="teacher", teacher=api(address(server)), examples=500, thin_share=0.2)
        for attempt in (1, 2):
            with pytest.raises(TrainingError, match="found none: malformed replies 32, made 0"):
                method_of("synthetic").make(of, params, NullTracker())
            assert len(server.seen) == 32 * attempt  # of 50: the first batch gave nothing


def test_a_model_is_trained_on_old_and_new_examples(tmp_path: Path) -> None:
    of = generated(tmp_path)
    params = settings("synthetic", thin_share=0.2, examples=12, most_drawn=900, epochs=0.1)
    result = method_of("synthetic").make(of, params, NullTracker())
    assert result.metrics["synthetic_made"] == 12
    assert 0 < result.metrics["synthetic_added"] < 12
    assert (of.out / "model.safetensors").is_file()
    assert method_of("synthetic").needs(params) == {"demonstrations", "novelty"}


def test_without_new_examples_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    of = replace(generated(tmp_path), resembled=lambda new: ["sealed"] * len(new))
    with pytest.raises(TrainingError, match="expected new examples to train on, found none: made 12, like sealed 12"):
        method_of("synthetic").make(of, settings("synthetic", thin_share=0.2, examples=12), NullTracker())
