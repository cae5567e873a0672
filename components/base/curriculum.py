"""The mixture of skills and their difficulty over time, as a pure function of (seed, step).

Every batch can be regenerated from its step number alone, so a resumed run sees the same data as an uninterrupted one.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from components.base import skills, tools
from components.base.lexicon import Lexicon
from components.base.prompts import STYLES
from components.base.skills import Lesson, Task
from components.base.tokenizer import END, START
from components.base.worlds import Difficulty

STYLE_WEIGHTS = (5, 3, 2, 2, 1)  # of prompts.STYLES; a JSON Schema is long and adds little

SKILLS: dict[str, Callable[[Task], Lesson]] = {
    "extraction": skills.extraction,
    "normalisation": skills.normalisation,
    "role": skills.role,
    "classification": skills.classification,
    "mixed": skills.mixed,
    "vague": skills.vague,
    "label_only": skills.label_only,
    "lookup": skills.lookup,
    "summary": skills.summary,
    "tools": tools.tools,
    "loose": skills.loose,
}


@dataclass(frozen=True)
class Curriculum:
    """The weights of the skills, and how fast difficulty rises."""

    weights: dict[str, float]
    full_difficulty_at: float
    most_messages: int
    rough_share: float = 0.0

    def lesson(self, rng: random.Random, progress: float, *, held_out: bool = False) -> Lesson:
        """A lesson at `progress` in [0, 1] of the training: often below the difficulty allowed there, never above."""
        ceiling = min(1.0, 0.05 + progress / self.full_difficulty_at)
        difficulty = Difficulty(ceiling * max(rng.random(), rng.random()))
        name = rng.choices(list(self.weights), weights=list(self.weights.values()))[0]
        style = rng.choice(tools.STYLES) if name == "tools" else rng.choices(STYLES, weights=STYLE_WEIGHTS)[0]
        messages = rng.randint(1, self.most_messages)
        rough = self.rough_share > 0 and rng.random() < self.rough_share
        return SKILLS[name](Task(Lexicon(rng, held_out=held_out, rough=rough), difficulty, style, messages))


def segments(lesson: Lesson) -> list[tuple[str, bool]]:
    """The conversation in pieces of text, each with whether the loss covers it; matches the chat template."""
    pieces: list[tuple[str, bool]] = []
    for turn in lesson.turns:
        head = f"{START}{turn.role}\n"
        if turn.role == "assistant":
            pieces += [(head, False), (f"{turn.content}{END}", True), ("\n", False)]
        else:
            pieces.append((f"{head}{turn.content}{END}\n", False))
    return pieces
