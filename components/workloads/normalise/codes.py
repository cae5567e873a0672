"""Product codes (two letters, a dash, four digits), and their misspellings and misreadings.

The position decides: an O among the digits is a zero, a 0 among the letters an O, an I or l among the digits a one.
"""

import random

from components.workloads.normalise.written import Written

LETTERS = "ABCDEFGHJKLMNOPRSTUVWXYZ"
ZERO_AS_LETTER_SHARE = 0.16
ONE_AS_LETTER_SHARE = 0.2
OTHER_LETTER_SHARE = 0.5


def draw_code(rng: random.Random) -> Written:
    """A product code as people type it; the habit is to copy an O that stands for a zero."""
    letters, digits = "".join(rng.choices(LETTERS, k=2)), f"{rng.randrange(10_000):04d}"
    fields = {"code": f"{letters}-{digits}"}
    typed_letters, typed_digits = letters, digits
    if "O" in letters and rng.random() < OTHER_LETTER_SHARE:
        typed_letters = letters.replace("O", "0")
    if "1" in digits and rng.random() < ONE_AS_LETTER_SHARE:
        typed_digits = digits.replace("1", rng.choice("Il"))
    swapped = "0" in digits and rng.random() < ZERO_AS_LETTER_SHARE
    if swapped:
        typed_digits = typed_digits.replace("0", "O")
    typed = f"{typed_letters}{rng.choice(('-', '-', ' ', '', '/', '.'))}{typed_digits}"
    text = typed.lower() if rng.random() < 0.2 and "l" not in typed_digits else typed
    if swapped:
        return Written(text, {**fields}, "letter_copied", {"code": f"{letters}-{digits.replace('0', 'O')}"})
    return Written(text, {**fields})
