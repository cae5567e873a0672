"""Check digits: numbers that standards and offices give as examples, and the same with one digit changed."""

from collections.abc import Callable

import pytest

from components.data.check_digits import (
    IBAN_LENGTHS,
    is_american,
    is_brazilian,
    is_card,
    is_french,
    is_german,
    is_iban,
    is_spanish,
    is_swedish,
    is_swiss,
    luhn,
)


def test_check_digits_are_those_of_the_standards() -> None:
    assert luhn("79927398713")  # the example of the standard
    assert not luhn("79927398710")
    assert is_card("378282246310005") and is_card("6011111111111117") and is_card("30569309025904")
    assert not is_card("79927398713") and not is_card("1111111111111117") and not is_card("4111111111111112")
    assert not is_card("378282246310013000"[:16])
    assert is_iban("GB82WEST12345698765432")
    assert not is_iban("GB83WEST12345698765432") and not is_iban("GB81WEST12345698765432")  # remainders 2 and 0
    assert {len(name) for name in IBAN_LENGTHS} == {2} and min(IBAN_LENGTHS.values()) == 15
    assert is_french("255081416802538") and not is_french("255081416802539") and not is_french("355081416802538")
    assert is_swiss("7569217076985") and not is_swiss("7569217076986") and not is_swiss("4006381333931")
    assert is_brazilian("52998224725") and not is_brazilian("52998224726") and not is_brazilian("52998224735")
    assert not is_brazilian("11111111111")
    assert is_german("86095742719") and not is_german("86095742718") and not is_german("06095742719")
    assert is_swedish("8112289874") and not is_swedish("8112289875") and not is_swedish("8113289874")
    assert is_american("219099999") and not any(
        map(is_american, ["000099999", "666099999", "912099999", "219009999", "219090000"])
    )
    assert (
        is_spanish("12345678Z")
        and not is_spanish("12345678A")
        and is_spanish("X1234567L")
        and not is_spanish("Y1234567L")
    )


CARDS = [
    "4222222222222", "4111111111111111", "5105105105105100", "5555555555554444", "2223003122003222", "378282246310005",
    "341111111111111", "6011111111111117", "6500000000000002", "6440000000000005", "30569309025904", "36700102000000",
    "3530111333300000", "6200000000000005",
]  # fmt: skip


@pytest.mark.parametrize("number", CARDS)
def test_a_card_of_each_scheme_is_valid_and_with_a_digit_changed_is_not(number: str) -> None:
    assert is_card(number)
    for place, digit in enumerate(number):
        assert not is_card(f"{number[:place]}{(int(digit) + 1) % 10}{number[place + 1 :]}")


@pytest.mark.parametrize(
    "number", ["2220000000000002", "2721000000000004", "5600000000000", "7000000000000005", "3528000000000"]
)
def test_numbers_of_no_scheme_are_not_cards(number: str) -> None:
    last = next(digit for digit in "0123456789" if luhn(number[:-1] + digit))
    assert not is_card(number[:-1] + last)


EXAMPLES: dict[Callable[[str], bool], list[str]] = {
    is_iban: ["GB82WEST12345698765432", "NO9386011117947", "FR1420041010050500013M02606"],
    is_french: ["255081416802538"],
    is_swiss: ["7569217076985", "7561234567897"],
    is_brazilian: ["52998224725", "11144477735"],
    is_german: ["86095742719", "47036892816", "10234567898", "86095742760"],  # a zero second, a zero as check digit
    is_swedish: ["8112289874", "6709199530"],
    is_spanish: ["12345678Z", "54362315K", "X1234567L", "X2482300W"],
}


@pytest.mark.parametrize("check", EXAMPLES)
def test_one_digit_changed_is_noticed(check: Callable[[str], bool]) -> None:
    for example in EXAMPLES[check]:
        assert check(example)
        for place, letter in enumerate(example):
            if letter.isdigit():
                assert not check(f"{example[:place]}{(int(letter) + 1) % 10}{example[place + 1 :]}"), (example, place)


def closed(digits: str) -> str:
    """Digits with Luhn's check digit after them."""
    return next(digits + last for last in "0123456789" if luhn(digits + last))


def test_a_swedish_number_begins_with_a_day_of_birth() -> None:
    assert all(is_swedish(closed(f"81{day}987")) for day in ("0101", "1201", "0131", "1231"))
    assert not any(is_swedish(closed(f"81{day}987")) for day in ("0001", "1301", "0100", "0132"))


FIRST = [("2221", "2220", 16), ("2720", "2721", 16), ("55", "59", 16), ("34", "35", 15),
         ("37", "33", 15), ("644", "643", 16), ("649", "611", 16), ("300", "299", 14), ("305", "306", 14),
         ("3528", "3527", 16), ("3589", "3590", 16), ("36", "31", 14), ("50", "52", 18), ("67", "68", 19)]  # fmt: skip


@pytest.mark.parametrize(("inside", "outside", "length"), FIRST)
def test_a_schemes_range_of_first_digits_ends(inside: str, outside: str, length: int) -> None:
    assert is_card(closed(inside.ljust(length - 1, "0")))
    assert not is_card(closed(outside.ljust(length - 1, "0")))


LENGTHS = [
    ("4", {13, 16, 19}),
    *((first, {16}) for first in ("51", "55", "2221", "2720", "3528", "3589")),
    *((first, {15}) for first in ("34", "37")),
    *((first, {16, 19}) for first in ("6011", "65", "644", "649")),
    *((first, {14, 16}) for first in ("36", "38", "39", "300", "305")),
    ("62", {16, 17, 18, 19}),
    *((first, {16, 18, 19}) for first in ("50", "56", "57", "58", "63", "67")),
]


@pytest.mark.parametrize(("first", "lengths"), LENGTHS)
def test_a_schemes_cards_have_only_its_lengths(first: str, lengths: set[int]) -> None:
    of_any_length = {length: closed(first.ljust(length - 1, "0")) for length in range(11, 22)}
    assert {length for length, number in of_any_length.items() if is_card(number)} == lengths


@pytest.mark.parametrize("number", ["665", "667", "899", "899019999", "219100001", "001019999"])
def test_an_american_number_next_to_those_never_issued_is_valid(number: str) -> None:
    assert is_american(number.ljust(9, "1"))
