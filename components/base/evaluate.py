"""Evaluation: greedy answers on held-out worlds, scored for each skill and prompt style.

Decides which questions are asked and when an answer is right. Worlds come from the held-out side of the generator:
training never generates their schemas, labels, meanings or values.
"""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from components.base import prompts, tools
from components.base.curriculum import SKILLS
from components.base.lexicon import Lexicon
from components.base.skills import Lesson, Task, Turn, ask
from components.base.worlds import Difficulty, draw_world
from components.base.worlds import Plan as Wish
from components.engines import ChatRequest, Engine, Sampling, open_engine
from components.params import EngineParams
from components.records import Message, to_json

CONFIDENCE = 0.95
BATCH_TOKENS = 65_536
MOST_NEW_TOKENS = 256  # twice the longest right answer: anything longer is wrong anyway


@dataclass(frozen=True)
class Question:
    """A conversation up to an answer, the right answer, and the keys that a structured answer must have."""

    turns: tuple[Turn, ...]
    answer: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Share:
    """A proportion with its 95 % interval, over `n` cases."""

    value: float
    low: float
    high: float
    n: int


@dataclass
class Row:
    """A row of the table."""

    skill: str
    style: str
    n: int
    scores: dict[str, Share] = field(default_factory=dict[str, Share])


def run(model_folder: Path, *, n: int, seed: int) -> list[Row]:
    """Evaluate a model on `n` questions per row.

    Raises:
        EngineError: The folder holds no loadable model.
    """
    engine = open_engine(EngineParams(batch_tokens=BATCH_TOKENS), model_folder, "fp32")  # the same on every machine
    rows: list[Row] = []
    for plan in tqdm(list(rows_to_ask()), desc="examination", unit="row"):
        questions = draw(plan, n, seed)
        answers = generate(engine, [question.turns for question in questions])
        rows.append(Row(plan.name, plan.said_style, n, score(questions, answers)))
    return rows


@dataclass(frozen=True)
class Plan:
    """The questions of a row: `labels` if their number is fixed; `rough` for untidy prompts and messages."""

    skill: str
    style: str
    labels: int | None = None
    rough: bool = False

    @property
    def name(self) -> str:
        """The skill's name in the table."""
        return f"{self.skill}, {self.labels} labels" if self.labels else self.skill

    @property
    def said_style(self) -> str:
        """The style's name in the table."""
        return f"{self.style}, untidy" if self.rough else self.style


def rows_to_ask() -> Iterable[Plan]:
    """The rows to evaluate."""
    for skill in ("extraction", "normalisation", "role", "classification"):
        yield from (Plan(skill, style) for style in prompts.STYLES)
    yield Plan("classification", "bullets", 8)
    yield Plan("mixed", "bullets")
    yield from (
        Plan(skill, "bullets", rough=True) for skill in ("extraction", "normalisation", "classification", "mixed")
    )
    yield Plan("label_only", "list")
    yield Plan("summary", "lines")
    yield from (Plan("tool call", style) for style in tools.STYLES)
    yield Plan("tool answer", "json")
    yield Plan("loose prompt", "loose")


def draw(plan: Plan, n: int, seed: int) -> list[Question]:
    """`n` questions, each from a held-out world of its own."""
    skill, style, labels = plan.skill, plan.style, plan.labels
    rng = random.Random(f"examination/{seed}/{skill}/{style}/{labels}{'/rough' if plan.rough else ''}")
    if skill == "loose prompt":
        rng = random.Random(f"examination/{seed}/extraction/bullets/None")  # the same messages as in that row
    questions: list[Question] = []
    while len(questions) < n:
        task = Task(Lexicon(rng, held_out=True, rough=plan.rough), Difficulty(1.0), style)
        if labels:
            world = draw_world(task.lexicon, task.difficulty, Wish(choices=(labels,)))
            message, answer = task.message(world)
            turns = (
                Turn("system", prompts.full(world, style, task.lexicon, task.difficulty)),
                ask(message, world, rng),
            )
            questions.append(Question(turns, to_json(answer), tuple(answer)))
        elif skill == "loose prompt":
            questions.append(
                _loosen(SKILLS["extraction"](Task(task.lexicon, task.difficulty, "bullets")), seed, len(questions))
            )
        elif skill.startswith("tool "):
            questions += _tool_question(SKILLS["tools"](task), skill)
        else:
            questions.append(_question(SKILLS[skill](task)))
    return questions


def _question(lesson: Lesson, turn: int = -1) -> Question:
    turn %= len(lesson.turns)
    keys = tuple(lesson.answers[0]) if lesson.skill not in ("label_only", "summary", "tools") else ()
    return Question(lesson.turns[:turn], lesson.turns[turn].content, keys)


def _tool_question(lesson: Lesson, skill: str) -> list[Question]:
    """The call, or, if the lesson has a tool's answer, the sentence after it."""
    called = next(index for index, turn in enumerate(lesson.turns) if turn.role == "assistant")
    if skill == "tool call":
        return [_question(lesson, called)]
    return [_question(lesson)] if len(lesson.turns) > called + 1 else []


def _loosen(lesson: Lesson, seed: int, number: int) -> Question:
    """The same message after a prompt that does not give the schema."""
    assert lesson.world is not None
    question = _question(lesson)
    message = question.turns[-1].content.rpartition("\n\n")[2]  # in some lessons the prompt precedes the message
    prompt = prompts.loose(lesson.world, random.Random(f"{seed}/loose/{number}"))
    return Question((Turn("system", prompt), Turn("user", message)), question.answer, question.keys)


def generate(engine: Engine, conversations: list[tuple[Turn, ...]]) -> list[str]:
    """Greedy completions in the given order."""
    requests = [
        ChatRequest(str(number), [Message.model_validate(vars(turn)) for turn in turns])
        for number, turns in enumerate(conversations)
    ]
    return [completion.text for completion in engine.generate(requests, Sampling(max_new_tokens=MOST_NEW_TOKENS))]


def score(questions: list[Question], answers: list[str]) -> dict[str, Share]:
    """A row's shares: whole answers right, and for JSON also valid answers and single values right."""
    whole = [answer == question.answer for question, answer in zip(questions, answers, strict=True)]
    scores = {"answer": wilson(sum(whole), len(whole))}
    if not questions[0].keys:
        return scores
    valid: list[bool] = []
    right: list[int] = []
    for question, answer in zip(questions, answers, strict=True):
        parsed = parse(answer, question.keys)
        expected = json.loads(question.answer)
        valid.append(parsed is not None)
        right.append(sum((parsed or {}).get(key, ...) == value for key, value in expected.items()))
    scores["validity"] = wilson(sum(valid), len(valid))
    scores["values"] = clustered(right, [len(question.keys) for question in questions])
    return scores


def parse(answer: str, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """The answer as an object if it is a JSON object with exactly these keys, else None."""
    try:
        parsed = json.loads(answer)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and set(parsed) == set(keys) else None  # pyright: ignore


def wilson(right: int, n: int) -> Share:
    """A proportion with its Wilson interval."""
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(CONFIDENCE, method="wilson")
    return Share(right / n, float(interval.low), float(interval.high), n)


def clustered(right: list[int], sizes: list[int], resamples: int = 2_000) -> Share:
    """A proportion of values; its interval is bootstrapped over answers, whose values are not independent."""
    hits, counts = np.array(right), np.array(sizes)
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(hits), size=(resamples, len(hits)))
    shares = hits[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(shares, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Share(float(hits.sum() / counts.sum()), float(low), float(high), int(counts.sum()))
