"""Dates in a column: what is read and as which day, and what only looks like a date."""

import pytest

from components.data.dates import are_dates, iso_dates, look_like_dates


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["2024-03-05", "2024-03-05 13:45:00"], "2024-03-05"),
        (["2024/03/05", "2024/03/05 13:45", "2024/3/5"], "2024-03-05"),
        (["2024.03.05"], "2024-03-05"),
        (["03/04/2024", "13/04/2024"], "2024-04-03"),
        (["03/04/2024", "04/13/2024"], "2024-03-04"),
        (["03.04.2024", "04.04.2024"], "2024-04-03"),
        (["1714521600"], "2024-05-01"),
        (["1714521600.123", "1714521600000", "1714521600000000", "1714521600000000000"], "2024-05-01"),
    ],
)
def test_a_column_is_read_in_the_order_that_all_of_it_tells(texts: list[str], first: str) -> None:
    dates = iso_dates(texts)
    assert dates is not None and None not in dates
    assert dates[0] == first


@pytest.mark.parametrize(
    "texts",
    [
        ["03/04/2024"] * 3,  # March or April
        ["13/04/2024", "04/13/2024"],  # both orders
        ["5/12/24"],
        ["12.05.24"],
        ["1/5/24 13:45"],
        ["Mar 5, 2024"],
        ["Tue, 05 Mar 2024 13:45:00 +0100"],
        ["5. März 2024"],
        ["05-Mar-24"],
        ["March 5th, 2024 at 3:00 PM"],
        ["2024年3月5日"],
    ],
)
def test_dates_in_other_forms_are_not_read_but_are_seen(texts: list[str]) -> None:
    assert iso_dates(texts) is None
    assert look_like_dates(texts)


@pytest.mark.parametrize("text", ["refund", "12345", "12,50", "XK-10345", "2024", "two of 3", "a day in March 2024"])
def test_other_values_are_not_seen_as_dates(text: str) -> None:
    assert not look_like_dates([text])


def test_one_cell_of_ten_may_be_no_date() -> None:
    days = [f"2024-03-{day:02d}" for day in range(1, 19)]
    assert iso_dates([*days, "n/a", "unknown"]) == [*days, None, None]
    assert iso_dates([*days, "n/a", "unknown", "?"]) is None
    assert iso_dates(["31/12/2024", *["30/12/2024"] * 8, "31/02/2024"]) == ["2024-12-31", *["2024-12-30"] * 8, None]


@pytest.mark.parametrize(
    ("texts", "are"),
    [
        (["2024-03-05", "2024-03-05T13:45:00Z"], True),
        (["31.12.2024"], True),
        (["03/04/2024"], True),  # March or April
        (["2024-03-05", "unknown"], False),
        (["2024-13-05"], False),
        (["31.31.2024"], False),
        (["20240305"], False),  # perhaps a number
        (["1714521600"], False),
    ],
)
def test_a_column_is_of_dates_whatever_its_name_if_all_cells_are_some(texts: list[str], are: bool) -> None:
    assert are_dates(texts) == are
