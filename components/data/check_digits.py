"""Check digits: whether a bank, a card scheme or an authority can have issued a number."""

# ISO 13616: the length of each country's IBANs.
_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 "
    "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 "
    "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
IBAN_LENGTHS = {item[:2]: int(item[2:]) for item in _IBANS.split()}
# ISO/IEC 7812: the first digits of a scheme's cards, and their numbers of digits.
_SCHEMES = (
    (("4",), (13, 16, 19)),
    (tuple(map(str, (*range(51, 56), *range(2221, 2721)))), (16,)),
    (("34", "37"), (15,)),
    (("6011", "65", *map(str, range(644, 650))), (16, 19)),
    (("36", "38", "39", *map(str, range(300, 306))), (14, 16)),
    (tuple(map(str, range(3528, 3590))), (16,)),
    (("62",), (16, 17, 18, 19)),
    (("50", "56", "57", "58", "63", "67"), (16, 18, 19)),
)
_STEPS = tuple(zip(range(10), (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))  # a digit, and the digit sum of its double


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit for the others (ISO/IEC 7812)."""
    return sum(_STEPS[int(digit)][place % 2] for place, digit in enumerate(reversed(digits))) % 10 == 0


def is_card(digits: str) -> bool:
    """Whether a card scheme issues such numbers."""
    issued = any(len(digits) in lengths and digits.startswith(first) for first, lengths in _SCHEMES)
    return issued and luhn(digits)


def is_iban(letters: str) -> bool:
    """Whether the check digits of an IBAN, in upper case without spaces, are right (ISO 7064, mod 97-10)."""
    turned = letters[4:] + letters[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def is_french(digits: str) -> bool:
    """The French social security number: 13 digits and their complement to a multiple of 97."""
    return digits[0] in "12" and int(digits[:13]) % 97 == 97 - int(digits[13:])


def is_swiss(digits: str) -> bool:
    """The Swiss AHV number: an EAN-13 with the country's prefix."""
    total = sum(int(digit) * (1 + 2 * (place % 2)) for place, digit in enumerate(digits))
    return digits.startswith("756") and total % 10 == 0


def is_brazilian(digits: str) -> bool:
    """The Brazilian CPF: two check digits modulo 11, not all digits equal."""
    for count in (9, 10):
        total = sum(int(digit) * weight for digit, weight in zip(digits, range(count + 1, 1, -1), strict=False))
        if total * 10 % 11 % 10 != int(digits[count]):
            return False
    return len(set(digits)) > 1


def is_german(digits: str) -> bool:
    """The German personal tax number (ISO 7064, mod 11, 10)."""
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product - 1) % 10 + 1) * 2 % 11
    return digits[0] != "0" and (11 - product) % 10 == int(digits[10])


def is_swedish(digits: str) -> bool:
    """The Swedish personal number of ten digits: a date of birth and a Luhn check digit."""
    return 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) <= 31 and luhn(digits)


def is_american(digits: str) -> bool:
    """The US social security number: none of its parts is one that is never issued."""
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_spanish(letters: str) -> bool:
    """The Spanish DNI or NIE, in upper case without dashes: its letter encodes the number modulo 23."""
    number = int(str("XYZ".find(letters[0])) + letters[1:-1] if letters[0] in "XYZ" else letters[:-1])
    return letters[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]
