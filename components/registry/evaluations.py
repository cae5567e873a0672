"""Evaluations row by row: each of a run's examples as a trace, with the scorers' verdicts as assessments.

Decides the form of a row in MLflow, so that MLflow can compare two runs example by example: a row's inputs are the
example's, whatever the rung's prompt. The caller decides which rows are shown.
"""

import base64
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.registry.redaction import redact, storable
from components.registry.store import connect, expecting, tracking_uri
from components.registry.traces import EXAMPLE_TAG, MOST_ID, PREVIEW_CHARACTERS, remove_traces, traces_that

RUN_TYPE = {"mlflow.runType": "genai_evaluate"}  # makes MLflow list a run among the evaluations
_PIECE = 100  # traces per call


@dataclass(frozen=True)
class Row:
    """An example, the answer and the reference; `verdicts` by scorer or part, with their `reasons`."""

    example_id: str
    inputs: Mapping[str, str]
    output: str
    expected: str
    tokens: tuple[int, int]
    latency_ms: float
    verdicts: Mapping[str, float | bool]
    reasons: Mapping[str, str] = field(default_factory=dict)


def store_rows(run_id: str, rows: Sequence[Row]) -> int:
    """Make these the rows of a run, and the run an evaluation; return the number of new rows.

    Rows that are stored already are kept; those of an earlier evaluation of the run are removed.

    Raises:
        RegistryError: The record of runs is unavailable, or refuses.
    """
    client = connect()
    with expecting(f"the evaluation of run {run_id} to be recorded"):
        experiment = str(client.get_run(run_id).info.experiment_id)
        by_id = {_trace_id(run_id, row): row for row in rows}
        of_run = traces_that(client, experiment, f"metadata.`mlflow.sourceRun` = '{run_id}'")
        stored = {trace.info.trace_id for trace in of_run}
        remove_traces(client, experiment, sorted(stored - by_id.keys()))
        new = {trace_id: row for trace_id, row in by_id.items() if trace_id not in stored}
        _write(experiment, run_id, new)
        for name, value in RUN_TYPE.items():
            client.set_tag(run_id, name, value)
    return len(new)


def _write(experiment: str, run_id: str, rows: Mapping[str, Row]) -> None:
    """Write traces, then their spans."""
    from mlflow.tracing.client import TracingClient

    client, now_ms = TracingClient(tracking_uri()), int(time.time() * 1000)
    for trace_id, row in rows.items():
        client.start_trace(_info(experiment, run_id, trace_id, row, now_ms))
    spans = [_span(trace_id, row, now_ms) for trace_id, row in rows.items()]
    for start in range(0, len(spans), _PIECE):
        client.log_spans(experiment, spans[start : start + _PIECE])


def _info(experiment: str, run_id: str, trace_id: str, row: Row, now_ms: int) -> Any:
    from mlflow.entities import TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.constant import TraceMetadataKey, TraceTagKey

    sent, written = row.tokens
    usage = {"input_tokens": sent, "output_tokens": written, "total_tokens": sent + written}
    return TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=now_ms,
        execution_duration=round(row.latency_ms),
        state=TraceState.OK,
        request_preview=redact(_json(row.inputs))[:PREVIEW_CHARACTERS],
        response_preview=redact(row.output)[:PREVIEW_CHARACTERS],
        client_request_id=storable(row.example_id[:MOST_ID]),
        trace_metadata={TraceMetadataKey.SOURCE_RUN: run_id, TraceMetadataKey.TOKEN_USAGE: json.dumps(usage)},
        tags={TraceTagKey.TRACE_NAME: "evaluation", EXAMPLE_TAG: storable(row.example_id)},
        assessments=_assessments(run_id, trace_id, row),
    )


def _assessments(run_id: str, trace_id: str, row: Row) -> list[Any]:
    """The scorers' verdicts, and the reference as the expectation."""
    from mlflow.entities import AssessmentSource, Expectation, Feedback
    from mlflow.tracing.constant import AssessmentMetadataKey

    shared: dict[str, Any] = {
        "source": AssessmentSource("CODE", "scorer"),
        "trace_id": trace_id,
        "span_id": trace_id[3:19],
        "metadata": {AssessmentMetadataKey.SOURCE_RUN_ID: run_id},
    }
    written: list[Any] = [
        Feedback(name, value, rationale=redact(row.reasons[name]) if row.reasons.get(name) else None, **shared)
        for name, value in row.verdicts.items()
    ]
    written.append(Expectation("expected_response", redact(row.expected), **shared))
    for assessment in written:
        assessment.assessment_id = f"a-{_digest(trace_id, assessment.name)[:32]}"
    return written


def _span(trace_id: str, row: Row, now_ms: int) -> Any:
    """A row's only span: the example's inputs and the answer."""
    from mlflow.entities import Span, SpanType
    from mlflow.tracing.constant import SpanAttributeKey

    digest = trace_id.removeprefix("tr-")
    attributes: dict[str, Any] = {
        SpanAttributeKey.REQUEST_ID: trace_id,
        SpanAttributeKey.SPAN_TYPE: SpanType.LLM,
        SpanAttributeKey.INPUTS: {name: redact(text) for name, text in row.inputs.items()},
        SpanAttributeKey.OUTPUTS: redact(row.output),
    }
    return Span.from_dict(
        {
            "trace_id": base64.b64encode(bytes.fromhex(digest)).decode(),
            "span_id": base64.b64encode(bytes.fromhex(digest[:16])).decode(),
            "parent_span_id": None,
            "name": "answer",
            "start_time_unix_nano": now_ms * 1_000_000,
            "end_time_unix_nano": now_ms * 1_000_000 + round(row.latency_ms * 1e6),
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {key: _json(value) for key, value in attributes.items()},
        }
    )


def _trace_id(run_id: str, row: Row) -> str:
    """An id from the row's content, so that a row is written only once."""
    return (
        f"tr-{_digest(run_id, row.example_id, _json(row.inputs), row.output, row.expected, _json(row.verdicts))[:32]}"
    )


def _json(value: Any) -> str:
    return json.dumps(dict(value) if isinstance(value, Mapping) else value, ensure_ascii=False)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
