"""Turns the spans of an agent's trace into a conversation: OpenTelemetry's GenAI spans, and MLflow's.

Usually the last call of the model has the whole history. If not, calls of the model and of tools are joined in the
order in which they began.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.data.reading.conversations import parsed, text_of
from components.data.reading.spans import attributes_of, list_of, spans_of

_MODEL_KINDS = {"CHAT_MODEL", "LLM"}
_MODEL_OPERATIONS = {"chat", "text_completion", "generate_content"}
_TRACE_IDS = ("traceId", "trace_id", "request_id")


@dataclass(frozen=True)
class Traced:
    """A trace: its messages and tools as written, in any convention."""

    id: str
    task: str
    messages: list[Any]
    tools: Any
    reward: Any


@dataclass(frozen=True)
class Step:
    """A span of a model (with `inputs` and `outputs`) or of a tool (`outputs` is its answer)."""

    start: str
    kind: str
    inputs: list[Any]
    outputs: list[Any]
    tools: Any


def traced(records: Iterable[Mapping[str, Any]], translate: Callable[..., Any] | None) -> list[Traced]:
    """A conversation per trace, in the order of the traces."""
    by_trace: dict[str, list[tuple[Mapping[str, Any], dict[str, Any]]]] = {}
    for number, record in enumerate(records, start=1):
        for span in spans_of(record):
            attributes = attributes_of(span.get("attributes"))
            translated = dict(translate(attributes, list_of(span.get("events")))) if translate else attributes
            by_trace.setdefault(_trace_id(record, span, number), []).append((span, {**translated, **attributes}))
    return [_traced(id, spans) for id, spans in by_trace.items()]


def _traced(id: str, spans: list[tuple[Mapping[str, Any], dict[str, Any]]]) -> Traced:
    steps = sorted((step for span, values in spans if (step := _step(span, values))), key=lambda step: step.start)
    tools = next((step.tools for step in reversed(steps) if step.tools), None)
    tools = tools or next((values["gen_ai.tool.definitions"] for _, values in spans if _has_tools(values)), None)
    task = next(
        (str(values["gen_ai.conversation.id"]) for _, values in spans if values.get("gen_ai.conversation.id")), ""
    )
    scores = (values.get("gen_ai.evaluation.score.value") for _, values in spans)
    return Traced(id, task, _history(steps), tools, next((score for score in scores if score is not None), None))


def _has_tools(attributes: Mapping[str, Any]) -> bool:
    return bool(attributes.get("gen_ai.tool.definitions"))


def _history(steps: list[Step]) -> list[Any]:
    """All messages, each once."""
    models = [step for step in steps if step.kind == "model"]
    if not models:
        return [message for step in steps for message in step.outputs]
    last = models[-1]
    answers = sum(step.kind == "tool" for step in steps)
    if not answers or any(_is_answer(message) for message in last.inputs):
        return [*last.inputs, *last.outputs]
    return [*models[0].inputs, *(message for step in steps for message in step.outputs)]


def _is_answer(message: Any) -> bool:
    return isinstance(message, Mapping) and (message.get("role") == "tool" or "tool_call_response" in str(message))


def _step(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> Step | None:
    start = str(next((span[name] for name in span if "start" in name.lower()), "")).zfill(32)
    operation = attributes.get("gen_ai.operation.name")
    kind = str(parsed(attributes.get("mlflow.spanType", span.get("span_type"))) or "").strip('"').upper()
    if operation == "execute_tool" or kind == "TOOL":
        return Step(start, "tool", [], [_tool_answer(span, attributes)], None)
    if operation in _MODEL_OPERATIONS or kind in _MODEL_KINDS or "gen_ai.input.messages" in attributes:
        return Step(start, "model", _inputs(span, attributes), _outputs(span, attributes), _tools(span, attributes))
    return None


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
    output = parsed(attributes.get("mlflow.spanOutputs", span.get("outputs")))
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
    outputs = attributes.get("gen_ai.tool.call.result", attributes.get("mlflow.spanOutputs", span.get("outputs")))
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
