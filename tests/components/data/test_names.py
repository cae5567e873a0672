"""Which words a text marks as a name, and where the name ends."""

import pytest

from components.data.names import names

LONG = f"{'A' + 'a' * 29}-{'b' * 29}"  # 60 letters, of which a part of a word has at most 31


def named(text: str) -> list[str]:
    """The words that are a name."""
    spans = names(text)
    assert {kind for _, _, kind in spans} <= {"name"}
    return [text[start:end] for start, end, _ in spans]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Dear Anna,", "Anna"),
        ("  hi   Anna", "Anna"),
        ("Some line.\nHELLO Anna!", "Anna"),
        ("Dear Mr. Smith-Jones", "Mr. Smith-Jones"),
        ("Dear Prof. Dr.  Anna Berg;", "Prof. Dr.  Anna Berg"),
        ("Dear Anna-Maria O'Neill\n", "Anna-Maria O'Neill"),
        ("Dear Anna (and all)", "Anna"),
        ("Dear Anna - and all", "Anna"),
        ("Dear Anna  and all", "Anna"),
        ("Name: Anna", "Anna"),
        ("name :Anna", "Anna"),
        ("customer:Jan van den Berg\nparcel 5", "Jan van den Berg"),
        ("name: Ada ten Boom", "Ada ten Boom"),
        ("My name is Anna and I wait.", "Anna"),
        ("(mein Name ist Anna Berg)", "Anna Berg"),
        ("je m’appelle Anne Dubois et", "Anne Dubois"),
        ("My name is Anna B. and", "Anna B"),
        ("my name is Anna Thanks", "Anna"),
        ("my name is Anna van, hello", "Anna"),
        ("I am Anna Berg.", "Anna Berg"),
        ("i'm Anna Berg, and", "Anna Berg"),
        ("this is van Berg", "van Berg"),
        ("Here is Ana de la Cruz\n", "Ana de la Cruz"),
        ("Thanks,\nAnna Berg\nMalmö 7", "Anna Berg"),
        ("Thanks,\n\n  anna berg", "anna berg"),
        ("thanks!\nanna maria berg.\n\n", "anna maria berg"),
        ("Thanks.\nAnna maria von Berg\nMalmö", "Anna maria von Berg"),
        ("Cheers, Joana van Berg\nMalmö", "Joana van Berg"),
        ("Best, Anna", "Anna"),
        (f"Thanks,\n{LONG}", LONG),
        (f"Thanks,\n{LONG}b", LONG),
        ("我叫王小明，你好", "王小明"),
        ("我是王明", "王明"),
    ],
)
def test_words_that_a_sign_marks_are_a_name(text: str, name: str) -> None:
    assert named(text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "Dear anna,",
        "Oh dear Anna,",
        "Hello Where is my parcel",
        "Hello there",
        "Dear Customer,",
        "Name: Anna Berg writes",
        "nickname: Anna",
        "I am Late.",
        "I am late Anna",
        "this is Anna Berg speaking",
        "my name is la, or so",
        "my name is 5",
        "my name isAnna",
        "Cheers, Joana wrote",
        "Thanks, anna",
        "Thanks,\nanna maria van berg",
        "Thanks,\nanna berg\nmalmö",
        "Thanks,\nthe team",
        "Thanks,\nAnna 5",
        "Thanks,\nAnna Berg Cole Dunn Eder",
        "我叫王小明明你好",
        "我叫王",
    ],
)
def test_other_words_are_not_a_name(text: str) -> None:
    assert named(text) == []


def test_names_come_in_order_and_none_lies_in_another() -> None:
    assert named("Kind regards, Anna\n\nDear Otto,\nmy name is Ida.\n我叫王明") == ["Anna", "Otto", "Ida", "王明"]
    assert named("Thanks,\nDear Otto") == ["Dear Otto"]
    assert names("Name: Name: Anna") == [(12, 16, "name")]
    assert names("Anna Berg, here is Anna Berg") == [(19, 28, "name")]
