"""Opinions from production: which pairs and thumbs follow from corrections, canaries and scores."""

from pathlib import Path

from components.data.opinions import Opinion, taught
from components.params import LabellingParams
from components.records import Example, Feedback, Logged, Preference, Record, Scored, Thumb
from monitoring.candidates import Terms
from monitoring.labelling import is_drawn
from monitoring.opinions import opinions
from tests.monitoring.test_candidates import answered, lake, scored

LATE, BILL, HEX = '{"kind": "late"}', '{"kind": "bill"}', '{"kind": "other"}'
SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["kind"],
    "properties": {"kind": {"enum": ["late", "bill", "other"]}},
}  # fmt: skip


def said(name: str, **words: object) -> Feedback:
    return Feedback.model_validate({"trace_id": name, "at": 101.0, "workload": "shop", **words})


def heard(folder: Path, *records: Record) -> list[Opinion]:
    return opinions(lake(folder, *records), "shop", 0.0, Terms(1.0, schema=SCHEMA))


def pairs(given: list[Opinion]) -> list[tuple[str, str, str]]:
    kept = [each.said for each in given if isinstance(each.said, Preference)]
    return [(kept_one.example_id, kept_one.chosen, kept_one.rejected) for kept_one in kept]


def thumbs(given: list[Opinion]) -> list[tuple[str, str, bool]]:
    return [(each.said.example_id, each.said.text, each.said.good) for each in given if isinstance(each.said, Thumb)]


def test_a_correction_is_better_than_each_different_answer(tmp_path: Path) -> None:
    shadow = answered("a~shadow", HEX, input={"message": "a"}, route="shadow", returned=False)
    result = heard(tmp_path, answered("a"), shadow, said("a", corrected=BILL))
    assert pairs(result) == [("P-a", BILL, LATE), ("P-a", BILL, HEX)]
    assert result[0].said.input == {"message": "a"}


def test_a_correction_to_the_same_answer_is_no_pair(tmp_path: Path) -> None:
    assert heard(tmp_path, answered("a"), said("a", corrected='{ "kind":"late" }')) == []


def test_of_two_versions_answers_the_right_one_is_better(tmp_path: Path) -> None:
    canary = answered("a~canary", BILL, input={"message": "a"}, route="canary", returned=False)
    records = [answered("a"), canary, scored("a", 0.0), scored("a~canary", 1.0)]
    assert pairs(heard(tmp_path, *records)) == [("P-a", BILL, LATE)]


def test_two_wrong_or_two_right_answers_are_no_pair(tmp_path: Path) -> None:
    for at, value in enumerate((0.0, 1.0)):
        shadow = answered("a~shadow", BILL, input={"message": "a"}, returned=False)
        records = [answered("a"), shadow, scored("a", value), scored("a~shadow", value)]
        assert pairs(heard(tmp_path / str(at), *records)) == []


def test_a_persons_score_is_a_thumb_unless_it_is_in_between(tmp_path: Path) -> None:
    records = [answered(name) for name in "abc"]
    result = heard(tmp_path, *records, said("a", score=1.0), said("b", score=0.0), said("c", score=0.5))
    assert thumbs(result) == [("P-a", LATE, True), ("P-b", LATE, False)]


def test_contradicted_free_and_disallowed_answers_teach_nothing(tmp_path: Path) -> None:
    records = [
        answered("disputed"), said("disputed", corrected=BILL), said("disputed", corrected=HEX),
        answered("free", input={}), said("free", corrected=BILL, score=0.0),
        answered("masked"), said("masked", corrected='{"kind": "<NAME>"}'),
        answered("others", caller="asker"), said("others", corrected=BILL, sender="another"),
    ]  # fmt: skip
    assert heard(tmp_path, *records) == []


def test_failures_teach_nothing(tmp_path: Path) -> None:
    failed = answered("a", "no answer", finish_reason="error", valid=False)
    assert heard(tmp_path, failed, said("a", corrected=BILL, score=0.0), scored("a", 0.0)) == []


def test_answers_that_were_cut_teach_nothing(tmp_path: Path) -> None:
    cut = answered("a", LATE, finish_reason="length")
    whole = answered("a~shadow", HEX, input={"message": "a"}, route="shadow", returned=False)
    assert heard(tmp_path / "one", cut, said("a", corrected=BILL, score=0.0), scored("a", 0.0)) == []
    kinds = [type(each.said) for each in heard(tmp_path / "two", cut, whole, scored("a", 0.0), scored("a~shadow", 1.0))]
    assert kinds == [Logged]  # of the whole answer alone


def test_nothing_is_learnt_from_the_labelling_sample_on_any_route_or_with_any_number_of_answers(
    tmp_path: Path,
) -> None:
    names = [f"a{at}" for at in range(100)]
    aside = next(name for name in names if is_drawn(name, 0.1) and not is_drawn(f"{name}-1", 0.1))
    free = next(name for name in names if not is_drawn(name, 0.1))
    records = [
        answered(free), said(free, corrected=BILL, score=0.0), answered(aside), said(aside, corrected=BILL, score=0.0),
        answered(f"{aside}-1", input={"message": aside}), said(f"{aside}-1", score=1.0),
        answered(f"{aside}~shadow", HEX, input={"mail": aside}, route="shadow", returned=False),
        scored(f"{aside}~shadow", 0.0),
    ]  # fmt: skip
    terms = Terms(1.0, schema=SCHEMA, labelling=LabellingParams(share=0.1))
    result = opinions(lake(tmp_path, *records), "shop", 0.0, terms)
    assert {each.said.model_dump()["example_id"] for each in result} == {f"P-{free}"}


def test_a_scorers_verdict_is_a_scored_log_and_not_a_thumb(tmp_path: Path) -> None:
    by_scorer = Scored(trace_id="a", at=101.0, workload="shop", source="scorer", value=0.25, passed=False)
    result = heard(tmp_path, answered("a"), answered("unscored"), by_scorer)
    assert [(each.said, each.sender) for each in result] == [
        (Logged(example_id="P-a", text=LATE, score=0.25, input={"message": "a"}), None)
    ]


def opinion(name: str, message: str, **word: object) -> Opinion:
    thumb = Thumb(example_id=f"P-{name}", text=LATE, good=True, input={"message": message})
    return Opinion.model_validate({"said": thumb, **word})


def test_opinions_that_resemble_evaluation_splits_are_not_taught() -> None:
    judged = [Example(id="T", input={"message": "my parcel is late"}, demonstration="", reference="", group="T")]
    given = [opinion("a", "My  parcel is LATE"), opinion("b", "where is the invoice for last month")]
    result = taught(given, judged, 0.9, 10)
    assert [each.model_dump()["example_id"] for each in result["thumbs"]] == ["P-b"]
    assert result["preferences"] == []


def test_one_sender_teaches_no_more_than_a_cap_and_a_reviewer_has_none() -> None:
    given = [opinion(f"a{at}", f"message number {at} of a sender", sender="s") for at in range(3)]
    given += [opinion(f"r{at}", f"what {at} reviewers say of it", sender="r", reviewed=True) for at in range(3)]
    result = taught(given, [], 1.0, 2)
    assert [each.model_dump()["example_id"] for each in result["thumbs"]] == ["P-a0", "P-a1", "P-r0", "P-r1", "P-r2"]


def test_a_cap_counts_each_kind_by_itself_and_what_scorers_and_judges_say_not_at_all() -> None:
    given = [opinion(f"t{at}", f"thumb number {at} of a sender", sender="s") for at in range(2)]
    for at in range(3):
        log = Logged(example_id=f"P-l{at}", text=LATE, score=1.0, input={"message": f"answer {at} that a judge read"})
        given += [
            Opinion(said=log, sender=None),
            Opinion(said=log.model_copy(update={"example_id": f"P-s{at}"}), sender="s"),
        ]
    result = taught(given, [], 1.0, 2)
    assert {kind: [each.model_dump()["example_id"] for each in said] for kind, said in result.items()} == {
        "preferences": [], "thumbs": ["P-t0", "P-t1"], "logs": ["P-l0", "P-s0", "P-l1", "P-s1", "P-l2"],
    }  # fmt: skip


def test_an_answer_that_was_praised_and_then_corrected_has_no_good_thumb(tmp_path: Path) -> None:
    for at, sender in enumerate(({"sender": "r", "reviewer": True}, {})):
        result = heard(tmp_path / str(at), answered("a"), said("a", score=1.0), said("a", corrected=BILL, **sender))
        assert thumbs(result) == [] and pairs(result) == [("P-a", BILL, LATE)]
