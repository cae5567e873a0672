"""Differences of form: what is taken for the same text, and what is not."""

import unicodedata

import pytest

from components.data.forms import folded, plain

DECOMPOSED = unicodedata.normalize("NFD", "Rückgabe für Zoë")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (DECOMPOSED, "Rückgabe für Zoë"),
        ("Liefer\u200bung", "Lieferung"),
        ("\ufeffLieferung", "Lieferung"),
        ("Liefe\u00adrung", "Lieferung"),
        ("Lieferung\u200e", "Lieferung"),
        ("Liefer\u200cung", "Lieferung"),  # joins nothing between Latin letters
        ("Lieferung \u200d heute", "Lieferung heute"),
        ("a\u00a0b\u2009 c\n", "a b c"),
        ("❤\ufe0f", "❤"),
    ],
)
def test_texts_that_differ_only_in_form_are_the_same(text: str, other: str) -> None:
    assert plain(text) == other


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("می\u200cخواهم", "میخواهم"),  # a letter of Persian's spelling
        ("क्\u200dष", "क्ष"),
        ("👨\u200d👩", "👨👩"),
        ("Straße", "Strasse"),
        ("A", "a"),
        ("m²", "m2"),
    ],
)
def test_texts_that_a_script_or_a_reader_distinguishes_stay_different(text: str, other: str) -> None:
    assert plain(text) != plain(other)


@pytest.mark.parametrize(("text", "other"), [("Straße", "STRASSE"), ("ＡＢＣ", "abc"), ("ﬁne", "FINE"), ("İ", "i̇")])
def test_case_and_width_are_folded_for_comparing(text: str, other: str) -> None:
    assert folded(text) == folded(other)
