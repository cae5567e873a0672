import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.masking import luhn, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jo.doe+x@mail.example.co.uk, please.", "Write to <email>, please."),
        ("Card 4111 1111 1111 1111 was charged.", "Card <card> was charged."),
        ("Card 4111-1111-1111-1111.", "Card <card>."),
        ("My IBAN is DE89 3704 0044 0532 0130 00.", "My IBAN is <iban>."),
        ("Call +49 30 1234567 or (030) 123 45 67.", "Call <phone> or <phone>."),
        ("Ring me: 0171-2345678", "Ring me: <phone>"),
        ("Where is it?\nKind regards,\nAnna Müller", "Where is it?\nKind regards,\n<name>"),
        ("Dear Mr Smith,\nmy name is Zoë O'Neill.", "Dear <name>,\nmy name is <name>."),
        ("Name: John Q. Public", "Name: <name>"),
    ],
)
def test_what_is_personal_becomes_a_mark(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Order AB-12345 for 1,299.00 euros on 2026-11-23.",
        "Tracking number 1234 5678 9012 3456 is no card.",  # fails Luhn's check
        "The Pulsa 3 costs 149.90, the Brisa 400 costs 529.",
        "I am late. This is broken. Thanks for the Rollo S7!",
        "Hello there, where is my Coffee Machine?",
    ],
)
def test_what_retraining_needs_stays(text: str) -> None:
    assert mask(text) == text


def test_the_check_digit_is_luhns() -> None:
    assert luhn("79927398713")  # the example of the standard
    assert not luhn("79927398710")


@given(st.text(max_size=300))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask(text)
    assert mask(once) == once
