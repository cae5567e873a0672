"""The parts of a source, and which of them the name of a file, a split or a key means."""

import re
from typing import Literal

Part = Literal["all", "train", "dev", "test", "sealed"]
_PARTS: tuple[tuple[str, Part], ...] = (
    (r"train(ing)?", "train"),
    (r"dev(elopment)?|val(id(ation)?)?", "dev"),
    (r"test(ing)?|eval(uation)?", "test"),
    (r"sealed|hold_?out", "sealed"),
)


def part_of(*names: str) -> Part:
    """The part in a file's or folder's name, checking the last name first; "all" if there is none."""
    for name in reversed(names):
        words = re.split(r"[^a-z]+", name.lower())
        for pattern, part in _PARTS:
            if any(re.fullmatch(pattern, word) for word in words):
                return part
    return "all"
