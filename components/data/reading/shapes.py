"""Converts the records of known programs to rows of input and answer: chats, completions, test files, traces.

Decides by a record's keys which program wrote it; each program has a function that turns a record into a row, or None
if there is no question or no answer.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from components.data.reading import annotations, spans
from components.data.reading.conversations import Chat, Exchange, answer_of, chat_of, parsed, reply_of, text_of
from components.data.reading.table import Table

INPUT, EARLIER, ANSWER, SYSTEM = "text", "conversation", "answer", "system"
Row = dict[str, Any]
Translate = spans.Translate


@dataclass
class Shaped:
    """A known form: `systems` counts system prompts; `roles` are the columns' roles if the form has them."""

    kind: str
    roles: dict[str, str] = field(default_factory=dict[str, str])
    systems: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Shape:
    """A form of records: its name, how to recognise a record, and how to turn it into a row."""

    name: str
    is_one: Callable[[Mapping[str, Any]], bool]
    row: Callable[[Mapping[str, Any]], Row | None]
    settle: Callable[[Sequence[Row | None]], None] = lambda rows: None  # what can only be told from all rows


def shaped(tables: Sequence[Table], translate: Translate | None = None) -> tuple[list[Table], Shaped | None]:
    """A source's tables as rows of input and answer, with the form of the first that has one; None if none has.

    Each table may have a form of its own. What only all rows tell is told for all tables together, so that they have
    the same inputs and answers. `translate` is MLflow's translation of a span's attributes
    (`components.registry.translation`).
    """
    tables = [spans.unpacked(table, translate) for table in tables]
    shapes = [_shape(table) for table in tables]
    known = list(dict.fromkeys(shape for shape in shapes if shape is not None))
    if not known:
        return tables, None
    made: list[list[Row | None]] = [
        [] if shape is None else [shape.row(row) if shape.is_one(row) else None for row in table.rows]
        for table, shape in zip(tables, shapes, strict=True)
    ]
    for shape in known:
        shape.settle([row for rows, own in zip(made, shapes, strict=True) if own is shape for row in rows])
    form = Shaped(known[0].name)
    _finish(form, [row for rows in made for row in rows])
    read = [
        table if shape is None else _filled(table, rows)
        for table, shape, rows in zip(tables, shapes, made, strict=True)
    ]
    return read, form


def _shape(table: Table) -> Shape | None:
    """The form of most of a table's records."""
    sample = [row for row in table.rows[:200] if row]
    return next(
        (candidate for candidate in SHAPES if sum(candidate.is_one(row) for row in sample) > len(sample) / 2), None
    )


def _filled(table: Table, rows: Sequence[Row | None]) -> Table:
    """The table of the rows that its records became, without the records that became none."""
    pairs = [(row, line) for row, line in zip(rows, table.lines, strict=True) if row is not None]
    columns = dict.fromkeys(name for row, _ in pairs for name in row)
    return Table(
        table.path, tuple(columns), tuple(row for row, _ in pairs), tuple(line for _, line in pairs), table.notes
    )


def _finish(form: Shaped, records: Sequence[Row | None]) -> None:
    """Take system prompts out of the rows unless they vary, and drop earlier turns if there are none."""
    rows = [row for row in records if row is not None]
    form.systems = Counter(str(row[SYSTEM]) for row in rows if row.get(SYSTEM))
    if len(form.systems) > max(3, 0.1 * len(rows)):
        form.notes.append(f"{len(form.systems):,} different system prompts: they are an input")
        form.roles[SYSTEM] = "input"
    else:
        for row in rows:
            row.pop(SYSTEM, None)
        if len(form.systems) > 1:
            form.notes.append(
                f"{len(form.systems)} different system prompts: the most frequent one is the first prompt"
            )
    earlier = sum(bool(row.get(EARLIER)) for row in rows)
    for row in rows:
        if not earlier:
            row.pop(EARLIER, None)
    if earlier:
        form.notes.append(
            f"{earlier:,} of {len(rows):,} have earlier turns: the last answer is learnt, `{EARLIER}` holds what was "
            "said before it"
        )
    if len(rows) < len(records):
        lost = f"{len(records) - len(rows):,} of {len(records):,}"
        form.notes.append(f"{lost} records have no question or no answer, and are left out")
    form.roles |= {name: role for name, role in ((INPUT, "input"), (EARLIER, "input"), (ANSWER, "answer"))}
    form.roles = {name: role for name, role in form.roles.items() if any(name in row for row in rows)}


def _chat_row(exchange: Exchange | None, answer: Any, others: Mapping[str, Any]) -> Row | None:
    if exchange is None or answer in (None, "", [], {}) or not (exchange.question.strip() or exchange.earlier):
        return None
    row = {SYSTEM: exchange.system, EARLIER: exchange.earlier, INPUT: exchange.question, ANSWER: answer}
    return row | {name if name not in row else f"{name}_2": value for name, value in others.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Whether a value next to a conversation is suitable for a column."""
    return value is None or isinstance(value, str | int | float | bool)


def _others(record: Mapping[str, Any], *used: str) -> Row:
    return {name: value for name, value in record.items() if name not in used}


def _messages_row(record: Mapping[str, Any]) -> Row | None:
    """Chats of OpenAI's fine-tuning, ShareGPT, Gemini and Anthropic."""
    system = {name: record[name] for name in ("system", "systemInstruction") if name in record}
    chat = chat_of({"messages": record[_chat_column(record) or _CHATS[0]], **system})
    exchange = chat.last_exchange() if chat else None
    used = (*_CHATS, "tools", "functions", "parallel_tool_calls")
    return _chat_row(
        exchange, exchange.answer if exchange else None, _others(record, *used, "system", "systemInstruction")
    )


_CHATS = ("messages", "conversations", "conversation", "contents")


def _is_chat(record: Mapping[str, Any]) -> bool:
    """Whether messages end in an answer; a bare request does not count."""
    if "choices" in record or "response" in record or "ideal" in record:
        return False
    return _chat_column(record) is not None


def _chat_column(record: Mapping[str, Any]) -> str | None:
    """The first column with a chat; others with such names may be empty or have other content."""
    return next((name for name in _CHATS if name in record and chat_of(record[name]) is not None), None)


def _is_completion(record: Mapping[str, Any]) -> bool:
    return {"prompt", "completion"} <= record.keys()


def _completion_row(record: Mapping[str, Any]) -> Row | None:
    """A prompt and a completion, each a text or messages."""
    prompt_chat = chat_of(record["prompt"])
    others = _others(record, "prompt", "completion")
    if prompt_chat is not None:
        return _chat_row(prompt_chat.last_question(), reply_of(record["completion"]), others)
    prompt, answer = text_of(record["prompt"]), reply_of(record["completion"])
    return {INPUT: prompt, ANSWER: answer} | others if prompt.strip() and answer is not None else None


def _is_preference(record: Mapping[str, Any]) -> bool:
    return "preferred_output" in record or {"chosen", "rejected"} <= record.keys()


def _preference_row(record: Mapping[str, Any]) -> Row | None:
    """The preferred one of two answers; without a prompt of its own, to the question that the answer's chat has."""
    chosen, asked, system = record.get("preferred_output", record.get("chosen")), _asked(record), record.get("system")
    chat, asked_chat = _dialogue(chosen), _dialogue(asked)
    if chat is None and isinstance(chosen, Mapping):
        chat = chat_of([chosen])
    whole = chat.last_exchange() if chat is not None else None
    if whole is not None and asked_chat is None and (asked is None or record.get("prompt") is None):
        return _chat_row(_with_system(whole, system), whole.answer, {})
    exchange = Exchange("", "", text_of(asked), None, 0) if asked_chat is None else asked_chat.last_question()
    return _chat_row(_with_system(exchange, system), reply_of(chosen) if chat is None else _last_said(chat), {})


def _last_said(chat: Chat) -> Any:
    return next((answer_of(turn) for turn in reversed(chat.turns) if turn.role == "assistant"), None)


_PROMPTS = ("input", "prompt", "question", "instruction", "messages", "conversations")
_SPEAKER = re.compile(r"\n\n(Human|Assistant):")


def _asked(record: Mapping[str, Any]) -> Any:
    """What a preference is about: messages or a text; an instruction stands above its input."""
    both = record.get("instruction"), record.get("input")
    if all(isinstance(text, str) and text.strip() for text in both):
        return "\n\n".join(map(str, both))
    return next((record[name] for name in _PROMPTS if record.get(name)), None)


def _dialogue(value: Any) -> Chat | None:
    """A value as a chat, also a text of HH-RLHF, in which `Human:` and `Assistant:` begin the turns."""
    if not isinstance(value, str) or not value.startswith("\n\nHuman:"):
        return chat_of(value)
    pieces = _SPEAKER.split(value)[1:]
    turns = zip(pieces[::2], pieces[1::2], strict=True)
    return chat_of([{"from": "human" if who == "Human" else "assistant", "value": said.strip()} for who, said in turns])


def _with_system(exchange: Exchange | None, system: Any) -> Exchange | None:
    """The exchange with a system prompt, unless it has one."""
    if exchange is None or exchange.system or not isinstance(system, str):
        return exchange
    return replace(exchange, system=system)


def _body(record: Mapping[str, Any], name: str) -> Any:
    """A request or response without its envelope."""
    value = parsed(record.get(name))
    return value["body"] if isinstance(value, Mapping) and isinstance(value.get("body"), Mapping) else value


def _request(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for name in ("request", "body", "request_body", "input", "messages"):
        value = _body(record, name)
        if isinstance(value, Mapping) and (value.keys() & {"messages", "input", "prompt"}):
            return value
        if chat_of(value) is not None:
            return {"messages": value}
        if isinstance(value, str) and name == "input":
            return {"messages": [{"role": "user", "content": value}]}
    return None


def _response(record: Mapping[str, Any]) -> Any:
    if isinstance(record.get("choices"), list) or isinstance(parsed(record.get("output")), list):
        return record
    return next((value for name in ("response", "response_body") if (value := _body(record, name)) is not None), None)


def _is_logged(record: Mapping[str, Any]) -> bool:
    """Whether a record has a request and its response, as in stored completions and proxies' logs."""
    if "choices" in record:
        return True
    response = _response(record)
    if isinstance(response, Mapping) and response.keys() & {"choices", "output", "candidates"}:
        return _request(record) is not None or "custom_id" in record
    return False


def _logged_row(record: Mapping[str, Any]) -> Row | None:
    request, response = _request(record), _response(record)
    if request is None:
        return None
    chat = chat_of(request.get("messages", request.get("input")))
    instructions = request.get("instructions") or request.get("system") or record.get("instructions")
    if chat is None:
        prompt = text_of(request.get("input", request.get("prompt")))
        exchange: Exchange | None = Exchange("", "", prompt, None, 0)
    else:
        exchange = chat.last_question()
    return _chat_row(_with_system(exchange, instructions), reply_of(response), {})


def _is_eval(record: Mapping[str, Any]) -> bool:
    inner = record.get("item") if isinstance(record.get("item"), Mapping) else record
    return isinstance(inner, Mapping) and {"input", "ideal"} <= inner.keys()


def _eval_row(record: Mapping[str, Any]) -> Row | None:
    inner: Any = record["item"] if isinstance(record.get("item"), Mapping) else record
    ideal = parsed(inner["ideal"])
    answer = ideal[0] if isinstance(ideal, list) and ideal and isinstance(ideal[0], str) else ideal
    chat = chat_of(inner["input"])
    exchange = chat.last_question() if chat else Exchange("", "", text_of(inner["input"]), None, 0)
    return _chat_row(exchange, answer, _others(inner, "input", "ideal"))


def _is_test(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("vars"), Mapping) or any(name.startswith("__expected") for name in record)


def _test_row(record: Mapping[str, Any]) -> Row | None:
    """A promptfoo test: its variables are inputs; the answer is an assertion's value."""
    if isinstance(record.get("vars"), Mapping):
        checks = record.get("assert")
        values = [
            check.get("value")
            for check in (checks if isinstance(checks, list) else [])
            if isinstance(check, Mapping)
            and check.get("type") in ("equals", "similar", "levenshtein", "rouge-n", "bleu")
        ]
        variables = {str(name): value for name, value in record["vars"].items()}
    else:
        cells = [str(value) for name, value in record.items() if name.startswith("__expected") and value]
        values = [value for cell in cells if (value := _expected(cell)) is not None]
        variables = {name: value for name, value in record.items() if not name.startswith("__")}
    if not values or not variables:
        return None
    return {name if name != ANSWER else f"{name}_2": value for name, value in variables.items()} | {ANSWER: values[0]}


def _expected(cell: str) -> str | None:
    """The answer in an `__expected` cell; None if it is a check."""
    kind, colon, rest = cell.partition(":")
    name = kind.strip().partition("(")[0]
    if not colon or " " in name or not name.replace("-", "").isalnum() or not name.islower():
        return cell
    if name in ("equals", "similar", "levenshtein"):
        return rest.strip()
    checks = ("fn", "eval", "javascript", "python", "grade", "llm-rubric", "file", "contains", "icontains", "regex")
    is_check = name in checks or name.startswith(("contains", "icontains", "is-", "not-", "model-graded", "starts-"))
    return None if is_check else cell


def _is_langfuse(record: Mapping[str, Any]) -> bool:
    if "input" not in record:
        return False
    if record.keys() & {"expectedOutput", "expected_output"}:
        return True
    marks = {
        "traceId", "trace_id", "observationId", "userId", "user_id", "sessionId", "session_id", "projectId",
        "project_id", "startTime", "start_time", "parentObservationId", "observations", "htmlPath", "timestamp",
    }  # fmt: skip
    return "output" in record and bool(record.keys() & marks)


def _langfuse_row(record: Mapping[str, Any]) -> Row | None:
    """A dataset's item, a trace or an observation: the expected output if there is one, else the output."""
    asked_of, output = record["input"], record.get("output")
    if output in (None, "") and isinstance(record.get("observations"), list):
        generations = [
            observation
            for observation in record["observations"]
            if isinstance(observation, Mapping) and observation.get("output")
        ]
        if generations:
            asked_of, output = generations[-1].get("input"), generations[-1]["output"]
    expected = record.get("expectedOutput", record.get("expected_output"))
    return spans.row_of(asked_of, output if expected in (None, "") else expected, _kept(record))


def _kept(record: Mapping[str, Any]) -> Row:
    """A trace's information about the row: who, when, and its name."""
    names = {
        "id": ("id",),
        "user_id": ("userId", "user_id"),
        "session_id": ("sessionId", "session_id"),
        "created_at": ("timestamp", "startTime", "start_time", "createdAt", "created_at"),
        "name": ("name",),
    }
    return {
        name: next(record[key] for key in keys if key in record)
        for name, keys in names.items()
        if any(record.get(key) is not None for key in keys)
    }


def _is_span(record: Mapping[str, Any]) -> bool:
    return spans.INPUTS in record


def _span_row(record: Mapping[str, Any]) -> Row | None:
    others = {name: value for name, value in record.items() if name not in (spans.INPUTS, spans.OUTPUTS)}
    return spans.row_of(record[spans.INPUTS], record.get(spans.OUTPUTS), others)


SHAPES: Sequence[Shape] = (
    Shape("spans of traces", _is_span, _span_row),
    Shape("preferences (the preferred answer)", _is_preference, _preference_row),
    Shape("logged completions", _is_logged, _logged_row),
    Shape("chats", _is_chat, _messages_row),
    Shape("samples of Evals", _is_eval, _eval_row),
    Shape("tests of promptfoo", _is_test, _test_row),
    Shape("an export of Langfuse", _is_langfuse, _langfuse_row),
    Shape("prompts and completions", _is_completion, _completion_row),
    Shape("tasks of Label Studio", annotations.is_label_studio, annotations.label_studio_row, annotations.settle),
    Shape("examples of Prodigy", annotations.is_prodigy, annotations.prodigy_row, annotations.settle),
    Shape("records of Argilla", annotations.is_argilla, annotations.argilla_row, annotations.settle),
    Shape("inputs and expected outputs", annotations.is_pair, annotations.pair_row),
)
