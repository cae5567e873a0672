"""Relabelling: who votes on what, what is accepted, and what is trained on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError, TrainingError
from components.evaluation.label_audit import Suspect
from components.ladder import plan
from components.ladder.plan import Sources
from components.methods import Job, committee, method_of
from components.methods.relabel import Relabelled, relabelled
from components.methods.teachers import Bill
from components.opening import Artifact
from components.params import LadderParams
from components.records import Completion, Example, to_json
from components.tracking import NullTracker
from tests.components.methods.small import (
    OUTPUT,
    example,
    job,
    profile,
    settings,
    suspect,
    with_suspects,
    workload,
    wrong,
)

VOTES = ("classical", "neighbours", "audit")


def mended(of: Job, **changes: Any) -> Relabelled:
    params: Any = settings("relabel", **{"members": VOTES, **changes})
    return relabelled(of, params, Bill())


def doubtful(folder: Path, number: int, **fields: Any) -> Job:
    """A job in which one demonstration is wrong in these fields, and in doubt; the audit suggests the right values."""
    train = [wrong(example(n), **fields) if n == number else example(n) for n in range(40)]
    right = json.loads(example(number).reference)
    return with_suspects(folder, [suspect(train[number], name, right[name]) for name in fields], train=train)


def without(given: Example, field: str) -> Example:
    """The example with a demonstration that leaves a field out."""
    kept = {name: value for name, value in json.loads(given.demonstration).items() if name != field}
    return given.model_copy(update={"demonstration": to_json(kept)})


def demonstration(given: Relabelled, number: int) -> str | None:
    return next((each.demonstration for each in given.train if each.id == f"train-{number:03}"), None)


def test_a_wrong_label_is_put_right_where_two_agree(tmp_path: Path) -> None:
    result = mended(doubtful(tmp_path, 4, intent="delivery"))
    assert demonstration(result, 4) == example(4).reference
    assert [each.id for each in result.changed] == ["train-004"]
    assert (len(result.train), result.confirmed, result.undecided) == (40, 0, 0)


def test_a_right_label_in_doubt_is_confirmed_and_stays(tmp_path: Path) -> None:
    of = with_suspects(tmp_path, [suspect(example(4), "intent", "delivery")])
    result = mended(of)
    assert (demonstration(result, 4), result.changed, result.confirmed) == (example(4).demonstration, [], 1)


def test_where_too_few_agree_the_example_is_left_out_or_kept_as_it_is(tmp_path: Path) -> None:
    of = doubtful(tmp_path, 4, order="ZZ-999")  # only the audit votes on what stands in the text
    result = mended(of)
    assert (demonstration(result, 4), len(result.train), result.undecided) == (None, 39, 1)
    kept = mended(of, undecided="keep")
    assert json.loads(demonstration(kept, 4) or "")["order"] == "ZZ-999"
    assert (len(kept.train), kept.undecided) == (40, 1)
    assert demonstration(mended(of, agreeing=1), 4) == example(4).reference


def test_an_answer_that_is_too_long_to_be_trained_on_decides_nothing(tmp_path: Path) -> None:
    of = doubtful(tmp_path, 4, intent="delivery")
    result = mended(of, max_tokens=32)  # every prompt has more
    assert (demonstration(result, 4), result.changed, result.confirmed, result.undecided) == (None, [], 0, 1)


def test_an_optional_field_that_members_leave_out_is_left_out(tmp_path: Path) -> None:
    """Only urgent messages say whether they are urgent; of two others one demonstration has the field too much."""
    schema = {**OUTPUT, "required": ["intent", "order"]}
    brief = [without(example(n), "urgent") if n % 3 else example(n) for n in range(40)]
    train = [example(n) if n == 4 else each for n, each in enumerate(brief)]
    doubted = [suspect(example(n), "urgent", True) for n in (4, 8)]
    result = mended(
        with_suspects(tmp_path, doubted, train=train, workload=workload(output=schema)),
        members=["classical", "neighbours"],
    )
    assert [demonstration(result, n) for n in (4, 8)] == [brief[4].demonstration, brief[8].demonstration]
    assert ([each.id for each in result.changed], result.confirmed, result.undecided) == (["train-004"], 1, 0)


LISTED, NULLABLE = {"enum": ["x", "y"]}, {"enum": ["x", "y", None]}
HOLDER = {"type": "object", "properties": {"c": LISTED, "d": LISTED}}


@pytest.mark.parametrize(
    ("field", "required", "before", "vote", "after"),
    [
        (LISTED, False, {"b": "x"}, "", {}),
        (LISTED, False, {}, "", {}),
        (LISTED, False, {"b": "x"}, "null", {}),  # the audit does not tell null from none
        (NULLABLE, False, {"b": "x"}, "", {}),
        (NULLABLE, False, {"b": "x"}, "null", {"b": None}),
        (NULLABLE, False, {"b": None}, "", {"b": None}),  # how nothing is written is not in doubt
        (NULLABLE, False, {}, "null", {}),
        (NULLABLE, True, {"b": "x"}, "", {"b": None}),
        (HOLDER, False, {"b": {"c": "x"}}, "", {}),
    ],
)
def test_nothing_is_written_as_the_schema_the_demonstration_and_the_vote_say(
    field: dict[str, Any], required: bool, before: dict[str, Any], vote: str, after: dict[str, Any]
) -> None:
    needed = ["a", "b"] if required else ["a"]
    schema = {"type": "object", "properties": {"a": LISTED, "b": field}, "required": needed}
    given = example(4).model_copy(update={"demonstration": json.dumps({"a": "x", **before})})
    assert committee.put(given, {"b": vote}, schema) == {"a": "x", **after}


def test_every_doubted_field_has_to_be_agreed_on(tmp_path: Path) -> None:
    result = mended(doubtful(tmp_path, 4, intent="delivery", order="ZZ-999"))
    assert (demonstration(result, 4), result.undecided) == (None, 1)


def test_an_agreed_answer_that_breaks_the_schema_is_not_taken(tmp_path: Path) -> None:
    of = with_suspects(tmp_path, [suspect(example(4), "order", "no number")])
    result = mended(of, agreeing=1, members=["audit"])
    assert (demonstration(result, 4), result.undecided) == (None, 1)


def test_without_suspects_the_data_stay_as_they_are(tmp_path: Path) -> None:
    result = mended(with_suspects(tmp_path, []))
    assert result.train == [example(n) for n in range(40)]


def test_doubted_examples_teach_no_member_of_the_committee(tmp_path: Path) -> None:
    # All demonstrations of one kind of text are wrong alike: who learnt from them would confirm them.
    train = [wrong(example(n), intent="delivery") if n % 2 == 0 else example(n) for n in range(40)]
    doubted = [suspect(each, "intent", "refund") for each in train[0:40:2]]
    assert committee.by_classifier(doubted, train, OUTPUT, ("text",)) == {
        (each.example_id, "intent"): '"delivery"' for each in doubted
    }  # nobody is left who knows of refunds
    half = doubted[:10]
    sound = [example(n) if n >= 20 else each for n, each in enumerate(train)]
    votes = committee.by_classifier(half, sound, OUTPUT, ("text",))
    assert votes == {(each.example_id, "intent"): '"refund"' for each in half}
    near = committee.by_neighbours(half, sound, OUTPUT, ("text",))
    calm = {key: value for key, value in votes.items() if int(key[0][-3:]) % 3}  # of the urgent, too few are left
    assert {key: near[key] for key in calm} == calm


def test_members_vote_only_on_what_they_can_know() -> None:
    train = [example(n) for n in range(40)]
    doubted = [suspect(train[4], name, json.loads(train[4].reference)[name]) for name in ("intent", "order")]
    fields = {name: [field for _, field in votes] for name, votes in {
        "classical": committee.by_classifier(doubted, train, OUTPUT, ("text",)),
        "neighbours": committee.by_neighbours(doubted, train, OUTPUT, ("text",)),
        "audit": committee.by_audit(doubted, OUTPUT),
    }.items()}  # fmt: skip
    assert fields == {"classical": ["intent"], "neighbours": ["intent"], "audit": ["order"]}


@pytest.mark.parametrize(
    ("said", "agreed"),
    [
        (('"a"', '"a"', '"b"'), '"a"'),
        (('"a"', '"b"'), None),
        (('"a"', '"a"', '"b"', '"b"'), None),
        (('"a"',), None),
        ((), None),
        (("", "null", '"a"'), ""),  # two ways to say nothing
    ],
)
def test_agreement_takes_two_votes_and_more_than_for_any_other_value(said: tuple[str, ...], agreed: str | None) -> None:
    doubted = [suspect(example(4), "intent", "refund")]
    votes = [{("train-004", "intent"): word} for word in said]
    assert committee.agreed(doubted, votes, 2).get(("train-004", "intent")) == agreed


def test_an_unreadable_answer_votes_for_nothing() -> None:
    doubted = [suspect(example(n), "intent", "refund") for n in (4, 6)]
    answers = [Completion.of_text("train-004", "I see."), Completion.of_text("train-006", example(6).reference)]
    assert committee.of_answers(doubted, answers, OUTPUT) == {("train-006", "intent"): '"refund"'}


def test_the_scorer_takes_the_first_answer_that_it_passes_and_the_demonstration_before_all(tmp_path: Path) -> None:
    train = [wrong(example(n), order="ZZ-999") if n in (4, 6) else example(n) for n in range(40)]
    doubted = [
        suspect(train[4], "order", "AB-004"),  # the audit knows
        suspect(train[6], "order", "AB-777"),  # it does not
        suspect(train[8], "order", "AB-777"),  # the demonstration was right
    ]
    result = mended(with_suspects(tmp_path, doubted, train=train), accept="scorer")
    assert [demonstration(result, n) for n in (4, 6, 8)] == [example(4).reference, None, example(8).reference]
    assert (len(result.changed), result.confirmed, result.undecided) == (1, 1, 1)


class Kept(NullTracker):
    """Remembers the artifacts that it was given."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def artifact(self, path: Path, folder: str | None = None) -> None:
        self.files[path.name] = path.read_text(encoding="utf-8")


def test_a_committee_with_a_model_trains_on_the_mended_data(tmp_path: Path) -> None:
    of, kept = doubtful(tmp_path, 4, intent="delivery"), Kept()
    of = replace(of, teacher=Artifact("model", of.model))
    params = settings(
        "relabel", teacher={"kind": "rung", "rung": "base", "prompt": "long"}, members=["teacher", *VOTES]
    )
    made = method_of("relabel").make(of, params, kept)
    reported = {name: made.metrics[name] for name in ("changed", "confirmed", "undecided", "teacher_asked")}
    assert reported == {"changed": 1.0, "confirmed": 0.0, "undecided": 0.0, "teacher_asked": 1.0}
    assert (of.out / "model.safetensors").is_file()
    assert Example.model_validate_json(kept.files["relabelled.jsonl"]).demonstration == example(4).reference


def test_only_doubted_examples_leave_nothing_to_train_on(tmp_path: Path) -> None:
    train = [example(4)]
    of = with_suspects(tmp_path, [suspect(train[0], "order", "AB-777")], train=train)
    with pytest.raises(TrainingError, match="expected demonstrations to train on, found all 1 in doubt"):
        method_of("relabel").make(of, settings("relabel", members=VOTES), NullTracker())


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"members": VOTES}, {"demonstrations", "suspects"}),
        ({"members": VOTES, "accept": "scorer"}, {"demonstrations", "suspects", "reward"}),
        (
            {"members": ["teacher"], "agreeing": 1, "teacher": {"kind": "rung", "rung": "sft"}},
            {"demonstrations", "suspects", "teacher"},
        ),
    ],
)
def test_needs_follow_from_who_answers_and_who_decides(changes: dict[str, Any], needs: set[str]) -> None:
    assert method_of("relabel").needs(settings("relabel", **changes)) == needs


@pytest.mark.parametrize(
    ("rung", "message"),
    [
        ({"members": ["teacher", "audit"]}, "teacher must be given where it is named in members"),
        ({"members": ["audit"]}, "agreeing must be at most the number of members (1)"),
        (
            {"teacher": {"kind": "rung", "rung": "later"}, "members": ["teacher", "audit"]},
            "rungs.relabel.settings.teacher.rung: expected one of base, which come before it, found later",
        ),
    ],
)
def test_an_impossible_committee_is_refused_with_its_place(rung: dict[str, Any], message: str) -> None:
    ladder = LadderParams.model_validate({"rungs": {"relabel": {"method": "relabel", "settings": rung}}})
    here = Path("x.yaml")
    sft = {name: value for name, value in settings("sft").model_dump().items() if name != "dev_examples"}
    sources = Sources(ladder, workload(), profile(methods={"sft": sft}), {}, "shop-nano", here, here, here)
    with pytest.raises(ConfigError) as error:
        plan(sources)
    assert message in str(error.value)


def test_suspects_are_read_as_the_audit_wrote_them(tmp_path: Path) -> None:
    doubted: list[Suspect] = [suspect(example(4), "intent", "delivery")]
    assert with_suspects(tmp_path, doubted).suspects() == doubted
    assert job(tmp_path).model == tmp_path / "model"
