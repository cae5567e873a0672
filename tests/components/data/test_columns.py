"""Values of a column: which are numbers, and which signs in them could mean either."""

from typing import Any

import pytest

from components.data.columns import cell, numbers, schema_of, without_nothing


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ([1e-05, 0.1234567890123456789, 2e300, 3], [1e-05, 0.1234567890123456789, 2e300, 3]),
        (["0.8474337369372327", "0.08474337369372327123"], [0.8474337369372327, 0.08474337369372327]),
        (["1e-05", "0.5", "2.5E+05", "1e+20"], [1e-05, 0.5, 250_000.0, 1e20]),
        (["1.0E10", "2.5"], [1e10, 2.5]),
        ([0.5, "1e-05", "2.5"], [0.5, 1e-05, 2.5]),
        (["1e5", "12E04"], []),  # codes
        (["1e-05", "12e-04"], []),
        (["1e5", "0.5"], []),
        (["1.0e400", "0.5"], []),  # no double holds it
        ([True, 1.5], []),
        (["0.125", "1.250"], [0.125, 1.25]),
        (["1.250", "7.310"], [1.25, 7.31]),
        (["1.250", "12.5", "980"], [1.25, 12.5, 980]),
        (["1.250", "980"], []),  # a thousand and more, or one and a quarter
        (["1.250", 980], []),
        (["-1.250", "0", "15.000"], []),
        (["1,234", "980"], []),
        (["0,125", "1,250"], [0.125, 1.25]),
        (["1.234", "3,99"], [1234, 3.99]),
        (["007", "1.5"], []),
    ],
)
def test_numbers_are_read_where_all_are_some_and_no_sign_could_mean_either(values: list[Any], read: list[Any]) -> None:
    assert numbers(values) == read


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        ([0.1 + n / 1e17 for n in range(9)], {"type": "number"}),
        ([1e-05, 0.5], {"type": "number"}),
        ([9 * 10**17, "1000000000000000000"], {"type": "string", "pattern": r"^\d{18,19}$"}),
        ([True, False, "maybe"] * 3, {"enum": ["false", "maybe", "true"]}),
    ],
)
def test_numbers_and_booleans_as_programs_have_them_get_a_schema(values: list[Any], schema: dict[str, Any]) -> None:
    assert schema_of(values) == schema


def test_a_very_small_number_inside_an_object_is_a_number() -> None:
    made = schema_of([{"d": [0.5, 1, 2e-07][n % 3]} for n in range(9)], literal=True)
    assert made is not None
    assert made["properties"] == {"d": {"type": "number"}}


@pytest.mark.parametrize("others", [["1.250", "980"], ["1e-05", "0.5"], [1e-05, 2e-07]])
def test_words_for_nothing_are_empty_beside_every_kind_of_number(others: list[Any]) -> None:
    assert without_nothing([*others, "n/a"]) == [*others, None]


def test_what_mysql_writes_for_null_is_an_empty_cell() -> None:
    assert [cell(text) for text in (r"\N", r"\n", "N")] == [None, r"\n", "N"]
