"""Which opinions may be learnt from: none on what models are judged by, in whatever form production keeps it."""

from components.data.masking import mask
from components.data.opinions import Opinion, taught
from components.records import Example, Thumb

SAID = "I am Ada Lovelace, my IBAN is DE89 3704 0044 0532 0130 00: where is the refund? Call +49 170 1234567."


def thumb(name: str, **given: str) -> Opinion:
    return Opinion(said=Thumb(example_id=name, text="{}", good=True, input=given), reviewed=True)


def judged(**given: str) -> Example:
    return Example(id="T", input=given, demonstration="", reference="", group="T")


def names(opinions: list[Opinion], *examples: Example) -> list[str]:
    return [said.model_dump()["example_id"] for said in taught(opinions, examples, 0.9, 10)["thumbs"]]


def test_a_judged_example_is_recognised_masked() -> None:
    opinions = [thumb("P-1", message=mask(SAID)), thumb("P-2", message="Another matter altogether.")]
    assert names(opinions, judged(message=SAID)) == ["P-2"]


def test_a_judged_example_is_recognised_by_the_columns_of_each_version() -> None:
    opinions = [thumb("P-1", subject="An invoice of last month"), thumb("P-2", subject="Refund", message=mask(SAID))]
    assert names(opinions, judged(subject="Refund", message=SAID)) == ["P-1"]


def test_without_opinions_or_examples_nothing_is_left_out() -> None:
    assert names([]) == names([], judged(message=SAID)) == []
    assert names([thumb("P-1", message=mask(SAID))]) == ["P-1"]
