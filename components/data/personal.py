"""Finds personal data with a recognisable form: mail addresses, IBANs, cards, phone numbers, national ids, births.

Each rule takes a text in plain characters and returns spans in order: start, end, the mark's word. Order numbers,
amounts, dates and versions are kept, because retraining needs them: a number must pass a check, have the format of
phone numbers in one of the countries below, or follow a word that says what it is. Every rule takes linear time.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from components.data import check_digits
from components.data.check_digits import IBAN_LENGTHS, is_card, is_iban

Span = tuple[int, int, str]

_EMAIL = re.compile(r"(?<![\w.%+'’-])['’.%+-]*+(\w[\w.%+'’-]*+@(?:[\w-]++\.)+[^\W\d_][\w-]*+)")
_SPELT = re.compile(
    r"(?<![\w.+-])\w[\w.+-]{0,63}+ ?[\[(]at[\])] ?[\w-]{1,63}+(?: ?(?:[\[(]dot[\])]|\.) ?[\w-]{1,63}+)+", re.IGNORECASE
)
# Only looks ahead, so that an order number which reads like the start of one hides none behind it.
_IBAN = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z]{2}\d{2}(?:[ .-]{0,2}[A-Za-z0-9]){11,30}))")
_MONTH = r"(?:de |of )?[^\W\d_]{3,12}\.?,? (?:de )?"
_DATE = (
    r"\d{1,4} ?[./-] ?\d{1,2} ?[./-] ?\d{2,4}|\d{1,2}(?:st|nd|rd|th|\.)? " + _MONTH + r"\d{4}"
    r"|[^\W\d_]{3,12}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}"
)
_BIRTH = re.compile(
    r"(?<!\w)(?:date of birth|birth ?da(?:te|y)|d\.? ?o\.? ?b|born|geb(?:oren|\.)?|geburts(?:datum|tag)|née?|"
    r"(?:date de )?naissance|nacid[oa]|(?:fecha de )?nacimiento|nat[oa]|nascita|geboorte ?datum|urodz\w*|född|"
    r"födelse\w*|nascimento|nascid[oa]|родил\w*|рождения|出生)"
    rf"[^\d\n]{{0,16}}?(?<!\w)({_DATE})(?!\w)",
    re.IGNORECASE,
)
_LETTERS = (
    # NINO (without prefixes that are never issued), codice fiscale, a person's PAN
    r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
    r"[A-Z]{6} ?\d{2} ?[A-EHLMPR-T]\d{2} ?[A-Z]\d{3} ?[A-Z]",
    r"[A-Z]{3}P[A-Z]\d{4}[A-Z]",
)
_LETTER_ID = re.compile(rf"(?<![\w-])(?:{'|'.join(_LETTERS)}|(\d{{8}}-?[A-Z]|[XYZ]-?\d{{7}}-?[A-Z]))(?![\w-])", re.I)

# What looks like a phone number but is not: dates and times, IP addresses.
_NO_NUMBER = re.compile(
    r"(?<!\d)(?:\d{1,2}[./ -]\d{1,2}[./ -](?:19|20)\d{2}|(?:19|20)\d{2}[./-]\d{1,2}[./-]\d{1,2})(?![\d/-])"
    r"|(?<![\d.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![.\d])|(?<!\d)\d{1,2}:\d{2}(?::\d{2})?(?!\d)"
)
# Groups of digits with at most three signs between them; no group is scanned twice.
_CHAIN = re.compile(
    r"(?<![A-Za-z0-9_À-ɏ#$€£])(?<![A-Za-zÀ-ɏ0-9][-_/])(?<!\d[.,:])[+(]{0,2}\d++(?:[ ()/.-]{1,3}+\d++)*+"
)
_GROUP = re.compile(r"\d+")
_LETTER = re.compile(r"[A-Za-z_À-ɏ]")
_CODE_AFTER = re.compile(r"[A-Za-z_À-ɏ]|[-/.,:]?[\d]|-[A-Za-z]|[,.]-? ?(?:€|EUR)")
_CARD_SHAPES = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1)}
_ID_SHAPES: dict[tuple[int, ...], Callable[[str], bool]] = {
    (3, 2, 4): check_digits.is_american,
    (1, 2, 2, 2, 3, 3, 2): check_digits.is_french,
    (3, 4, 4, 2): check_digits.is_swiss,
    (3, 3, 3, 2): check_digits.is_brazilian,
    (2, 3, 3, 3): check_digits.is_german,
    (6, 4): check_digits.is_swedish,
    (15,): check_digits.is_french,
    (13,): check_digits.is_swiss,
}

_ID_WORD = re.compile(
    r"(?<!\w)(?:ssn|social (?:security|insurance)|sécu(?:rité sociale)?|nir|insee|steuer-?id\w*|steueridentif\w*|idnr"
    r"|bsn|burgerservice\w*|pesel|person(?:nummer|number)|cpf|aadh?aa?r|uidai|ahv|avs|sin|svnr|sv-n\w+"
    r"|sozialversicherungs\w*|tfn|tax file|dni|nie)(?!\w)[^\d\n]{0,16}$",
    re.IGNORECASE,
)
_PHONE_WORD = re.compile(
    r"(?<!\w)(?:(?:tele)?phone|tel(?:e[fp]\w+|éf\w+)?|tél\w*|teléf\w*|call(?:ed|back)?|ring|mob(?:il\w*)?|cell\w*|handy"
    r"|fax|whats ?app|sms|text me|contact\w*|contacto|reach|landline|erreich\w*|anruf\w*|rufen|rückruf|appele\w*"
    r"|portable|joignable|ll[aá]m\w*|móvil|celular|chiam\w*|natel|bel me|bereikbaar|dzwoni\w*|ph|my number\w*"
    r"|büro|bureau|ufficio|office|тел\w*|звон\w*)(?!\w)|رقم|هاتف|جوال|电话|電話|手机|携帯",
    re.IGNORECASE,
)
_CODE_WORD = re.compile(
    r"(?<!\w)(?:orders?|ord(?:ine|re|ern\w*)|bestell\w*|auftrag\w*|commande|pedido|zamówien\w*|bestelling|invoice\w*"
    r"|rechnung\w*|factur\w*|fattura|faktur\w*|tracking|sendung\w*|paket|parcel|colis|awb|serial|serien\w*|s/?n|sku|item"
    r"|parts?|artikel\w*|ref(?:erence|erenz)?|réf(?:érence)?|case|ticket|version|firmware|kunden\w*|klant\w*|company|vertrag\w*|contract|codes?"
    r"|pin|lot|box|upc|ean|isbn|imei|po|ocr|vin|zip|plz|usps|fedex|ups|dhl|model|nota|albar[aá]n|spedizione|siret|iban"
    r"|gate|press|press \+|timestamps?|confirmation|account|konto|amount|total)(?!\w)[^\d\n]{0,18}$",
    re.IGNORECASE,
)
BEFORE = 60  # characters in which to look for a word that says what a number is

# Countries with known national formats: those where numbers begin with 0, and the shapes of groups in the others.
REGIONS = ("US", "CA", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "SE", "BR", "IN", "CH", "AT", "AU", "CN", "JP", "SA")
_SHAPES: dict[tuple[int, ...], tuple[str, ...]] = {
    (3, 3, 4): ("US", "IT"),
    (1, 3, 3, 4): ("US",),
    (3, 7): ("IT",),
    (3, 3, 3): ("ES", "PL"),
    (2, 3, 2, 2): ("ES", "PL"),
    (3, 2, 2, 2): ("ES",),
    (5, 5): ("IN",),
    (3, 4, 4): ("CN",),
    (2, 5, 4): ("BR",),
    (2, 4, 4): ("BR",),
}
_FEWEST, _MOST = 7, 15  # digits of a phone number (ITU-T E.164)


def emails(text: str) -> list[Span]:
    """The spans of mail addresses."""
    signed = [match.span(1) for match in _EMAIL.finditer(text)] if "@" in text else []
    spans: list[Span] = []
    for start, end in sorted([*signed, *(match.span() for match in _SPELT.finditer(text))]):
        if spans and start < spans[-1][1]:  # one address in both notations
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]), "email")
        else:
            spans.append((start, end, "email"))
    return spans


def ibans(text: str) -> list[Span]:
    """The spans of IBANs with right check digits, or after the word IBAN."""
    spans: list[Span] = []
    for match in _IBAN.finditer(text):
        span = _iban(text, match)
        if span is not None and (not spans or spans[-1][1] <= span[0]):
            spans.append(span)
    return spans


def _iban(text: str, match: re.Match[str]) -> Span | None:
    letters = re.sub(r"[ .-]", "", match[1]).upper()
    length = IBAN_LENGTHS.get(letters[:2], 0)
    if not 0 < length <= len(letters):
        return None
    called = "iban" in text[max(0, match.start() - 12) : match.start()].lower()
    if not called and not is_iban(letters[:length]):
        return None
    left, end = length, match.start()
    while left:
        left -= text[end].isalnum()
        end += 1
    return None if text[end : end + 1].isalnum() else (match.start(), end, "iban")


def letter_ids(text: str) -> list[Span]:
    """The spans of national ids with letters."""
    return [
        (*match.span(), "id")
        for match in _LETTER_ID.finditer(text)
        if not match[1] or check_digits.is_spanish(match[1].replace("-", "").upper())
    ]


def births(text: str) -> list[Span]:
    """The spans of dates that a text calls a birth."""
    return [(*match.span(1), "birth") for match in _BIRTH.finditer(text)]


def numbers(text: str) -> list[Span]:
    """The spans of cards, national ids and phone numbers."""
    text = _NO_NUMBER.sub(lambda match: "\0" * len(match[0]), text)
    return [span for chain in _CHAIN.finditer(text) for span in _of_chain(text, chain)]


def _of_chain(text: str, chain: re.Match[str]) -> Iterator[Span]:
    """The personal data in a chain of groups of digits."""
    groups = [(chain.start() + group.start(), chain.start() + group.end()) for group in _GROUP.finditer(chain[0])]
    digits = [text[start:end] for start, end in groups]
    if sum(map(len, digits)) < _FEWEST:
        return
    first = 0
    while first < len(groups):
        taken = _card_at(digits, first)
        if taken and not _LETTER.match(text, groups[first + taken - 1][1]):
            yield groups[first][0], groups[first + taken - 1][1], "card"
            first += taken
            continue
        last = next((index for index in range(first + 1, len(groups)) if _card_at(digits, index)), len(groups))
        start = chain.start() if first == 0 else groups[first][0]
        kind = _kind(text, start, groups[last - 1][1], digits[first:last])
        if kind is not None:
            yield start, groups[last - 1][1], kind
        else:
            yield from _of_parts(text, start, groups[first:last])
        first = last


def _of_parts(text: str, start: int, groups: list[tuple[int, int]]) -> Iterator[Span]:
    """The personal data in groups that are none together: beside another number, with a blank between.

    Where a sign or a word says what it is, its own blanks may lie in it; elsewhere its form has to say it.
    """
    parts, place, before = _parted(text, groups), 0, _before(text, start)
    code = _is_code(before)
    named = text.startswith(("+", "(+", "00"), start) or _ID_WORD.search(before) is not None
    called = not code and _PHONE_WORD.search(before) is not None
    while place < len(parts):
        first = parts[place][0][0]
        begin = first - (text[first - 1] == "(") if place else start
        said = named and place == 0
        if said or (called and begin < start + BEFORE):
            most = _MOST
        else:  # a code, and bare digits beside it, are none
            most = int(not code or (place > 0 and len(parts[place]) > 1))
        for count in range(min(most, len(parts) - place), 0, -1):
            some = [group for part in parts[place : place + count] for group in part]
            kind = _kind(text, begin, some[-1][1], [text[low:high] for low, high in some], by_words=said)
            if kind is not None:
                yield begin, some[-1][1], kind
                place += count
                break
        else:
            place += 1


def _parted(text: str, groups: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Groups of digits, parted at blanks; a bracket that closes belongs to what follows it."""
    parts = [groups[:1]]
    for (_, end), group in pairwise(groups):
        between = text[end : group[0]]
        if " " in between and ")" not in between:
            parts.append([])
        parts[-1].append(group)
    return parts


def _card_at(digits: list[str], first: int) -> int:
    """The number of groups, from `first` on, that form a card number; 0 if none do."""
    for taken in range(1, 6):
        some = digits[first : first + taken]
        shape = tuple(map(len, some))
        if len(some) == taken and (taken == 1 or shape in _CARD_SHAPES) and is_card("".join(some)):
            return taken
    return 0


def _before(text: str, start: int) -> str:
    """What may say, on the line before a number, what it is."""
    return text[max(0, start - BEFORE) : start].rpartition("\n")[2]


def _kind(text: str, start: int, end: int, groups: list[str], *, by_words: bool = True) -> str | None:
    """The kind of personal data in groups of digits, or None; without words, only their form counts."""
    before = _before(text, start) if by_words else ""
    shape, digits = tuple(map(len, groups)), "".join(groups)
    if 8 <= len(digits) <= 15 and _ID_WORD.search(before):
        return "id"
    international = text[start] == "+" or text[start : start + 2] == "(+"
    if not international and (_CODE_AFTER.match(text, end) or _is_code(before)):
        return None
    if shape in _ID_SHAPES and _ID_SHAPES[shape](digits):
        return "id"
    return "phone" if _is_phone(text[start], digits, shape, before, international) else None


def _is_code(before: str) -> bool:
    """Whether the last hint before a number says that it is a code, not a phone number."""
    word = _CODE_WORD.search(before)
    return word is not None and _PHONE_WORD.search(before, word.start()) is None


def _is_phone(first: str, digits: str, shape: tuple[int, ...], before: str, international: bool) -> bool:
    """Whether groups of digits are a phone number: by country code, by the words before, or by a national format."""
    if international:
        return _FEWEST <= len(digits) <= _MOST and _begins_with_country(digits)
    if digits.startswith("00"):
        return len(digits) <= _MOST + 2 and _valid_abroad(digits[2:])
    called = _PHONE_WORD.search(before) is not None
    if called and _FEWEST <= len(digits) <= 13 and not re.fullmatch(r"(?:19|20)\d{6}", digits):
        return True
    lengths = range(9, 13) if digits[0] == "0" else range(9, 12)
    if digits[0] == "0" or first == "(":
        return len(digits) in lengths and _national(digits, REGIONS)
    return shape in _SHAPES and _national(digits, _SHAPES[shape])


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[str]]:
    """Region → the pattern of numbers as dialled within the country."""
    from phonenumbers import PhoneMetadata

    by_region: dict[str, re.Pattern[str]] = {}
    for region in REGIONS:
        metadata: Any = PhoneMetadata.metadata_for_region(region)
        pattern, prefix = metadata.general_desc.national_number_pattern, metadata.national_prefix or ""
        by_region[region] = re.compile(f"{prefix}(?:{pattern})" if prefix == "0" else f"(?:{prefix})?(?:{pattern})")
    return by_region


def _national(digits: str, regions: tuple[str, ...]) -> bool:
    """Whether a number can be dialled like this in one of the countries."""
    bare = digits if digits[0] == "0" else f"0{digits}"
    patterns = _patterns()
    return any(patterns[region].fullmatch(digits) or patterns[region].fullmatch(bare) for region in regions)


@lru_cache(maxsize=1)
def _countries() -> frozenset[str]:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    return frozenset(map(str, COUNTRY_CODE_TO_REGION_CODE))


def _begins_with_country(digits: str) -> bool:
    return any(digits[:length] in _countries() for length in (1, 2, 3))


def _valid_abroad(digits: str) -> bool:
    """Whether a number with a country code can have been issued."""
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        return False
