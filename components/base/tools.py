"""Tool lessons: choose one by its description, call it with arguments from the message, read its answer."""

from dataclasses import dataclass

from components.base.skills import Lesson, Task, Turn
from components.base.values import COPIED, JsonValue
from components.base.worlds import Plan, World, compose, draw_slot
from components.records import to_json

_VERBS = (
    "open", "close", "find", "book", "move", "check", "send", "update", "print", "lock", "renew", "count",
    "list",
)  # fmt: skip
_WISHES = ("please {v} the {e}", "can you {v} the {e}", "{v} a {e} for me", "I want to {v} the {e}", "{v} the {e}")
_QUESTIONS = ("what is the {a}", "tell me the {a}", "I need to know the {a}")
STYLES = ("signatures", "json")


@dataclass(frozen=True)
class Tool:
    """A function: a verb, the thing it acts on, and typed arguments."""

    name: str
    verb: str
    entity: str
    arguments: World

    def signature(self) -> str:
        """The function's line in a listing."""
        typed = ", ".join(f"{field.key}: {_type(field.schema())}" for field in self.arguments.fields)
        return f"- {self.name}({typed}): {self.verb} a {self.entity}"

    def definition(self) -> str:
        """The function's definition in chat APIs."""
        properties = {
            field.key: {"type": _type(field.schema()), "description": field.subject} for field in self.arguments.fields
        }
        parameters = {"type": "object", "properties": properties}
        says = f"{self.verb} a {self.entity}"
        return to_json({"name": self.name, "description": says, "parameters": parameters})


def _type(schema: dict[str, object]) -> str:
    kinds = schema["type"]
    assert isinstance(kinds, list)
    return str(kinds[0])


def tools(task: Task) -> Lesson:
    """One to four tools; each message needs one of them, and some ask for a value from its answer."""
    rng = task.rng
    offered: dict[str, Tool] = {}
    count = 1 + task.upto(0, 3)
    while len(offered) < count:
        tool = _draw_tool(task)
        offered[tool.name] = tool
    lead = rng.choice(("You can call these tools:", "Tools:", "Available tools:"))
    listed = [tool.signature() if task.style == "signatures" else tool.definition() for tool in offered.values()]
    turns = [Turn("system", "\n".join((lead, *listed)))]
    answers: list[dict[str, JsonValue]] = []
    for _ in range(task.messages):
        called, answer = _conversation(rng.choice(list(offered.values())), task)
        turns += called
        answers.append(answer)
    return Lesson("tools", task.style, tuple(turns), None, tuple(answers))


def _draw_tool(task: Task) -> Tool:
    lexicon = task.lexicon
    while True:
        verb, entity = task.rng.choice(_VERBS), lexicon.entity()
        if lexicon.admits_key(f"{verb}_{entity}"):
            arguments = task.world(Plan(slots=task.upto(1, 3), kinds=COPIED))
            return Tool(f"{verb}_{entity}", verb, entity, arguments)


def _conversation(tool: Tool, task: Task) -> tuple[list[Turn], dict[str, JsonValue]]:
    """A request and its call, in four of ten cases followed by the tool's answer and a sentence about it."""
    rng, lexicon = task.rng, task.lexicon
    mentions = {field.key: field.mention(lexicon, task.difficulty) for field in tool.arguments.fields}
    arguments = {key: mention.answer for key, mention in mentions.items() if mention.answer is not None}
    clauses = [rng.choice(_WISHES).format(v=tool.verb, e=tool.entity)]
    clauses += [clause for mention in mentions.values() for clause in mention.clauses]
    name = lexicon.word() if rng.random() < 0.4 else None
    if name:
        clauses.append(rng.choice(_QUESTIONS).format(a=name))
    call: dict[str, JsonValue] = {"name": tool.name, "arguments": to_json(arguments)}
    text = f'<tool_call>{{"name": "{tool.name}", "arguments": {call["arguments"]}}}</tool_call>'
    message = compose(clauses, lexicon, task.difficulty, tool.arguments.words())
    turns = [Turn("user", message), Turn("assistant", text)]
    return turns + (_reading(name, task) if name else []), call


def _reading(name: str, task: Task) -> list[Turn]:
    """A tool's answer with some values, and the sentence that states the requested one."""
    slots = [draw_slot(task.lexicon, COPIED) for _ in range(1 + task.upto(0, 2))]
    values = {slot.key: slot.kind.sample(task.lexicon).canonical for slot in slots}
    value = values[name] = draw_slot(task.lexicon, COPIED).kind.sample(task.lexicon).canonical
    items = list(values.items())
    task.rng.shuffle(items)
    return [Turn("tool", to_json(dict(items))), Turn("assistant", f"The {name} is {value}.")]
