"""The skills that scenes teach: whole objects of a message as people write it, and meaning asked many times at once."""

import random

from components.base.scenery import Scenery
from components.base.scenes import Cast, Scene, draw_scene
from components.base.skills import Lesson, Task, Turn, ask, structured
from components.base.values import COPIED, NORMALISED, JsonValue
from components.base.voices import speak
from components.records import to_json

_FRAMES = (
    "{w}", "{w}", "it is about {w}", "somebody says: {w}", "we heard {w}", "the word is {w}", "{w} please", "{w}!", "again {w}",
    "something with {w}", "it looks like {w}", "I think it is {w}", "there was {w}", "could be {w}",
)  # fmt: skip


def scene(task: Task) -> Lesson:
    """What a real workload asks of a message: its matter, its thing, its values, wishes, and a rule over them."""
    rng = task.rng
    defined = rng.random() < 0.75
    cast = Cast(
        situations=task.upto(2, 11) if rng.random() < 0.85 else 0,
        things=task.upto(2, 8) if rng.random() < 0.6 else 0,
        slots=task.upto(0, 2),
        money=rng.random() < 0.6,
        wishes=task.upto(0, 2),
        rules=1 if task.difficulty.chance(0.65 if defined else 0.15, rng) else 0,
        defined=defined,
    )
    if not (cast.situations or cast.things or cast.slots):
        cast = Cast(situations=task.upto(2, 6), slots=1, defined=cast.defined)
    kinds = COPIED if rng.random() < 0.75 else NORMALISED
    return structured("scene", draw_scene(task.lexicon, task.difficulty, cast, kinds), task)


def situations(task: Task) -> Lesson:
    """One choice among situations, asked of many short messages."""
    rng = task.rng
    things = task.upto(2, 8) if rng.random() < 0.15 else 0
    cast = Cast(situations=0 if things else task.upto(2, 12), things=things, defined=rng.random() < 0.8)
    world = draw_scene(task.lexicon, task.difficulty, cast, COPIED)
    one = world.fields[0]
    labels: list[str] = one.schema()["enum"]  # pyright: ignore
    lines = [f"{label}: {meaning}" for label, meaning in one.options()] or labels
    lead = rng.choice(("Choose one label:", "Answer with the label only.", "Which label fits?", f"The {one.subject} is one of:"))
    in_json = rng.random() < 0.4
    if in_json:
        lead = rng.choice((f'Answer with {{"{one.key}": label}}.', f"JSON with the key {one.key}, one of:"))
    turns = [Turn("system", "\n".join((lead, *lines)))]
    answers: list[dict[str, JsonValue]] = []
    for _ in range(2 * task.messages + rng.randint(0, 3)):
        message, answer = _short(world, task)
        turns += [Turn("user", message), Turn("assistant", to_json(answer) if in_json else str(answer[one.key]))]
        answers.append(answer)
    return Lesson("situations", "list", tuple(turns), world, tuple(answers))


def _short(world: Scene, task: Task) -> tuple[str, dict[str, JsonValue]]:
    """A message, mostly of one sentence only."""
    from components.base.scenes import Pick, Telling

    if task.rng.random() < 0.3:
        return task.message(world)
    telling, one = Telling(), world.fields[0]
    assert isinstance(one, Pick)
    one.tell(telling, task.lexicon)
    if telling.thing:
        return task.rng.choice(_FRAMES).format(w=telling.thing), dict(telling.answers)
    template, values = telling.subject[0]
    return template.format(**values), dict(telling.answers)


def synonyms(task: Task) -> Lesson:
    """Expressions of one meaning: a list gives one or two of a group, and another one is asked."""
    rng, count = task.rng, task.upto(2, 10)
    groups = Scenery(task.lexicon).synonyms(count)
    labels = task.lexicon.labels(len(groups), rng.random())
    own = rng.random() < 0.4
    shown, left = list[str](), list[tuple[str, ...]]()
    for group in groups:
        listed = rng.sample(group, min(len(group) - 1, rng.choice((1, 1, 2))))
        shown.append(rng.choice((" or ", ", ", " / ")).join(listed))
        left.append(tuple(one for one in group if one not in listed))
    joint = rng.choice((": ", " = ", " - "))
    lines = shown if own else [f"{label}{joint}{text}" for label, text in zip(labels, shown, strict=True)]
    turns = [Turn("system", "\n".join((rng.choice(("What is meant?", "Which one?", "Choose the closest:", "Same meaning:")), *lines)))]
    for _ in range(task.queries()):
        at = rng.randrange(len(groups))
        asked = rng.choice(_FRAMES).format(w=rng.choice(left[at]))
        turns += [Turn("user", asked), Turn("assistant", shown[at] if own else labels[at])]
    return Lesson("synonyms", "list", tuple(turns))


