"""How prompts ask: in full-schema styles, which name every key, and in loose ones, which do not."""

import json
import random

from components.base.lexicon import Lexicon
from components.base.values import Count
from components.base.worlds import Choice, Difficulty, Field, World

STYLES = ("bullets", "template", "sentence", "table", "json_schema")

_LEADS = (
    "Read the {d} and answer with one JSON object with exactly these keys:",
    "Extract from the {d}. Return only JSON with these keys:",
    "Turn the {d} into JSON. Use exactly these keys:",
    "You read {d}s about a {t}. Reply with a JSON object with the keys below and nothing else.",
    "Fields to fill in, answer as a single JSON object:",
    "Give back one JSON object, no other text. Keys:",
    "From each {d}, fill in:",
)  # fmt: skip
# The task, the form of the answer, and the number of its keys.
_TASKS = (
    "You handle {d}s for a {t} team.", "You are given one {d}.", "Each {d} is about a {t}.", "You are the {t} desk.",
    "You {x} {d}s.", "You {x} the {t} {d}s of a {x}.", "Here comes a {d}.", "Task: {x} {t}s.", "A {d} follows.", "",
)  # fmt: skip
_FORMATS = (
    "Reply with one line of JSON.", "Only JSON, no explanation.", "One JSON object, nothing around it.",
    "The answer is a single JSON object.", "Write JSON and stop.", "Return a JSON object and no words beside it.",
    "Respond in JSON on a single line.", "Your reply must be JSON.",
)  # fmt: skip
_COUNTS = (
    "The keys are:", "Use these {n} keys, as they are ordered here:", "Keys, all of them required:", "Its {n} keys:",
    "There are {n} keys:", "No key more and none less than these {n}:", "All {n} keys must be there, in this order:",
)  # fmt: skip
_REMARKS = (
    "{z}.", "Leave out {x}.", "{x} and {y} do not matter.", "{x}, {y} or {z}.", "Never guess.", "It may be {x} or {y}.",
    "If there are two, take the one that is meant.", "the first that fits.", "without {x}", "e.g. for {x}", "see {x}",
    "This is what the {x} needs, not the {y}.", "from the {x} or the {y}", "{z} or {x}", "Not the {x}.",
)  # fmt: skip
_TEMPLATE_LEADS = (
    "Answer in exactly this form:", "Return JSON like this:", "Fill in this JSON object:", "Output format:",
)  # fmt: skip
_SCHEMA_LEADS = (
    "Answer with JSON that follows this schema:",
    "JSON Schema of the answer:",
    "Return JSON valid against:",
)
_LOOSE = (
    "Pull the important details out of the {d}.", "What does the writer want?", "Summarise the {d} for the {t} desk.",
    "Extract the key facts.", "You help the {t} team. Take down what matters in the {d}.", "Note the details as JSON.",
    "Read the {d} and tell me what it is about.", "Turn this into JSON.", "You are a helpful assistant.",
    "Structure the {d}.", "Give me the data from this {d}.", "Sort the {d} for us and get the details out.",
)  # fmt: skip


def full(world: World, style: str, lexicon: Lexicon, difficulty: Difficulty) -> str:
    """A system prompt that gives every key, its format, its labels and their meanings."""
    rng = lexicon.rng
    if style == "json_schema":
        return _json_schema(world, rng)
    if style == "template":
        return _template(world, rng)
    lead = _lead(world, lexicon, difficulty)
    if style == "sentence":
        keys = "; ".join(f"{field.key} ({_described(field, lexicon, difficulty)})" for field in world.fields)
        return f"{lead} {keys}." + _meanings(world, rng)
    if style == "table":
        rows = "\n".join(f"{field.key} | {_described(field, lexicon, difficulty)}" for field in world.fields)
        return f"{lead}\n{rows}" + _meanings(world, rng)
    mark = rng.choice(("- ", "* ", "", "- "))
    return f"{lead}\n" + "\n".join(
        f"{mark}{field.key}: {_bullet(field, lexicon, difficulty)}" for field in world.fields
    )


def _lead(world: World, lexicon: Lexicon, difficulty: Difficulty) -> str:
    """The text before the keys: a fixed sentence, or several combined."""
    rng = lexicon.rng
    if not (lexicon.rough and difficulty.chance(0.6, rng)):
        return rng.choice(_LEADS).format(d=world.document, t=world.topic)
    number = len(world.fields)
    spelled = Count.spelled[number] if number < len(Count.spelled) and rng.random() < 0.5 else str(number)
    parts = [rng.choice(_TASKS), rng.choice(_FORMATS), rng.choice(_COUNTS)]
    texts = [part.format(d=world.document, t=world.topic, n=spelled, x=lexicon.word()) for part in parts]
    if rng.random() < 0.3:
        texts.insert(rng.randint(0, 2), lexicon.sentence().rstrip(",") + ("" if rng.random() < 0.5 else "."))
    return " ".join(texts)


def _described(field: Field, lexicon: Lexicon, difficulty: Difficulty) -> str:
    """A prompt's description of a field; if rough, with the remarks that people add."""
    rng, description = lexicon.rng, field.describe(lexicon.rng)
    if not (lexicon.rough and difficulty.chance(0.35, rng)):
        return description
    remark = rng.choice(_REMARKS).format(x=lexicon.word(), y=lexicon.word(), z=lexicon.sentence().rstrip(".,!?"))
    joint = ". " if isinstance(field, Choice) else rng.choice((". ", ", ", "; ", " - ", " "))
    return f"{description}{joint}{remark}"


def _bullet(field: Field, lexicon: Lexicon, difficulty: Difficulty) -> str:
    """A field's description, followed by its meanings, if any, on indented lines."""
    rng, options = lexicon.rng, field.options()
    if not options:
        return _described(field, lexicon, difficulty)
    joint = rng.choice((": ", " = ", " - ", ": "))
    heads = ("one of", "choose one", "exactly one of", "string, one of")
    if lexicon.rough:
        filler = lexicon.sentence().rstrip(".,!?")
        heads += (f"the {field.subject}, one of", f"string, {filler}, one of", f"{filler}, choose one")
    listed = _described(field, lexicon, difficulty) if rng.random() < 0.3 else rng.choice(heads)
    mark = rng.choice(("  ", "  - ", "  * "))
    return listed + "\n" + "\n".join(f"{mark}{label}{joint}{meaning}" for label, meaning in options)


def _meanings(world: World, rng: random.Random) -> str:
    """The meanings of all labels, as a separate block."""
    blocks: list[str] = []
    joint = rng.choice((": ", " = ", " - ", ": "))
    for field in world.fields:
        options = field.options()
        if options:
            lines = "\n".join(f"{rng.choice(('- ', '- ', ''))}{label}{joint}{meaning}" for label, meaning in options)
            blocks.append(f"\n{rng.choice(('Meaning of', 'Values of', 'About'))} {field.key}:\n{lines}")
    return "".join(blocks)


def _template(world: World, rng: random.Random) -> str:
    shown = {field.key: field.describe(rng) for field in world.fields}
    return f"{rng.choice(_TEMPLATE_LEADS)}\n{json.dumps(shown, ensure_ascii=False)}" + _meanings(world, rng)


def _json_schema(world: World, rng: random.Random) -> str:
    properties: dict[str, object] = {}
    for field in world.fields:
        properties[field.key] = (
            field.schema() if isinstance(field, Choice) else {**field.schema(), "description": field.describe(rng)}
        )
    schema = {"type": "object", "properties": properties, "required": [field.key for field in world.fields]}
    return f"{rng.choice(_SCHEMA_LEADS)}\n{json.dumps(schema, ensure_ascii=False)}" + _meanings(world, rng)


def loose(world: World, rng: random.Random) -> str:
    """A system prompt that specifies no keys, types or labels."""
    return rng.choice(_LOOSE).format(d=world.document, t=world.topic)


def partial(fields: list[Field], rng: random.Random) -> str:
    """A prompt that asks for some fields in words."""
    names = ", ".join(field.subject for field in fields)
    return rng.choice((
        f"Give me the {names} as JSON.", f"I need {names}. Use JSON.", f"JSON with {names} please.",
        f"Which {names}? Answer in JSON.",
    ))  # fmt: skip
