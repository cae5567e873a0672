"""Personal data out of texts before anything is stored: each kind becomes a mark such as <email>.

Decides by clear rules what is personal: mail addresses, card numbers (Luhn's check), IBANs, phone numbers, and names
where a text says that they are names (a greeting, a signature, "my name is"). A name without such a sign stays, and
so do order numbers and amounts, which retraining needs.
"""

import re
from collections.abc import Callable

_CAPITAL, _LETTER = "A-ZÀ-ÖØ-Þ", "A-Za-zÀ-ÖØ-öø-ÿ"
_NAME = rf"[{_CAPITAL}][{_LETTER}'’-]+(?:[ \t]+[{_CAPITAL}](?:\.|[{_LETTER}'’-]+)){{0,2}}"
_SIGNS = (
    r"\b(?i:(?:(?:best|kind|warm)[ \t]+)?regards|sincerely|cheers|(?:many[ \t]+)?thanks|thank you|best|yours)"
    r"[ \t]*[,!.]?[ \t]*\n+[ \t]*",
    r"\b(?i:my name is|this is|i am|i['’]m)[ \t]+",
    r"(?:^|\n)[ \t]*(?i:dear|hi|hello)[ \t]+",
    r"\b(?i:name|customer)[ \t]*:[ \t]*",
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_PHONE = re.compile(r"(?<![\w.,-])(?:\+|00|0|\(0?)\d[\d ()/.-]{6,17}\d(?![\w-])")
_SIGNED = re.compile(rf"(?P<sign>{'|'.join(_SIGNS)})(?P<name>{_NAME})(?=[ \t]*(?:[,.!;\n]|$))")
_FEWEST_PHONE_DIGITS, _MOST_PHONE_DIGITS = 8, 15


def mask(text: str) -> str:
    """The text with marks for personal data; what is masked already stays as it is."""
    for pattern, replace in _RULES:
        text = pattern.sub(replace, text)
    return text


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def _card(found: re.Match[str]) -> str:
    return "<card>" if luhn(re.sub(r"\D", "", found[0])) else found[0]


def _phone(found: re.Match[str]) -> str:
    digits = sum(letter.isdigit() for letter in found[0])
    return "<phone>" if _FEWEST_PHONE_DIGITS <= digits <= _MOST_PHONE_DIGITS else found[0]


_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_EMAIL, "<email>"),
    (_IBAN, "<iban>"),
    (_CARD, _card),
    (_PHONE, _phone),
    (_SIGNED, lambda found: f"{found['sign']}<name>"),
)
