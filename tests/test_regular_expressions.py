"""No regular expression of the product takes more than time in proportion to a text, whatever the text is."""

import ast
import importlib
import re
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

signs: Any = importlib.import_module("re._constants")
parser: Any = importlib.import_module("re._parser")
ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("components", "flows", "monitoring")
METHODS = {"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
SHORT, MOST_LETTERS = 6_000, 9


def modules() -> Iterator[tuple[str, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "re" in (tree := path.read_text(encoding="utf-8")) and "import re\n" in tree:
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(tree)


def patterns() -> dict[str, re.Pattern[str]]:
    """Those that a module holds, and those that are written where they are used."""
    compiled: dict[str, re.Pattern[str]] = {}
    for name, tree in modules():
        held = vars(importlib.import_module(name))
        compiled |= {f"{name}.{key}": value for key, value in held.items() if isinstance(value, re.Pattern)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                owner, first = node.func.value, node.args[0] if node.args else None
                if isinstance(owner, ast.Name) and owner.id == "re" and isinstance(first, ast.Constant):
                    compiled[f"{name}:{node.lineno}"] = re.compile(str(first.value))
    return compiled


PATTERNS = patterns()


def letters(pattern: re.Pattern[str]) -> list[str]:
    """A letter for each part of a pattern, so that texts of them nearly match; the most frequent parts first."""
    counts: dict[str, int] = {}

    def visit(node: Any) -> None:
        if isinstance(node, tuple) and len(node) == 2 and node[0] is signs.LITERAL:
            counts[chr(node[1])] = counts.get(chr(node[1]), 0) + 1
        elif isinstance(node, tuple) and len(node) == 2 and node[0] is signs.CATEGORY:
            letter = {signs.CATEGORY_DIGIT: "0", signs.CATEGORY_SPACE: " "}.get(node[1], "a")
            counts[letter] = counts.get(letter, 0) + 20
        elif isinstance(node, tuple) and len(node) == 2 and node[0] is signs.RANGE:
            counts[chr(node[1][0])] = counts.get(chr(node[1][0]), 0) + 10
        if isinstance(node, list | tuple | parser.SubPattern):
            for part in node:
                visit(part)

    visit(parser.parse(pattern.pattern, pattern.flags))
    ranked = sorted(counts, key=lambda letter: -counts[letter])
    return list(dict.fromkeys([*ranked[:MOST_LETTERS], " ", "\n", "a", "0"]))[: MOST_LETTERS + 3]


def words(pattern: re.Pattern[str]) -> list[str]:
    """What is repeated: one or two letters, and whole alternatives of words."""
    known = letters(pattern)
    longer = re.findall(r"[a-z]{3,12}(?: [a-z]{2,12})?", pattern.pattern)[:12]
    return [*known, *map("".join, product(known, repeat=2)), *longer, *(f"{word} " for word in longer)]


def opened(pattern: re.Pattern[str]) -> tuple[str, str]:
    """The literal that a pattern begins with, as a quote that is never closed, and an escape of nothing at the end."""
    first = list(parser.parse(pattern.pattern, pattern.flags))[:1]
    return (chr(first[0][1]) if first and first[0][0] is signs.LITERAL else ""), "\\"


def seconds(pattern: re.Pattern[str], text: str) -> float:
    started = time.process_time()
    for _ in pattern.finditer(text):
        pass
    pattern.fullmatch(text)
    return time.process_time() - started


def test_there_are_patterns_to_try() -> None:
    assert len(PATTERNS) > 40
    assert {"components.data.personal._EMAIL", "components.scorers.format_rules._SENTENCE_END"} <= PATTERNS.keys()


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_time_in_proportion_to_the_text(name: str) -> None:
    pattern = PATTERNS[name]
    for word, (start, end) in product(words(pattern), (("", "!"), ("a", "\n!"), ("", "a\0"), opened(pattern))):
        text = start + word * (SHORT // len(word)) + end
        took = seconds(pattern, text)
        if took > 0.02:  # linear ones take a millisecond, quadratic ones a tenth of a second
            longer = start + word * (4 * SHORT // len(word)) + end
            assert min(seconds(pattern, longer) for _ in range(2)) < 10 * took + 0.02, (name, start, word, end)


@pytest.mark.parametrize(
    ("pattern", "word", "end"),
    [(r"[\w.+-]+@[\w-]+", "a", ""), (r"[.!?]+(?=\s|$)", ".", "a"), (r"<b\b.*?</b>", "<b ", "")],
)
def test_a_quadratic_pattern_would_be_noticed(pattern: str, word: str, end: str) -> None:
    tried = re.compile(pattern)
    assert {word, end} - {"<b ", ""} <= set(letters(tried))
    assert seconds(tried, word * (4 * SHORT // len(word)) + end) > 0.1
