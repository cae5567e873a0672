"""What a harvest adds to the data: right answers that are new, each for one split, up to the caps."""

from collections import Counter

import pytest

from components.data.harvest import Candidate, Harvested, answering, harvest
from components.data.masking import mask
from components.params import HarvestParams, SplitShares
from components.records import Example, Message, Trajectory, Usage
from components.tasks import heard_in

PARAMS = HarvestParams(splits=SplitShares(dev=0.1, test=0.1, sealed=0.2))


def candidate(
    number: int,
    text: str = "",
    *,
    source: str = "corrected",
    moved: bool = False,
    reviewed: bool = True,
    sender: str | None = "",
    drawn: bool = False,
) -> Candidate:
    text = text or f"{number * 7919 % 9973} parcels of customer {number} are still at {number * 31} Main Street"
    return Candidate.model_validate(
        {
            "trace_id": str(number), "input": {"message": text}, "answer": "{}", "source": source, "moved": moved,
            "reviewed": reviewed, "sender": sender, "drawn": drawn,
        }
    )  # fmt: skip


def known(text: str) -> Example:
    return Example(id="K", input={"message": text, "channel": "mail"}, demonstration="", reference="", group="K")


def test_near_duplicates_of_known_examples_are_not_harvested() -> None:
    said = "Where is my parcel with the coffee machine that I ordered on Monday last week?"
    kept = harvest([candidate(1, said + "!"), candidate(2)], [known(said)], 0.9, PARAMS)
    assert [row.example.id for row in kept] == ["P-2"]


def test_known_examples_are_compared_as_production_keeps_them() -> None:
    said = "I am Ada Lovelace, my IBAN is DE89 3704 0044 0532 0130 00: where is the refund? Call +49 170 1234567."
    assert harvest([candidate(1, mask(said))], [known(said)], 0.9, PARAMS) == []


def test_known_examples_are_compared_by_the_columns_of_each_version() -> None:
    said = "Where is my parcel with the coffee machine that I ordered on Monday last week?"
    other = candidate(1).model_copy(update={"input": {"channel": "a letter with the invoice of another customer"}})
    kept = harvest([other, candidate(2, said)], [known(said)], 0.9, PARAMS)
    assert [row.example.id for row in kept] == ["P-1"]


def test_an_answer_that_the_data_have_by_its_id_is_not_harvested_again_whatever_it_says_now() -> None:
    [before] = harvest([candidate(1)], [], 0.9, PARAMS)
    said = "A text that nothing of the first one resembles, as when another prompt names other inputs."
    kept = harvest([candidate(1, said), candidate(2)], [before.example], 0.9, PARAMS)
    assert [row.example.id for row in kept] == ["P-2"]


def test_what_the_data_have_of_a_sender_uses_up_none_of_its_cap() -> None:
    params = PARAMS.model_copy(update={"most_by_sender": 2})
    said = [candidate(number, reviewed=False, sender="one") for number in range(1, 6)]
    before = harvest(said[:2], [], 0.9, params)
    kept = harvest(said, [row.example for row in before], 0.9, params)
    assert [row.example.id for row in kept] == ["P-3", "P-4"]


def test_of_near_duplicates_the_corrected_one_stays() -> None:
    said = "Where is my parcel with the coffee machine that I ordered on Monday last week?"
    kept = harvest([candidate(1, said, source="scored"), candidate(2, said + "!")], [], 0.9, PARAMS)
    assert [(row.example.id, row.source) for row in kept] == [("P-2", "corrected")]


def test_under_a_cap_candidates_of_moved_slices_come_first() -> None:
    params = HarvestParams(most_corrected=2)
    kept = harvest([candidate(1), candidate(2, moved=True), candidate(3, moved=True)], [], 0.9, params)
    assert [row.example.id for row in kept] == ["P-2", "P-3"]


def test_each_source_has_its_own_cap() -> None:
    params = HarvestParams(most_corrected=1, most_scored=0)
    kept = harvest([candidate(1), candidate(2), candidate(3, source="scored")], [], 0.9, params)
    assert [row.example.id for row in kept] == ["P-1"]


def test_splits_have_their_shares_and_an_answer_always_goes_to_the_same_one() -> None:
    kept = harvest([candidate(number, drawn=number < 600) for number in range(1200)], [], 0.99, PARAMS)
    counts = Counter(row.split for row in kept)
    assert counts["sealed"] + counts["test"] == 600  # all that were drawn, and no others
    assert 365 < counts["sealed"] < 435  # 400 expected: 0.2 to 0.1; three standard deviations are 35
    assert 55 < counts["dev"] < 117  # 86 expected: 0.1 of 0.7
    again = harvest([candidate(number, drawn=number < 600) for number in range(500, 700)], [], 0.99, PARAMS)
    assert {row.example.id: row.split for row in again}.items() <= {row.example.id: row.split for row in kept}.items()


def test_the_correction_becomes_demonstration_and_reference() -> None:
    [row] = harvest([candidate(1).model_copy(update={"answer": '{"a": 1}'})], [], 0.9, PARAMS)
    assert (row.example.demonstration, row.example.reference) == ('{"a": 1}', '{"a": 1}')
    assert row.example.slices == {"origin": "production"}


def test_the_sealed_split_gets_as_many_drawn_examples_as_a_gate_asked_for_and_leaves_some_to_test() -> None:
    params = HarvestParams(splits=SplitShares(dev=0.1, test=0.15, sealed=0.2))
    wanted = [answering(params, asked, 1000).splits.sealed / 0.35 for asked in (0, 100, 700, 5000)]
    assert wanted == pytest.approx([0.2 / 0.35, 0.2 / 0.35, 0.7, 0.9])
    assert answering(params, 100, 0).splits.sealed == pytest.approx(0.9 * 0.35)
    assert answering(params, 1, 1).splits.sealed == pytest.approx(0.9 * 0.35)
    assert answering(params, 700, 1000).splits.test == pytest.approx(0.3 * 0.35)
    raised = answering(params, 700, 1000)
    drawn = [candidate(n, drawn=True) for n in range(400)]
    before, after = (harvest(drawn, [], 0.99, shares) for shares in (params, raised))
    sealed = [{row.example.id for row in rows if row.split == "sealed"} for rows in (before, after)]
    assert sealed[0] < sealed[1]  # what would have been sealed anyway still is


def test_drawn_answers_are_kept_whatever_the_caps_and_the_answer() -> None:
    params = HarvestParams(most_corrected=0, most_scored=0, most_by_sender=0)
    drawn = [candidate(n, drawn=True, source="scored" if n % 2 else "corrected") for n in range(40)]
    assert len(harvest(drawn, [], 0.99, params)) == 40


def test_of_near_duplicates_a_drawn_one_stays_though_another_was_corrected() -> None:
    said = "Where is my parcel with the coffee machine that I ordered on Monday last week?"
    kept = harvest([candidate(1, said), candidate(2, said + "!", source="scored", drawn=True)], [], 0.9, PARAMS)
    assert [row.example.id for row in kept] == ["P-2"]


@pytest.mark.parametrize("source", ["corrected", "scored"])
@pytest.mark.parametrize("reviewed", [False, True])
@pytest.mark.parametrize("sender", ["", "somebody"])
def test_a_thousand_words_on_answers_that_were_not_drawn_reach_neither_test_nor_the_sealed_split(
    sender: str, source: str, reviewed: bool
) -> None:
    params = HarvestParams(splits=SplitShares(dev=0.1, test=0.3, sealed=0.5), most_by_sender=1000)
    mass = [candidate(number, reviewed=reviewed, sender=sender, source=source) for number in range(1000)]
    kept = harvest(mass, [], 0.99, params)
    counts = Counter(row.split for row in kept)
    assert counts.keys() == {"train", "dev"}
    assert 430 < counts["dev"] < 570  # 500 expected: 0.1 of the 0.2 that are left to dev and train
    assert {(row.sender, row.reviewed) for row in kept} == {(sender, reviewed)}


def test_a_sender_has_a_cap_and_a_reviewer_has_none() -> None:
    params = HarvestParams(most_by_sender=2)
    mass = [candidate(number, reviewed=False, sender=sender) for number, sender in enumerate("aaaabbb")]
    mass += [candidate(number, reviewed=False) for number in range(10, 15)]
    mass += [candidate(number, sender="a") for number in range(20, 25)]
    kept = harvest(mass, [], 0.99, params)
    assert Counter((row.sender, row.reviewed) for row in kept) == {
        ("a", False): 2, ("b", False): 2, ("", False): 2, ("a", True): 5,
    }  # fmt: skip


def test_what_a_scorer_or_a_judge_says_has_no_senders_cap() -> None:
    mass = [candidate(number, reviewed=False, sender=None, source="scored") for number in range(5)]
    assert len(harvest(mass, [], 0.99, HarvestParams(most_by_sender=2))) == 5
    assert len(harvest(mass, [], 0.99, HarvestParams(most_by_sender=2, most_scored=3))) == 3


def test_of_near_duplicates_the_reviewed_one_stays() -> None:
    said = "Where is my parcel with the coffee machine that I ordered on Monday last week?"
    kept = harvest([candidate(1, said, reviewed=False), candidate(2, said + "!", source="scored")], [], 0.9, PARAMS)
    assert [row.example.id for row in kept] == ["P-2"]


def test_by_default_nobody_is_a_reviewer_and_nothing_was_drawn() -> None:
    plain = Candidate(trace_id="1", input={"message": "x"}, answer="{}", source="scored")
    assert (plain.moved, plain.sender, plain.reviewed, plain.drawn) == (False, "", False, False)
    assert not Harvested(example=known("x"), split="train", source="scored").reviewed


def a_try(number: int, asked: str, *heard: str) -> Candidate:
    said = (Message(role="user", content=asked), Message(role="assistant", content="Which one?"))
    replies = tuple(Message(role="user", content=text) for text in heard)
    demonstration = Trajectory(
        id=str(number), example_id=str(number), messages=(*said, *replies, Message(role="assistant", content="Done.")),
        stop_reason="completed", usage=Usage(input_tokens=0, output_tokens=0),
    ).demonstration  # fmt: skip
    return Candidate(
        trace_id=str(number), input={"message": asked}, answer=demonstration, source="scored", reviewed=True,
        heard=heard_in(demonstration),
    )  # fmt: skip


def test_tries_only_train_and_have_no_reference() -> None:
    every = [a_try(number, "Cancel my lamp.", f"It is number W{number * 7919 % 9973}.") for number in range(60)]
    kept = harvest(every, [], 0.9, PARAMS)
    assert len(kept) == 60 and {row.split for row in kept} == {"train"}
    assert {(row.example.reference, row.example.demonstration) for row in kept} == {
        ("", attempt.answer) for attempt in every
    }
    answers = harvest([candidate(number) for number in range(60)], [], 0.9, PARAMS)
    assert {row.split for row in answers} == {"train", "dev"}


def test_tries_differ_by_what_was_heard_in_them_and_not_only_by_their_request() -> None:
    order = "The number is W4711, the mail ada17@mail.example, and the lamp was sent to Graz on a Monday."
    known_try = a_try(0, "Cancel my lamp.", order)
    known_one = Example(id="K", input=known_try.input, demonstration=known_try.answer, reference="{}", group="K")
    masked = order.replace("ada17@mail.example", "<email>")  # as production keeps it
    same, other = a_try(1, "Cancel my lamp.", masked), a_try(2, "Cancel my lamp.", "Never mind, it came after all.")
    assert [row.example.id for row in harvest([same, other], [known_one], 0.9, PARAMS)] == ["P-2"]
    again = a_try(3, "Cancel my lamp.", f"{masked}!")
    assert [row.example.id for row in harvest([same, other, again], [], 0.9, PARAMS)] == ["P-1", "P-2"]
