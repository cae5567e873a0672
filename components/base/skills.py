"""Lessons: conversations that each teach one skill, with the answers on which the loss is computed."""

import random
from dataclasses import dataclass, field

from components.base import prompts
from components.base.lexicon import Lexicon
from components.base.values import COPIED, NORMALISED, Amount, JsonValue
from components.base.worlds import Choice, Difficulty, Field, Plan, World, draw_slot, draw_world, say
from components.records import to_json


@dataclass(frozen=True)
class Turn:
    """A message of a conversation; the loss covers assistant turns."""

    role: str
    content: str


@dataclass(frozen=True)
class Lesson:
    """A conversation, with what evaluation needs to know about it."""

    skill: str
    style: str
    turns: tuple[Turn, ...]
    world: World | None = None
    answers: tuple[dict[str, JsonValue], ...] = field(default=())


@dataclass(frozen=True)
class Task:
    """The parameters of a lesson: vocabulary, difficulty, prompt style and number of messages."""

    lexicon: Lexicon
    difficulty: Difficulty
    style: str
    messages: int = 1

    @property
    def rng(self) -> random.Random:
        """The lexicon's random generator; there is no other."""
        return self.lexicon.rng

    def upto(self, low: int, high: int) -> int:
        """An integer from `low` to the part of `high` that the difficulty allows."""
        return self.difficulty.upto(low, high, self.rng)

    def queries(self) -> int:
        """The number of questions about a list: several for each message that a lesson may have."""
        return 3 * self.messages + self.rng.randint(1, 4)

    def world(self, plan: Plan) -> World:
        """A world drawn to this plan."""
        return draw_world(self.lexicon, self.difficulty, plan)

    def message(self, world: World) -> tuple[str, dict[str, JsonValue]]:
        """A message from the world, and the values of all its fields."""
        return world.message(self.lexicon, self.difficulty)


QUERY_FRAMES = (
    "{w}", "{w}", "it is about {w}", "I write because of {w}", "again {w} here", "{w} please", "help with {w}",
)  # fmt: skip


def ask(message: str, world: World, rng: random.Random) -> Turn:
    """A user turn: the message, alone or under a heading."""
    if rng.random() < 0.75:
        return Turn("user", message)
    return Turn("user", f"{world.document.capitalize()}:{rng.choice((' ', chr(10)))}{message}")


def structured(skill: str, world: World, task: Task) -> Lesson:
    """A full-schema prompt, messages and their JSON answers; in one of ten the prompt is in the user's turn."""
    rng = task.rng
    system = prompts.full(world, task.style, task.lexicon, task.difficulty)
    turns: list[Turn] = [Turn("system", system)]
    answers: list[dict[str, JsonValue]] = []
    for _ in range(task.messages):
        message, answer = task.message(world)
        turns += [ask(message, world, rng), Turn("assistant", to_json(answer))]
        answers.append(answer)
    if rng.random() < 0.1:
        turns[:2] = [Turn("user", f"{system}\n\n{turns[1].content}")]
    return Lesson(skill, task.style, tuple(turns), world, tuple(answers))


def extraction(task: Task) -> Lesson:
    """Copy values into JSON with exactly the given keys, null where absent."""
    return structured("extraction", task.world(Plan(slots=task.upto(1, 6), kinds=COPIED)), task)


def normalisation(task: Task) -> Lesson:
    """Convert dates, amounts, units, times, casing and phone numbers to the given format."""
    return structured("normalisation", task.world(Plan(slots=task.upto(1, 4), kinds=NORMALISED)), task)


def role(task: Task) -> Lesson:
    """Choose one of several candidates by what the message says about them."""
    return structured("role", task.world(Plan(slots=task.upto(1, 3), kinds=COPIED, role=True)), task)


def classification(task: Task) -> Lesson:
    """Choose a label by its meaning; in early lessons, sometimes one that the message itself contains."""
    literal = task.rng.random() < 0.25 * (1 - task.difficulty.level)
    return structured("classification", task.world(Plan(choices=(task.upto(2, 8),), literal=literal)), task)


def mixed(task: Task) -> Lesson:
    """Choices, flags and slots in one object, as in a real workload."""
    rng = task.rng
    plan = Plan(
        slots=task.upto(1, 4),
        choices=tuple(task.upto(2, 9) for _ in range(task.upto(1, 3))),
        flags=task.upto(0, 2),
        literal=rng.random() < 0.2,
        role=rng.random() < 0.3,
    )
    return structured("mixed", task.world(plan), task)


def vague(task: Task) -> Lesson:
    """Messages that do not say which label fits: the answer must still be one from the list."""
    rng = task.rng
    plan = Plan(
        slots=task.upto(0, 3),
        choices=tuple(task.upto(2, 10) for _ in range(task.upto(1, 3))),
        flags=task.upto(0, 2),
        literal=rng.random() < 0.5,
        vague=True,
    )
    return structured("vague", task.world(plan), task)


def label_only(task: Task) -> Lesson:
    """Answer with the label alone, without JSON."""
    rng = task.rng
    world = task.world(Plan(choices=(task.upto(2, 8),), literal=rng.random() < 0.2))
    choice = world.fields[0]
    options = choice.options() or [(str(label), "") for label in choice.schema()["enum"]]  # pyright: ignore
    listed = "\n".join(f"{label}: {meaning}" if meaning else label for label, meaning in options)
    asks = f"Which {choice.subject}? Answer with the label."
    lead = rng.choice(("Answer with one label only:", "Choose one label:", asks))
    turns = [Turn("system", f"{lead}\n{listed}")]
    answers: list[dict[str, JsonValue]] = []
    for _ in range(task.messages):
        message, answer = task.message(world)
        turns += [ask(message, world, rng), Turn("assistant", str(answer[choice.key]))]
        answers.append(answer)
    return Lesson("label_only", "list", tuple(turns), world, tuple(answers))


def lookup(task: Task) -> Lesson:
    """The association behind every choice, word to label or name to value, with many questions about one list.

    Choosing one of eight labels is a single decision in a long lesson; here there is one every few tokens.
    """
    rng, lexicon = task.rng, task.lexicon
    count = task.upto(2, 40 if rng.random() < 0.15 else 10)
    if rng.random() < 0.6:
        world = draw_world(lexicon, task.difficulty, Plan(choices=(count,)))
        choice = world.fields[0]
        assert isinstance(choice, Choice)
        pairs = [(label, words) for label, words in choice.meanings]
        frame, joint = rng.choice((choice.frame, "{w}")), rng.choice((": ", " = ", " - "))
        turned = rng.random() < 0.3
        lines = [joint.join((label, frame.format(w=" ".join(words)))[:: -1 if turned else 1]) for label, words in pairs]
        queries = [(rng.choice(words), label) for label, words in (rng.choice(pairs) for _ in range(task.queries()))]
        frames = QUERY_FRAMES
    else:
        slots = {slot.subject: slot for slot in (draw_slot(lexicon, COPIED) for _ in range(count))}
        values = {subject: slot.kind.sample(lexicon) for subject, slot in slots.items()}
        lines = [say(subject, value.surface, rng) for subject, value in values.items()]
        drawn = (rng.choice(list(values)) for _ in range(task.queries()))
        queries = [(subject, str(values[subject].canonical)) for subject in drawn]
        frames = ("{w}", "{w}?", "the {w}", "what is the {w}")
    in_json = rng.random() < 0.4
    turns = [Turn("system", rng.choice(("Look up.", "Answer from the list.", "List:", "")) + "\n" + "\n".join(lines))]
    for query, answer in queries:
        turns.append(Turn("user", rng.choice(frames).format(w=query)))
        turns.append(Turn("assistant", to_json({"answer": answer}) if in_json else answer))
    return Lesson("lookup", "list", tuple(turns))


def summary(task: Task) -> Lesson:
    """Summarise in fixed lines, with a dash where the message says nothing."""
    rng = task.rng
    texts = tuple(kind for kind in COPIED if kind is not Amount)
    world = task.world(Plan(slots=task.upto(1, 4), kinds=texts))
    titles = [field.subject.capitalize() for field in world.fields]
    leads = ("Summarise in exactly these lines:", "Write a summary with these lines:", "Fill in these lines:")
    form = "\n".join(f"{title}: {rng.choice(('...', '<text>', '-'))}" for title in titles)
    turns = [Turn("system", f"{rng.choice(leads)}\n{form}")]
    answers: list[dict[str, JsonValue]] = []
    for _ in range(task.messages):
        message, answer = task.message(world)
        shown = ("-" if value is None else value for value in answer.values())
        text = "\n".join(f"{title}: {value}" for title, value in zip(titles, shown, strict=True))
        turns += [ask(message, world, rng), Turn("assistant", text)]
        answers.append(answer)
    return Lesson("summary", "lines", tuple(turns), world, tuple(answers))


def loose(task: Task) -> Lesson:
    """A loose prompt with a loose answer: prose, or JSON with keys of the model's choice."""
    rng = task.rng
    choices = (task.upto(2, 4),) if rng.random() < 0.5 else ()
    world = task.world(Plan(slots=task.upto(1, 4), choices=choices, literal=True))
    if rng.random() < 0.4:
        return _partial(world, task)
    turns = [Turn("system", prompts.loose(world, rng))]
    for _ in range(task.messages):
        message, answer = task.message(world)
        turns += [ask(message, world, rng), Turn("assistant", _loosely(world, answer, rng))]
    return Lesson("loose", "loose", tuple(turns), world)


def _partial(world: World, task: Task) -> Lesson:
    """A prompt that names some fields in words, answered with keys made from those words."""
    rng = task.rng
    fields: list[Field] = rng.sample(world.fields, rng.randint(1, min(3, len(world.fields))))
    turns = [Turn("system", prompts.partial(fields, rng))]
    for _ in range(task.messages):
        message, answer = task.message(world)
        named = {field.subject.replace(" ", "_"): answer[field.key] for field in fields}
        turns += [ask(message, world, rng), Turn("assistant", to_json(named))]
    return Lesson("loose", "partial", tuple(turns), world)


def _loosely(world: World, answer: dict[str, JsonValue], rng: random.Random) -> str:
    """What a model writes after a vague prompt: not always JSON, and not always complete."""
    present = [(field, answer[field.key]) for field in world.fields if answer[field.key] is not None]
    mentioned = present[: rng.randint(1, max(1, len(present)))]
    if not mentioned:
        return "The text gives no details."
    if rng.random() < 0.5:
        return to_json({field.subject.split()[-1]: value for field, value in mentioned})
    return "The text gives " + " and ".join(f"{field.subject} {value}" for field, value in mentioned) + "."
