"""How a prompt puts the question: full-schema styles that name every key, and loose ones that do not."""

import json
import random

from components.base.worlds import Choice, Field, World

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


def full(world: World, style: str, rng: random.Random) -> str:
    """A system prompt that names every key, its form, its labels and their meanings."""
    if style == "json_schema":
        return _json_schema(world, rng)
    if style == "template":
        return _template(world, rng)
    lead = rng.choice(_LEADS).format(d=world.document, t=world.topic)
    if style == "sentence":
        keys = "; ".join(f"{one.key} ({one.describe(rng)})" for one in world.fields)
        return f"{lead} {keys}." + _meanings(world, rng)
    if style == "table":
        rows = "\n".join(f"{one.key} | {one.describe(rng)}" for one in world.fields)
        return f"{lead}\n{rows}" + _meanings(world, rng)
    mark = rng.choice(("- ", "* ", "", "- "))
    lines = []
    for one in world.fields:
        lines.append(f"{mark}{one.key}: {_bullet(one, rng)}")
    return f"{lead}\n" + "\n".join(lines)


def _bullet(one: Field, rng: random.Random) -> str:
    """A field's description, with its meanings on indented lines below it when it has any."""
    options = one.options()
    if not options:
        return one.describe(rng)
    joint = rng.choice((": ", " = ", " - ", ": "))
    listed = (
        f"{one.describe(rng)}"
        if rng.random() < 0.3
        else rng.choice(("one of", "choose one", "exactly one of", "string, one of"))
    )
    mark = rng.choice(("  ", "  - ", "  * "))
    return listed + "\n" + "\n".join(f"{mark}{label}{joint}{meaning}" for label, meaning in options)


def _meanings(world: World, rng: random.Random) -> str:
    """The meanings of all labels as a block of its own."""
    blocks: list[str] = []
    joint = rng.choice((": ", " = ", " - ", ": "))
    for one in world.fields:
        options = one.options()
        if options:
            lines = "\n".join(f"{rng.choice(('- ', '- ', ''))}{label}{joint}{meaning}" for label, meaning in options)
            blocks.append(f"\n{rng.choice(('Meaning of', 'Values of', 'About'))} {one.key}:\n{lines}")
    return "".join(blocks)


def _template(world: World, rng: random.Random) -> str:
    shown = {one.key: one.describe(rng) for one in world.fields}
    return f"{rng.choice(_TEMPLATE_LEADS)}\n{json.dumps(shown, ensure_ascii=False)}" + _meanings(world, rng)


def _json_schema(world: World, rng: random.Random) -> str:
    properties: dict[str, object] = {}
    for one in world.fields:
        properties[one.key] = (
            one.schema() if isinstance(one, Choice) else {**one.schema(), "description": one.describe(rng)}
        )
    schema = {"type": "object", "properties": properties, "required": [one.key for one in world.fields]}
    return f"{rng.choice(_SCHEMA_LEADS)}\n{json.dumps(schema, ensure_ascii=False)}" + _meanings(world, rng)


def loose(world: World, rng: random.Random) -> str:
    """A system prompt that leaves keys, types and labels open."""
    return rng.choice(_LOOSE).format(d=world.document, t=world.topic)


def partial(fields: list[Field], rng: random.Random) -> str:
    """A prompt that asks for some fields by their names in words."""
    names = ", ".join(one.subject for one in fields)
    return rng.choice((
        f"Give me the {names} as JSON.", f"I need {names}. Use JSON.", f"JSON with {names} please.",
        f"Which {names}? Answer in JSON.",
    ))  # fmt: skip
