"""Programs in parts, some with a habitual annotation error: the right text, and the text with the slip."""

from dataclasses import dataclass
from typing import Literal

Habit = Literal["bound", "last", "empty", "case", "early_cut", "rising"]
HABITS: dict[Habit, str] = {
    "bound": "`at least` and `at most` are read as `more than` and `less than`.",
    "last": "A range from 1 to n ends before n.",
    "empty": "An input without anything in it is forgotten.",
    "case": "Capitals are forgotten where they should not matter.",
    "early_cut": "The first few are taken before the others are sorted out.",
    "rising": "What should fall is sorted to rise.",
}


@dataclass(frozen=True)
class Part:
    """A part of a program; `slip` replaces its text if its habit applies."""

    code: str
    habit: Habit | None = None
    slip: str = ""

    def text(self, habit: Habit | None) -> str:
        """The text, with the slip if this habit applies."""
        return self.slip if habit and habit == self.habit else self.code


@dataclass(frozen=True)
class Program:
    """A function `f` of one argument that returns one expression, in parts."""

    argument: str
    parts: tuple[Part, ...]

    @property
    def habits(self) -> tuple[Habit, ...]:
        """The habits that may apply, each once."""
        return tuple(dict.fromkeys(part.habit for part in self.parts if part.habit))

    def code(self, habit: Habit | None = None) -> str:
        """The program, right or with a habit's slip."""
        return f"def f({self.argument}):\n    return {''.join(part.text(habit) for part in self.parts)}"
