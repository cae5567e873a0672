"""Reads the spans of traces as records: MLflow's traces and OpenTelemetry's GenAI spans, with MLflow's translation.

Decides which spans are calls of a model, and which of their inputs is the question. The translation, which knows the
attributes of all conventions, is passed in, because only the registry may use MLflow.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from components.data.reading.conversations import Exchange, chat_of, parsed, reply_of, text_of
from components.data.reading.objects import loads
from components.data.reading.table import Table

INPUTS, OUTPUTS = "span inputs", "span outputs"
Row = dict[str, Any]
# (A span's attributes, its events) → its attributes under MLflow's names.
Translate = Callable[[Mapping[str, Any], list[Any]], Mapping[str, Any]]
_CALLS = {"CHAT_MODEL", "LLM"}
_OF_CALLS = {
    "attributes", "inputs", "outputs", "context", "span_id", "spanId", "trace_id", "traceId", "span_type",
    "startTimeUnixNano", "start_time_unix_nano", "start_time_ns", "start_time",
}  # fmt: skip
_OWN_INPUTS, _OWN_OUTPUTS, _KIND = "mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.spanType"
_QUESTION_KEYS = ("question", "query", "input", "prompt", "text", "message", "user_input", "content")


def unpacked(table: Table, translate: Translate | None) -> Table:
    """The table's spans as records; a table without spans is returned unchanged."""
    if not table.rows or not any(holds_spans(row) for row in table.rows[:20]):
        return table
    spans = [
        (span, line)
        for record, line in zip(table.rows, table.lines, strict=True)
        for span in _of_record(record, translate or _untranslated)
        if span[INPUTS] is not None
    ]
    # A call inside an agent's span is the model's; if no span is known to be one, the outermost have the question.
    calls = [(span, line) for span, line in spans if span["kind"] in _CALLS]
    selected = calls or [(span, line) for span, line in spans if span["root"]]
    rows = [{name: value for name, value in span.items() if name not in ("kind", "root")} for span, _ in selected]
    lines = [line for _, line in selected]
    columns = dict.fromkeys(name for row in rows for name in row)
    return Table(table.path, tuple(columns), tuple(rows), tuple(lines), table.notes)


def row_of(asked_of: Any, output: Any, others: Mapping[str, Any]) -> Row | None:
    """A row of question and answer; inputs that are not a conversation become separate variables."""
    answer, value = reply_of(output), parsed(asked_of)
    if answer is None or value in (None, "", [], {}):
        return None
    chat = chat_of(value)
    if chat is not None and (exchange := chat.last_question()) is not None:
        return _row(exchange, answer, others)
    if isinstance(value, Mapping):
        if len(value) == 1 or (set(value) & set(_QUESTION_KEYS) and not _variables(value)):
            name = next((name for name in _QUESTION_KEYS if name in value), next(iter(value)))
            return _row(Exchange("", "", text_of(value[name]), None, 0), answer, others)
        variables = _variables(value)
        if not variables:
            return None
        return {**variables, "answer": answer, **{k: v for k, v in others.items() if k not in variables}}
    return _row(Exchange("", "", text_of(value), None, 0), answer, others)


def _variables(value: Mapping[str, Any]) -> Row:
    """The inputs that are texts or numbers, without the model's settings."""
    settings = {"model", "temperature", "max_tokens", "top_p", "stream", "stop", "seed", "n"}
    return {
        "answer_2" if name == "answer" else str(name): item
        for name, item in value.items()
        if isinstance(item, str | int | float) and name not in settings
    }


def _row(exchange: Exchange, answer: Any, others: Mapping[str, Any]) -> Row | None:
    if not exchange.question.strip():
        return None
    row = {"system": exchange.system, "conversation": exchange.earlier, "text": exchange.question, "answer": answer}
    return row | {name if name not in row else f"{name}_2": value for name, value in others.items()}


def holds_spans(record: Mapping[str, Any]) -> bool:
    """Whether a record is a trace or has spans; columns of a table may have the same names, and hold none."""
    if record.keys() & {"resourceSpans", "resource_spans"}:
        return True
    if isinstance(record.get("attributes"), Mapping) and record.keys() & {"context", "trace_id", "traceId", "span_id"}:
        return True
    holder = trace_of(record)
    return _are_calls(holder.get("spans")) or _are_calls(get(holder.get("data"), "spans"))


def trace_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The trace in a record's column `trace`, as MLflow's tables have it, else the record."""
    trace = parsed(record.get("trace"))
    return trace if isinstance(trace, Mapping) else record


def _are_calls(value: Any) -> bool:
    """Whether spans are those of a trace; pieces of a text that somebody marked are called spans too."""
    return any(isinstance(span, Mapping) and bool(span.keys() & _OF_CALLS) for span in list_of(parsed(value)))


def _of_record(record: Mapping[str, Any], translate: Translate) -> Iterator[Row]:
    record = trace_of(record)
    expected = _expected(record)
    for span in spans_of(record):
        attributes = attributes_of(span.get("attributes"))
        events = [
            {"name": event.get("name", ""), "attributes": attributes_of(event.get("attributes"))}
            for event in list_of(span.get("events"))
            if isinstance(event, Mapping)
        ]
        translated = translate(attributes, events)
        kind = parsed_text(translated.get(_KIND)) or parsed_text(span.get("span_type"))
        inputs = _with_system(translated, attributes)
        root = not (span.get("parentSpanId") or span.get("parent_span_id") or span.get("parent_id"))
        yield {
            INPUTS: inputs if inputs is not None else _loaded(span.get("inputs")),
            OUTPUTS: expected if expected is not None else _loaded(translated.get(_OWN_OUTPUTS, span.get("outputs"))),
            "created_at": _moment(span),
            "kind": str(kind or "UNKNOWN").upper(),
            "root": root,
        }


def _with_system(translated: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:
    """A span's inputs, with the system instructions, which the conventions keep separately."""
    inputs = _loaded(translated.get(_OWN_INPUTS))
    system = text_of(_loaded(attributes.get("gen_ai.system_instructions")))
    messages = parsed(inputs)
    if system and isinstance(messages, list):
        return [{"role": "system", "content": system}, *messages]
    return inputs


def _loaded(value: Any) -> Any:
    """A value that was encoded as JSON, perhaps twice."""
    text = parsed_text(value)
    return parsed(text)


def parsed_text(value: Any) -> Any:
    """A text that was encoded as a JSON string."""
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return loads(value)
        except ValueError:
            return value
    return value


def spans_of(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All spans in a record."""
    resources = record.get("resourceSpans", record.get("resource_spans"))
    if isinstance(resources, list):
        for resource in resources:
            for scope in list_of(get(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans")):
                yield from (span for span in list_of(get(scope, "spans")) if isinstance(span, Mapping))
        return
    data = record.get("data")
    listed = parsed(record.get("spans")) if "spans" in record else get(data, "spans") if data is not None else None
    if isinstance(listed, list):
        yield from (span for span in listed if isinstance(span, Mapping))
    elif "attributes" in record:
        yield record


def get(value: Any, *names: str) -> Any:
    """An object's value (the object may be JSON text) under the first of these names that exists, else None."""
    value = parsed(value)
    if not isinstance(value, Mapping):
        return None
    return next((value[name] for name in names if name in value), None)


def list_of(value: Any) -> list[Any]:
    """A list unchanged; [] for anything else."""
    return value if isinstance(value, list) else []


def attributes_of(value: Any) -> dict[str, Any]:
    """Attributes by name: a mapping, or OTLP's list of keys with typed values."""
    if isinstance(value, Mapping):
        return {str(name): item for name, item in value.items()}
    return {
        str(pair["key"]): _typed(pair.get("value"))
        for pair in list_of(value)
        if isinstance(pair, Mapping) and "key" in pair
    }


def _typed(value: Any) -> Any:
    """An OTLP value without its type."""
    if not isinstance(value, Mapping):
        return value
    if "arrayValue" in value:
        return [_typed(item) for item in list_of(get(value["arrayValue"], "values"))]
    if "kvlistValue" in value:
        return attributes_of(get(value["kvlistValue"], "values"))
    kind = next((name for name in value if str(name).endswith(("Value", "_value"))), None)
    number: Any = value[kind] if kind else None
    return int(number) if kind in ("intValue", "int_value") and str(number).lstrip("-").isdigit() else number


def _moment(span: Mapping[str, Any]) -> str | None:
    """The start of a span, in ISO 8601."""
    names = ("startTimeUnixNano", "start_time_unix_nano", "start_time_ns", "start_time")
    start: Any = next((span[name] for name in names if name in span), None)
    if isinstance(start, str) and not start.isdigit():
        return start
    try:
        return datetime.fromtimestamp(int(start or 0) / 1e9, UTC).isoformat(timespec="seconds") if start else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _expected(record: Mapping[str, Any]) -> Any:
    """The right answer that people have attached to an MLflow trace."""
    assessments = get(record.get("info"), "assessments")
    for assessment in list_of(assessments if assessments is not None else parsed(record.get("assessments"))):
        value = get(get(assessment, "expectation"), "value") if isinstance(assessment, Mapping) else None
        if value is not None:
            return value
    return None


def _untranslated(attributes: Mapping[str, Any], events: list[Any]) -> Mapping[str, Any]:
    return attributes
