"""Which new examples resemble none of a split: by the columns that they have; of several splits the first counts."""

from components.data.novelty import THEMSELVES, resembled
from components.records import Example

SAID = "Where is my parcel with the coffee machine that I ordered on Monday last week?"


def example(**given: str) -> Example:
    return Example(id="N", input=given, demonstration="", reference="", group="N")


def test_examples_of_a_split_are_compared_by_the_columns_of_the_new_ones() -> None:
    sealed = example(subject="Delivery of my order", message=SAID)
    train = example(subject="An invoice", message=f"{SAID}!")
    new = [
        example(message=SAID), example(subject="Delivery of my order", message=f"{SAID}!"), example(subject="Praise"),
        example(subject="praise"), example(message="Nothing that anybody ever asked."),
    ]  # fmt: skip
    places = resembled({"sealed": [sealed], "train": [train]}, new, 0.9)
    assert places == ["sealed", "sealed", None, THEMSELVES, None]
    assert resembled({"sealed": [], "train": [train]}, new[:1], 0.9) == ["train"]
    assert resembled({"sealed": [sealed]}, [], 0.9) == []
