"""The classical floor: learns enumerated fields, answers the rest with the majority, and survives a save."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from components.errors import DataError, EngineError
from components.evaluation import classical
from components.params import ScorerParams
from components.records import Example
from components.scorers import build

ROOT = Path(__file__).resolve().parents[3]
BANKING77 = ROOT.parent / "shared" / "data" / "banking77"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["topic", "urgent", "order_id", "copies", "country"],
    "properties": {
        "topic": {"enum": ["refund", "delivery", None]},
        "urgent": {"type": "boolean"},
        "order_id": {"type": ["string", "null"]},
        "copies": {"type": "integer"},
        "country": {"enum": ["NL", "BE"]},
        "note": {"type": "string"},
    },
}


def example(index: int, text: str, **fields: Any) -> Example:
    answer = {"topic": None, "urgent": False, "order_id": None, "copies": 1, "country": "NL"} | fields
    return Example(
        id=f"e{index}", input={"text": text}, demonstration=json.dumps(answer), reference=json.dumps(answer), group="g"
    )


TRAIN = [
    *(example(i, f"please give me my money back {i}", topic="refund", order_id=f"A{i}") for i in range(10)),
    *(example(i, f"where is my parcel, now! {i}", topic="delivery", urgent=True, copies=2) for i in range(10, 20)),
    *(example(i, f"hello there {i}", copies=2) for i in range(20, 30)),
]
ASKED = [example(90, "money back please"), example(91, "my parcel where, now!"), example(92, "hello"), example(93, "")]


@pytest.fixture(scope="module")
def fitted() -> classical.Classifier:
    return classical.fit(TRAIN, SCHEMA, ("text",))


def test_enumerated_fields_are_learned_and_others_get_the_majority(fitted: classical.Classifier) -> None:
    answers = [json.loads(completion.text) for completion in fitted.predict(ASKED[:3])]
    assert [answer["topic"] for answer in answers] == ["refund", "delivery", None]
    assert [answer["urgent"] for answer in answers] == [False, True, False]
    # null in 20 of 30, 2 in 20 of 30, one country only, and a note that nobody wrote
    for answer in answers:
        assert {key: answer[key] for key in answer.keys() - {"topic", "urgent"}} == {
            "order_id": None,
            "copies": 2,
            "country": "NL",
        }


def test_every_answer_is_complete_and_valid(fitted: classical.Classifier) -> None:
    scorer = build(ScorerParams(weighted={"json_schema": 1}), SCHEMA)
    completions = fitted.predict(ASKED)
    assert all(scorer.score(asked, completion).passed for asked, completion in zip(ASKED, completions, strict=True))


def test_the_latency_is_measured_and_there_are_no_tokens(fitted: classical.Classifier) -> None:
    completions = fitted.predict(ASKED)
    assert [completion.example_id for completion in completions] == ["e90", "e91", "e92", "e93"]
    assert all(completion.latency_ms > 0 for completion in completions)
    assert {(completion.usage.input_tokens, completion.usage.output_tokens) for completion in completions} == {(0, 0)}


def test_a_saved_classifier_answers_the_same(fitted: classical.Classifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "rung")
    assert [path.name for path in (tmp_path / "rung").iterdir()] == ["classical.skops"]
    texts = [
        [completion.text for completion in model.predict(ASKED)]
        for model in (fitted, classical.load(tmp_path / "rung"))
    ]
    assert texts[0] == texts[1]


def test_a_vocabulary_is_kept_as_a_text_and_one_that_was_kept_term_by_term_is_read(
    fitted: classical.Classifier, tmp_path: Path
) -> None:
    import skops.io

    before = fitted.digest()
    fitted.save(tmp_path)
    assert fitted.digest() == before == classical.load(tmp_path).digest()
    with zipfile.ZipFile(tmp_path / classical.FILE) as kept:
        assert len(kept.read("schema.json")) < 100_000  # a paragraph for each term would be millions of characters
    content = {name: getattr(fitted, name) for name in fitted.__dataclass_fields__}
    skops.io.dump(content, tmp_path / classical.FILE)  # as version 0.2.0 wrote it
    assert classical.load(tmp_path).digest() == before


def test_null_wins_a_tie_of_the_majority() -> None:
    two = [example(0, "some words", order_id="A1"), example(1, "other words")]
    completions = classical.fit(two, SCHEMA, ("text",)).predict(ASKED[:1])
    assert json.loads(completions[0].text)["order_id"] is None


def test_fields_that_do_not_vary_need_no_model() -> None:
    constant = classical.fit([example(0, "?"), example(1, "!")], SCHEMA, ("text",))
    assert (constant.features, constant.models) == (None, {})
    assert json.loads(constant.predict(ASKED[:1])[0].text)["topic"] is None


@pytest.mark.parametrize(
    ("train", "columns", "words"),
    [
        ([], ("text",), "at least one demonstration"),
        (TRAIN, ("message",), r"expected the input column message, found text \(e0\)"),
        ([TRAIN[0].model_copy(update={"demonstration": "refund"})], ("text",), r"as demonstration, .*\(example e0\)"),
        ([example(0, "", topic="refund"), example(1, "")], ("text",), "expected words"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(train: list[Example], columns: tuple[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        classical.fit(train, SCHEMA, columns)


def test_texts_without_a_word_are_told_apart_by_their_characters(tmp_path: Path) -> None:
    train = [example(index, "👍👎"[index % 2], urgent=index % 2 == 0) for index in range(8)]
    classical.fit(train, SCHEMA, ("text",)).save(tmp_path)
    answers = classical.load(tmp_path).predict([example(9, "👎"), example(10, "👍")])
    assert [json.loads(answer.text)["urgent"] for answer in answers] == [False, True]


def test_a_folder_without_a_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"expected classical\.skops"):
        classical.load(tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / classical.FILE).write_bytes(b"not a zip")
    with pytest.raises(EngineError, match="that skops loads"):
        classical.load(tmp_path)
    with zipfile.ZipFile(tmp_path / classical.FILE, "w") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(EngineError, match="that skops loads"):
        classical.load(tmp_path)


@pytest.mark.real_data
@pytest.mark.slow
def test_banking77_reaches_the_reference_of_91_5_percent() -> None:
    if not BANKING77.is_dir():
        pytest.skip(f"needs the Banking77 files in {BANKING77}")
    splits = {}
    for split in ("train", "test"):
        with (BANKING77 / f"{split}.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        splits[split] = [
            Example(
                id=str(index),
                input={"text": row["text"]},
                demonstration=json.dumps({"intent": row["category"]}),
                reference=json.dumps({"intent": row["category"]}),
                group=str(index),
            )
            for index, row in enumerate(rows)
        ]
    intents = sorted({json.loads(example.reference)["intent"] for example in splits["train"]})
    schema = {"type": "object", "properties": {"intent": {"enum": intents}}}
    completions = classical.fit(splits["train"], schema, ("text",)).predict(splits["test"])
    right = sum(
        completion.text == example.reference for completion, example in zip(completions, splits["test"], strict=True)
    )
    assert right / len(completions) == pytest.approx(0.915, abs=0.003)
