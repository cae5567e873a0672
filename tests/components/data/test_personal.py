"""Which numbers and addresses are personal, of what kind, from where to where; and their neighbours that are not."""

import pytest

from components.data.check_digits import luhn
from components.data.personal import births, emails, ibans, letter_ids, numbers

WRONG_IBAN = "DE00370400440532013000"


def personal(text: str) -> list[tuple[str, str]]:
    """Kind and text of everything personal, rule by rule."""
    spans = [span for rule in (emails, ibans, letter_ids, births, numbers) for span in rule(text)]
    return [(kind, text[start:end]) for start, end, kind in spans]


CARDS = [
    "4222222222222", "5555 5555 5555 4444", "3782 822463 10005", "3056 930902 5904", "4000 0000 0000 0000 006",
    "4222 2222 2222 2",
]  # fmt: skip


@pytest.mark.parametrize("card", CARDS)
def test_cards_are_written_in_their_groups(card: str) -> None:
    assert luhn(card.replace(" ", ""))
    assert personal(f"Paid with {card}, thanks") == [("card", card)]
    assert personal(f"{card} {card}") == [("card", card)] * 2
    assert personal(f"({card})/0171 2345678") == [("card", card), ("phone", "0171 2345678")]
    assert personal(f"(01712345678 {card}") == [("phone", "(01712345678"), ("card", card)]


@pytest.mark.parametrize("text", ["4111 11111 111 1111", "41 11 11 11 11 11 11 11", "4111 1111 1111 1111x"])
def test_digits_in_other_groups_are_not_a_card(text: str) -> None:
    assert personal(text) == []


IDS = [
    "219-09-9999", "2 55 08 14 168 025 38", "756.9217.0769.85", "529.982.247-25", "86 095 742 719", "811228-9874",
    "255081416802538", "7569217076985",
]  # fmt: skip


@pytest.mark.parametrize("number", IDS)
def test_a_national_id_is_recognised_by_its_groups_and_check_digits(number: str) -> None:
    assert personal(f"mine: {number}.") == [("id", number)]


@pytest.mark.parametrize("number", ["000-09-9999", *(f"{right[:-1]}{(int(right[-1]) + 1) % 10}" for right in IDS[1:])])
def test_a_national_id_with_a_digit_changed_is_not_recognised(number: str) -> None:
    assert personal(f"mine: {number}.") == []


@pytest.mark.parametrize(
    "text", ["AB 12 34 56 C", "ab123456c", "RSSMRA85M01H501Z", "ABCPE1234F", "12345678-Z", "X-1234567-L", "x1234567l"]
)
def test_ids_with_letters_are_marked_whole(text: str) -> None:
    assert personal(f"Mine is {text}!") == [("id", text)]


def test_after_a_word_for_ids_eight_to_fifteen_digits_are_an_id() -> None:
    assert [count for count in range(6, 18) if personal("BSN " + "1" * count)] == list(range(8, 16))
    assert personal("BSN 123456782") == [("id", "123456782")]
    assert personal("BSN\n11111111") == []


FORMATS = [
    "202-555-0143", "1 202 555 0143", "347 1234567", "612 345 678", "91 123 45 67", "612 34 56 78", "98765 43210",
    "138 1234 5678", "11 98765 4321", "11 3456 7890", "012345678", "030 123456789", "(202) 555-0143", "(612) 345 678",
    "(11) 98765-4321", "((030) 1234567", "+1 202 555 0143", "+7 495 123 45 67", "+49 30 1234567", "(+49) 30 1234567",
    "+353 1 234 5678", "+1234567", "+491234567890123", "0049 30 123456", "001 202 555 0143",
]  # fmt: skip


@pytest.mark.parametrize("number", FORMATS)
def test_a_phone_number_is_recognised_by_its_format_alone(number: str) -> None:
    assert personal(f"Ask {number}, please") == [("phone", number)]


@pytest.mark.parametrize(
    "number",
    [
        "01234567", "0301234567890", "(12) 345678", "(301) 234567890", "12345 6789", "1234567",
        "+123456", "+4912345678901234", "+210 1234567", "00 210 1234567", "0049" + "3" * 14, "0049 1 234",
        "192.168.100.200", "12.05.2024 ", "2024-05-12", "12:30:45",
    ],
)  # fmt: skip
def test_other_numbers_are_not_phone_numbers(number: str) -> None:
    assert personal(f"Ask {number}, please") == []


def test_a_number_from_abroad_has_no_more_than_fifteen_digits() -> None:
    assert [count for count in range(10, 20) if personal(f"0049{'3' * (count - 2)}")] == list(range(10, 16))


def test_after_a_word_for_phones_seven_to_thirteen_digits_are_a_phone_number() -> None:
    assert [count for count in range(5, 16) if personal("tel " + "1" * count)] == list(range(7, 14))
    assert [year for year in ("18", "19", "20", "21") if personal(f"tel {year}260101")] == ["18", "21"]
    assert personal("tel\n1234567") == []


def test_a_word_counts_up_to_sixty_characters_before_a_number() -> None:
    assert personal(f"tel {'x' * 55} 1234567") == [("phone", "1234567")]
    assert personal(f"tel {'x' * 56} 1234567") == []


def test_the_last_word_before_a_number_says_whether_it_is_a_code() -> None:
    assert personal("order 0171 2345678") == []
    assert personal("call about order 0171 2345678") == []
    assert personal("order: call 0171 2345678") == [("phone", "0171 2345678")]
    assert personal("order +49 171 2345678") == [("phone", "+49 171 2345678")]
    assert personal("0171 2345678-AB") == personal("0171 2345678,- EUR") == []


def test_an_iban_has_its_countrys_length_and_right_check_digits_or_is_called_one() -> None:
    assert personal("DE89 3704 0044 0532 0130 00 123") == [("iban", "DE89 3704 0044 0532 0130 00")]
    assert personal("pay to no93-8601-1117-947") == [("iban", "no93-8601-1117-947")]
    assert personal(f"iban {WRONG_IBAN}") == personal(f"Iban number {WRONG_IBAN}") == [("iban", WRONG_IBAN)]
    for text in ("DE893704004405320130001", WRONG_IBAN, f"iban numbers {WRONG_IBAN}", "IBAN ZZ12 3456 7890 1234 5678"):
        assert personal(text) == []
    assert personal("DE89 3704 0044 0532 0130") == []  # two digits are missing


@pytest.mark.parametrize("before", ["KD10345 was refunded to", "AB10 1XG, pay", "DE12345 goes to", "NO12 to"])
@pytest.mark.parametrize("iban", ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00"])
def test_an_iban_is_found_behind_what_begins_like_one(before: str, iban: str) -> None:
    assert personal(f"{before} {iban}.") == [("iban", iban)]


def test_no_iban_lies_in_another() -> None:
    # Both are called IBANs, and have the lengths of Germany (22) and Norway (15).
    assert personal("IBAN DE00 NO00 3704 0044 053 200") == [("iban", "DE00 NO00 3704 0044 053 200")]


BESIDE = [
    ("12345 123-45-6789", "id", "123-45-6789"),
    ("order 12345 123-45-6789", "id", "123-45-6789"),
    ("123-45-6789 12345", "id", "123-45-6789"),
    ("10115 030/1234567", "phone", "030/1234567"),
    ("4711 (030) 1234567", "phone", "(030) 1234567"),
    ("4711 01712345678", "phone", "01712345678"),
    ("+49 30 1234567 10115 Berlin", "phone", "+49 30 1234567"),
    ("order +49 30 1234567 10115 Berlin", "phone", "+49 30 1234567"),
    ("001 202 555 0143 10115", "phone", "001 202 555 0143"),
    ("tel 030 1234567 10115 Berlin", "phone", "030 1234567"),
    ("tel 10115 030 1234567", "phone", "030 1234567"),
    ("Steuer-ID 86 095 742 719 10115 Berlin", "id", "86 095 742 719"),
    ("tel 12 4111 1111 1111 1111", "card", "4111 1111 1111 1111"),
]


@pytest.mark.parametrize(("text", "kind", "number"), BESIDE)
def test_a_number_is_found_beside_an_order_number_or_a_postcode(text: str, kind: str, number: str) -> None:
    assert personal(text) == [(kind, number)]


@pytest.mark.parametrize(
    "text",
    [
        "1234 5678 9012 3456", "10 000 20 000 30 000", "order 12345 01712345678", "order 030-1234567 10115",
        "call: 9274 8901 2345 6789 0123 45", "600 700 800 900 100",
    ],
)  # fmt: skip
def test_digits_beside_others_are_not_taken_for_a_number(text: str) -> None:
    assert personal(text) == []


def test_addresses_come_in_order() -> None:
    text = "jo (at) example (dot) com, jo@example.com"
    assert personal(text) == [("email", "jo (at) example (dot) com"), ("email", "jo@example.com")]


@pytest.mark.parametrize("date", ["4.7.1991", "1991-07-04", "4th of July 1991", "4 de julho de 1991", "July 4, 1991"])
def test_a_date_is_masked_if_it_is_called_a_birth(date: str) -> None:
    assert personal(f"born on {date}, it") == [("birth", date)]
    assert personal(f"on {date}, it") == []
