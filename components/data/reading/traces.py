"""Turns the spans of an agent's trace into a conversation: OpenTelemetry's GenAI spans, and MLflow's.

Usually the last call of the model that was told what tools said has the whole history. If not, calls of the model and
of tools are joined in the order in which they began.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from components.data.reading.conversations import parsed, text_of
from components.data.reading.dialogues import messages_of
from components.data.reading.spans import attributes_of, list_of, parsed_text, spans_of, trace_of
from components.errors import DataError

_MODEL_KINDS = {"CHAT_MODEL", "LLM"}
_MODEL_OPERATIONS = {"chat", "text_completion", "generate_content"}
_AGENT_OPERATIONS = {"create_agent", "invoke_agent", "invoke_workflow"}
_TRACE_IDS = ("traceId", "trace_id", "request_id")


@dataclass(frozen=True)
class Traced:
    """A trace: its messages and tools as written, in any convention; `conversation` is empty where none is named."""

    id: str
    conversation: str
    messages: list[Any]
    tools: Any
    reward: Any


@dataclass(frozen=True)
class Step:
    """A span of a model or an agent (with `inputs` and `outputs`) or of a tool (`outputs` is its answer)."""

    start: str
    kind: Literal["model", "agent", "tool"]
    inputs: list[Any]
    outputs: list[Any]
    tools: Any


def traced(records: Iterable[Mapping[str, Any]], translate: Callable[..., Any] | None) -> list[Traced]:
    """A conversation per trace, in the order of the traces.

    Left out are traces without a call of a model, and those that neither hold what was said nor have a reward.
    """
    by_trace: dict[str, list[tuple[Mapping[str, Any], dict[str, Any]]]] = {}
    for number, record in enumerate(records, start=1):
        trace = trace_of(record)
        for span in spans_of(trace):
            attributes = attributes_of(span.get("attributes"))
            translated = dict(translate(attributes, list_of(span.get("events")))) if translate else attributes
            by_trace.setdefault(_trace_id(trace, span, number), []).append((span, {**translated, **attributes}))
    return [found for id, spans in by_trace.items() if (found := _traced(id, spans))]


def _traced(id: str, spans: list[tuple[Mapping[str, Any], dict[str, Any]]]) -> Traced | None:
    if not (steps := _steps([step for span, values in spans if (step := _step(span, values))])):
        return None
    tools = next((step.tools for step in reversed(steps) if step.tools), None)
    tools = tools or next((values["gen_ai.tool.definitions"] for _, values in spans if _has_tools(values)), None)
    conversation = next(
        (str(values["gen_ai.conversation.id"]) for _, values in spans if values.get("gen_ai.conversation.id")), ""
    )
    scores = (values.get("gen_ai.evaluation.score.value") for _, values in spans)
    reward = next((score for score in scores if score is not None), None)
    messages = _history(steps)
    return Traced(id, conversation, messages, tools, reward) if messages or reward is not None else None


def _has_tools(attributes: Mapping[str, Any]) -> bool:
    return bool(attributes.get("gen_ai.tool.definitions"))


def _steps(found: list[Step]) -> list[Step]:
    """Calls of the model and of tools in the order in which they began; none where no model was called.

    An agent's own span tells what these tell, and counts, as the outermost call, only where there is none of a model.
    """
    steps = sorted(found, key=lambda step: step.start)
    if any(step.kind == "model" for step in steps):
        return [step for step in steps if step.kind != "agent"]
    return [replace(step, kind="model") for step in steps if step.kind == "agent"][:1]


def _history(steps: list[Step]) -> list[Any]:
    """All messages, each once."""
    models = [step for step in steps if step.kind == "model"]
    told = next((step for step in reversed(models) if any(map(_answered, step.inputs))), None)
    if told is not None and not _is_whole(told.inputs):
        return _joined(models)
    if told is None and len(models) < len(steps):
        return [*models[0].inputs, *(message for step in steps for message in step.outputs)]
    last = told or models[-1]  # later ones speak of something else, such as a title
    return [*last.inputs, *last.outputs]


def _joined(models: list[Step]) -> list[Any]:
    """What was said in calls of a model that send only what is new: a user's words, answers of tools, and outputs."""
    said = list(models[0].inputs)
    answered = {id for message in said for id in _answered(message)}
    for step in models:
        for message in step.inputs:
            ids = _answered(message)
            new = (
                not answered.issuperset(ids) if ids else isinstance(message, Mapping) and message.get("role") == "user"
            )
            if new and message not in said:
                said.append(message)
                answered.update(filter(None, ids))
        said += step.outputs
    return said


def _answered(message: Any) -> list[str | None]:
    """The calls that a message answers, by their ids; None for one without."""
    try:
        return [each.tool_call_id for each in messages_of([message], "") if each.role == "tool"]
    except DataError:
        return []


def _is_whole(messages: list[Any]) -> bool:
    """Whether there is a call for each answer of a tool."""
    try:
        said = messages_of(messages, "")
    except DataError:
        return True  # and refused where it is read
    calls = [call.id for message in said for call in message.tool_calls]
    answers = [message.tool_call_id for message in said if message.role == "tool"]
    return len(calls) >= len(answers) and set(filter(None, answers)) <= set(calls)


def _step(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> Step | None:
    start = str(next((span[name] for name in span if "start" in name.lower()), "")).zfill(32)
    operation = attributes.get("gen_ai.operation.name")
    kind = str(parsed(attributes.get("mlflow.spanType", span.get("span_type"))) or "").strip('"').upper()
    if operation == "execute_tool" or kind == "TOOL":
        return Step(start, "tool", [], [_tool_answer(span, attributes)], None)
    calls_model = operation in _MODEL_OPERATIONS or kind in _MODEL_KINDS
    if not calls_model and "gen_ai.input.messages" not in attributes:
        return None
    around = operation in _AGENT_OPERATIONS or kind not in ("", "UNKNOWN")
    name = "model" if calls_model or not around else "agent"
    return Step(start, name, _inputs(span, attributes), _outputs(span, attributes), _tools(span, attributes))


def _inputs(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> list[Any]:
    messages = parsed(attributes.get("gen_ai.input.messages"))
    if messages is None:
        inputs = parsed(attributes.get("mlflow.spanInputs", span.get("inputs")))
        messages = parsed(inputs.get("messages")) if isinstance(inputs, Mapping) else inputs
    system = text_of(parsed(attributes.get("gen_ai.system_instructions")))
    return [*([{"role": "system", "content": system}] if system else []), *list_of(messages)]


def _outputs(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> list[Any]:
    if (messages := parsed(attributes.get("gen_ai.output.messages"))) is not None:
        return list_of(messages)
    output = parsed(parsed_text(attributes.get("mlflow.spanOutputs", span.get("outputs"))))
    if isinstance(output, Mapping) and list_of(output.get("choices")):
        choice = output["choices"][0]
        output = choice.get("message") if isinstance(choice, Mapping) else None
    if isinstance(output, Mapping) and list_of(output.get("messages")):
        return list_of(output["messages"])
    if isinstance(output, str) and output:
        return [{"role": "assistant", "content": output}]
    return [output] if isinstance(output, Mapping) and "role" in output else []


def _tools(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:
    inputs = parsed(attributes.get("mlflow.spanInputs", span.get("inputs")))
    given = inputs.get("tools") if isinstance(inputs, Mapping) else None
    return attributes.get("gen_ai.tool.definitions") or attributes.get("mlflow.chat.tools") or given


def _tool_answer(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    written = attributes.get("gen_ai.tool.call.result", attributes.get("mlflow.spanOutputs", span.get("outputs")))
    outputs = parsed_text(written)
    content = outputs if isinstance(outputs, str) else json.dumps(outputs, ensure_ascii=False)
    name = attributes.get("gen_ai.tool.name", span.get("name"))
    return {"role": "tool", "content": content, "name": name, "tool_call_id": attributes.get("gen_ai.tool.call.id")}


def _trace_id(record: Mapping[str, Any], span: Mapping[str, Any], number: int) -> str:
    """The id of a span's trace."""
    info, context = record.get("info"), span.get("context")
    for holder in (info, span, context):
        if isinstance(holder, Mapping) and (id := next((holder[n] for n in _TRACE_IDS if holder.get(n)), None)):
            return str(id)
    return str(number)
