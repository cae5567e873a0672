"""What can be no correction, word by word; over HTTP in test_guards."""

from typing import Any

import pytest

from components.params import ServingParams
from components.serving import Corrections
from components.serving.protocol import FeedbackRequest
from components.serving.refusals import RequestError

CORRECTIONS = Corrections({"type": "object", "required": ["kind"], "properties": {"kind": {"enum": ["refund"]}}})
ID = "chatcmpl-" + "0" * 32
RIGHT = '{"kind": "refund"}'  # 18 characters


def refused(most: int = 100, **words: Any) -> tuple[int, str | None, str | None] | None:
    """The status, the field and the code of a refusal; None if it is accepted."""
    try:
        CORRECTIONS.check(
            FeedbackRequest.model_validate({"id": ID, **words}), ServingParams(most_correction_characters=most)
        )
    except RequestError as error:
        return error.status, error.param, error.code
    return None


@pytest.mark.parametrize("name", [ID, f"{ID}-1", f"{ID}-15", "resp_" + "0123456789abcdef" * 2])
def test_the_ids_of_answers_are_known(name: str) -> None:
    assert refused(id=name, score=1) is None


@pytest.mark.parametrize(
    "name",
    ["x", ID[:-1], f"{ID}0", f"x{ID}", f"{ID}-", f"{ID}-100", f"{ID}~shadow", f"{ID}\n", "chatcmpl-" + "A" * 32,
     "0" * 32, "req_" + "0" * 32],
)  # fmt: skip
def test_other_ids_are_unknown(name: str) -> None:
    assert refused(id=name, score=1) == refused(id=name, corrected=RIGHT) == (404, "id", "unknown_id")


def test_a_correction_up_to_the_limit_is_accepted_and_a_longer_one_is_not() -> None:
    assert [refused(most, corrected=RIGHT) for most in (1000, 19, 18)] == [None] * 3
    assert refused(17, corrected=RIGHT) == (400, "corrected", None)


@pytest.mark.parametrize("answer", ["", "refund", "null", '["refund"]', "{}", '{"kind": "other"}'])
def test_a_correction_that_the_schema_forbids_is_refused(answer: str) -> None:
    assert refused(corrected=answer) == (400, "corrected", None)


def test_a_score_needs_no_correction() -> None:
    assert refused(17, score=0.5) is None
