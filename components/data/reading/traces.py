"""Spans of an agent's trace as one conversation: OpenTelemetry's GenAI spans, and MLflow's.

Decides which span tells it: the last call of a model holds the whole history as a rule. Where it does not, calls of the
model and of tools are put together in the order in which they began.
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
    """A trace: its messages and tools as they were written, by whatever convention."""

    id: str
    task: str
    messages: list[Any]
    tools: Any
    reward: Any


@dataclass(frozen=True)
class Step:
    """A span of a model (`asked` and `said`) or of a tool (`said` is its answer)."""

    start: str
    kind: str
    asked: list[Any]
    said: list[Any]
    tools: Any


def traced(records: Iterable[Mapping[str, Any]], translate: Callable[..., Any] | None) -> list[Traced]:
    """One conversation a trace, in the order in which traces come."""
    by_trace: dict[str, list[tuple[Mapping[str, Any], dict[str, Any]]]] = {}
    for number, record in enumerate(records, start=1):
        for span in spans_of(record):
            attributes = attributes_of(span.get("attributes"))
            known = dict(translate(attributes, list_of(span.get("events")))) if translate else attributes
            by_trace.setdefault(_trace_id(record, span, number), []).append((span, {**known, **attributes}))
    return [_traced(id, spans) for id, spans in by_trace.items()]


def _traced(id: str, spans: list[tuple[Mapping[str, Any], dict[str, Any]]]) -> Traced:
    steps = sorted((step for span, known in spans if (step := _step(span, known))), key=lambda step: step.start)
    tools = next((step.tools for step in reversed(steps) if step.tools), None)
    tools = tools or next((known["gen_ai.tool.definitions"] for _, known in spans if _has_tools(known)), None)
    task = next((str(known["gen_ai.conversation.id"]) for _, known in spans if known.get("gen_ai.conversation.id")), "")
    scores = (known.get("gen_ai.evaluation.score.value") for _, known in spans)
    return Traced(id, task, _history(steps), tools, next((score for score in scores if score is not None), None))


def _has_tools(known: Mapping[str, Any]) -> bool:
    return bool(known.get("gen_ai.tool.definitions"))


def _history(steps: list[Step]) -> list[Any]:
    """What was said, all of it once."""
    models = [step for step in steps if step.kind == "model"]
    if not models:
        return [message for step in steps for message in step.said]
    last = models[-1]
    answers = sum(step.kind == "tool" for step in steps)
    if not answers or any(_is_answer(message) for message in last.asked):
        return [*last.asked, *last.said]
    return [*models[0].asked, *(message for step in steps for message in step.said)]


def _is_answer(message: Any) -> bool:
    return isinstance(message, Mapping) and (message.get("role") == "tool" or "tool_call_response" in str(message))


def _step(span: Mapping[str, Any], known: Mapping[str, Any]) -> Step | None:
    start = str(next((span[name] for name in span if "start" in name.lower()), "")).zfill(32)
    operation = known.get("gen_ai.operation.name")
    kind = str(parsed(known.get("mlflow.spanType", span.get("span_type"))) or "").strip('"').upper()
    if operation == "execute_tool" or kind == "TOOL":
        return Step(start, "tool", [], [_tool_answer(span, known)], None)
    if operation in _MODEL_OPERATIONS or kind in _MODEL_KINDS or "gen_ai.input.messages" in known:
        return Step(start, "model", _asked(span, known), _said(span, known), _tools(span, known))
    return None


def _asked(span: Mapping[str, Any], known: Mapping[str, Any]) -> list[Any]:
    messages = parsed(known.get("gen_ai.input.messages"))
    if messages is None:
        inputs = parsed(known.get("mlflow.spanInputs", span.get("inputs")))
        messages = parsed(inputs.get("messages")) if isinstance(inputs, Mapping) else inputs
    system = text_of(parsed(known.get("gen_ai.system_instructions")))
    return [*([{"role": "system", "content": system}] if system else []), *list_of(messages)]


def _said(span: Mapping[str, Any], known: Mapping[str, Any]) -> list[Any]:
    if (messages := parsed(known.get("gen_ai.output.messages"))) is not None:
        return list_of(messages)
    output = parsed(known.get("mlflow.spanOutputs", span.get("outputs")))
    if isinstance(output, Mapping) and list_of(output.get("choices")):
        choice = output["choices"][0]
        output = choice.get("message") if isinstance(choice, Mapping) else None
    if isinstance(output, Mapping) and list_of(output.get("messages")):
        return list_of(output["messages"])
    if isinstance(output, str) and output:
        return [{"role": "assistant", "content": output}]
    return [output] if isinstance(output, Mapping) and "role" in output else []


def _tools(span: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    inputs = parsed(known.get("mlflow.spanInputs", span.get("inputs")))
    given = inputs.get("tools") if isinstance(inputs, Mapping) else None
    return known.get("gen_ai.tool.definitions") or known.get("mlflow.chat.tools") or given


def _tool_answer(span: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    outputs = known.get("gen_ai.tool.call.result", known.get("mlflow.spanOutputs", span.get("outputs")))
    content = outputs if isinstance(outputs, str) else json.dumps(outputs, ensure_ascii=False)
    name = known.get("gen_ai.tool.name", span.get("name"))
    return {"role": "tool", "content": content, "name": name, "tool_call_id": known.get("gen_ai.tool.call.id")}


def _trace_id(record: Mapping[str, Any], span: Mapping[str, Any], number: int) -> str:
    """The trace that a span belongs to."""
    info, context = record.get("info"), span.get("context")
    for holder in (info, span, context):
        if isinstance(holder, Mapping) and (id := next((holder[n] for n in _TRACE_IDS if holder.get(n)), None)):
            return str(id)
    return str(number)
