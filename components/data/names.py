"""Finds names that a text marks as names: in a greeting, a signature, after "my name is".

Decides by phrases in some languages and by the form of a line; names without such signs are not found.
"""

import re
from itertools import takewhile

_CLOSING = (
    "(?:(?:with )?(?:best|kind|warm|many)?[ ]?(?:regards|wishes)|sincerely|(?:yours )?(?:faithfully|truly)|cheers|best"
    "|yours|(?:many )?thanks(?:(?: &| and)? regards)?|thank you|thx|mit freundlichen grüßen|(?:viele|beste|liebe) grüße"
    "|freundliche grüße|gruß|lg|mfg|vg|cordialement|bien à vous|merci|salutations|saludos(?: cordiales)?|atentamente"
    "|gracias|cordiali saluti|distinti saluti|saluti|grazie|met vriendelijke groet(?:en)?|groet(?:en|jes)?|pozdrawiam"
    "|z poważaniem|dziękuję|med vänliga hälsningar|vänliga hälsningar|hälsningar|mvh|tack|atenciosamente|abraços"
    "|obrigad[oa]|cumprimentos|с уважением|спасибо)"
)
_SIGNATURE = re.compile(rf"(?<!\w){_CLOSING} ?(?:[,!.]? ?\n[ \n]*|, (?=[^\W\d_]))", re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"(?<!\w)(?:(?P<said>my name is|mein name ist|ich heiße|je m['’]appelle|mon nom est|me llamo|mi nombre es|mi chiamo"
    r"|mijn naam is|ik heet|nazywam się|mam na imię|jag heter|mitt namn är|meu nome é|me chamo|меня зовут)(?!\w)"
    r"|(?P<label>(?:name|customer) ?:))[ ]*|(?<!\w)(?:this is|i am|i['’]m|here is) ",
    re.IGNORECASE,
)
_GREETING = re.compile(r"(?:^|\n) *(?:dear|hi|hello) +", re.IGNORECASE)
_CHINESE = re.compile(r"(?:我叫|我的名字是|我是)([\u4e00-\u9fff]{2,3})(?![\u4e00-\u9fff])")
_TITLE = r"(?:(?:Dr|Mr|Mrs|Ms|Mx|Prof|Herr|Frau|Sr|Sra|M|Mme|Ing)\b\.? +){0,2}"
_WORD = r"[^\W\d_][^\W\d_'’.-]{0,30}(?:[.'’-][^\W\d_]{1,30}){0,3}"
_PARTICLE = r"(?:van|von|der|den|de|del|della|da|dos|di|du|la|le|el|al|bin|ibn|zu|ter|ten)"
_NAME = re.compile(rf"{_TITLE}{_WORD}(?:\.?(?: {_PARTICLE}){{0,2}} {_WORD}){{0,3}}")
_END = re.compile(r" ?(?:[,.!;\n(-]|\Z)|  ")  # of a name, unless its words are part of a sentence
_SAID = (
    "all team there sir madam support customer service everyone again and please thank thanks hurry asap sent from the "
    "my i you is it we this that not very much in for to of on at with so but help soon now bye"
)
_NO_NAMES = frozenset(_SAID.split())
_LONGEST_LINE = 60


def names(text: str) -> list[tuple[int, int, str]]:
    """The spans of such names, in order: start, end, the mark's word."""
    spans = [
        *(_signed(text, sign) for sign in _SIGNATURE.finditer(text)),
        *(_called(text, sign.end(), sign.lastgroup) for sign in _INTRODUCTION.finditer(text)),
        *(_called(text, sign.end(), "label") for sign in _GREETING.finditer(text)),
        *(match.span(1) for match in _CHINESE.finditer(text)),
    ]
    ordered, end = list[tuple[int, int, str]](), 0
    for span in sorted(span for span in spans if span is not None):
        if span[0] >= end:
            ordered.append((*span, "name"))
            end = span[1]
    return ordered


def _signed(text: str, sign: re.Match[str]) -> tuple[int, int] | None:
    """The name that makes up a line, in any case; a capitalised name may be followed by more text."""
    start = sign.end()
    line = text[start : start + _LONGEST_LINE].split("\n", 1)[0].rstrip(" ,.!;")
    if not _NAME.fullmatch(line) or _is_said(line):
        return None
    if "\n" not in sign[0] and any(word.islower() for word in line.split() if word not in _PARTICLES):
        return None  # on the same line as the closing: a sentence
    if line.islower() and (len(line.split()) > 3 or text[start + len(line) :].strip(" \n.!,")):
        return None
    return start, start + len(line)


def _called(text: str, start: int, sign: str | None) -> tuple[int, int] | None:
    """The capitalised words after a sign, at least two if it is ambiguous; only what is said stands in a sentence."""
    match = _NAME.match(text, start)
    if match is None:
        return None
    words = list(takewhile(_may_be_in_a_name, re.finditer("[^ ]+", match[0])))
    while words and words[-1][0] in _PARTICLES:
        words.pop()
    if len(words) < (1 if sign else 2):
        return None
    end = start + len(match[0][: words[-1].end()].rstrip("."))
    return (start, end) if sign == "said" or _END.match(text, end) else None


def _may_be_in_a_name(word: re.Match[str]) -> bool:
    return (word[0] in _PARTICLES or not word[0][0].islower()) and not _is_said(word[0])


_PARTICLES = frozenset(_PARTICLE[3:-1].split("|"))


def _is_said(line: str) -> bool:
    """Whether words are a phrase rather than a name."""
    return any(word.strip(".,!").lower() in _NO_NAMES for word in line.split())
