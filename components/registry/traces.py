"""Production traces in MLflow, and their assessments: what people and scorers said about an answer.

Decides the form of a trace and an assessment. Their ids derive from those of our records, so that rewriting one changes
nothing. MLflow's own tracing writes in the background and drops traces if the server is unavailable; here the caller
gets an error and can retry. The caller decides which traces are worth keeping.
"""

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from components.records import Feedback, Scored, Trace, production_record
from components.registry.redaction import storable
from components.registry.runs import experiment_id
from components.registry.store import connect, expecting, tracking_uri

MOST_LOOKED_UP = 200  # traces per request
PAGE, _PIECE = 500, 100  # traces of a search, and trace ids of a removal
EXAMPLE_TAG = "gradus.example"  # the example that a row of an evaluation shows
MOST_ID = 50  # characters of a caller's id that MLflow keeps; PostgreSQL refuses more
PREVIEW_CHARACTERS = 1_000  # what MLflow's list of traces shows
SOURCES = {"scorer": "CODE", "feedback": "HUMAN", "judge": "LLM_JUDGE"}


def store_traces(segment: str, lines: list[str]) -> None:
    """Write a spool's segment: traces into their workload's experiment, then their assessments.

    Raises:
        DataError: A line is not a record.
        RegistryError: The record of runs is unavailable, or refuses.
    """
    records = [production_record(line) for line in lines]
    traces = [record for record in records if isinstance(record, Trace)]
    client = connect()
    with expecting(f"traces to be recorded (segment {segment})"):
        for workload in {trace.workload for trace in traces}:
            _write(experiment_id(client, workload), [trace for trace in traces if trace.workload == workload])
    assess([record for record in records if not isinstance(record, Trace)])


def traces_that(client: Any, experiment: str, wanted: str) -> Iterator[Any]:
    """All traces of an experiment that MLflow's filter `wanted` selects, without their spans."""
    token: str | None = None
    while True:
        page = client.search_traces(
            locations=[experiment], filter_string=wanted, max_results=PAGE, page_token=token, include_spans=False
        )
        yield from page
        token = page.token
        if not token:
            return


def remove_traces(client: Any, experiment: str, trace_ids: Sequence[str]) -> int:
    """Remove traces by MLflow's ids, with their assessments; return how many there were."""
    pieces = [list(trace_ids[start : start + _PIECE]) for start in range(0, len(trace_ids), _PIECE)]
    return sum(client.delete_traces(experiment, trace_ids=piece) for piece in pieces)


def assess(records: Sequence[Feedback | Scored]) -> int:
    """Write assessments of recorded traces, unless they are there already; return the number written.

    Raises:
        RegistryError: The record of runs is unavailable, or refuses.
    """
    connect()
    client, written = _tracing(), 0
    for start in range(0, len(records), MOST_LOOKED_UP):
        piece = records[start : start + MOST_LOOKED_UP]
        with expecting("assessments to be recorded"):
            infos = client.store.batch_get_trace_infos(list({mlflow_trace_id(record.trace_id) for record in piece}))
            there = {info.trace_id: {assessed.assessment_id for assessed in info.assessments} for info in infos}
            for assessment in itertools.chain.from_iterable(map(_assessments, piece)):
                assessed = there.get(assessment.trace_id)
                if assessed is not None and assessment.assessment_id not in assessed:
                    client.log_assessment(assessment.trace_id, assessment)
                    assessed.add(assessment.assessment_id)
                    written += 1
    return written


def mlflow_trace_id(name: str) -> str:
    """MLflow's id for one of our traces."""
    return f"tr-{_digest('trace', name)[:32]}"


def _tracing() -> Any:
    """MLflow's tracing client, whose calls raise."""
    from mlflow.tracing.client import TracingClient

    return TracingClient(tracking_uri())


def _write(experiment: str, traces: Sequence[Trace]) -> None:
    """Write traces and their spans. An existing trace keeps its data; a span is replaced."""
    client = _tracing()
    for trace in traces:
        client.start_trace(_info(experiment, trace))
    client.log_spans(experiment, [_span(trace) for trace in traces])


def _info(experiment: str, trace: Trace) -> Any:
    """The metadata that MLflow's list of traces shows and searches."""
    from mlflow.entities import TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.constant import TraceMetadataKey, TraceTagKey

    start_ns, end_ns = _lasted(trace)
    metadata = {TraceMetadataKey.TOKEN_USAGE: json.dumps(_usage(trace))}
    if trace.cost_usd is not None:
        metadata[TraceMetadataKey.COST] = json.dumps({"total_cost": trace.cost_usd})
    return TraceInfo(
        trace_id=mlflow_trace_id(trace.id),
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=start_ns // 1_000_000,
        execution_duration=(end_ns - start_ns) // 1_000_000,
        state=TraceState.OK,
        request_preview=storable(trace.messages[-1].content[:PREVIEW_CHARACTERS]),
        response_preview=storable(trace.text[:PREVIEW_CHARACTERS]),
        client_request_id=storable(trace.id[:MOST_ID]),
        trace_metadata=metadata,
        tags={
            TraceTagKey.TRACE_NAME: trace.workload,
            **{key: storable(str(value)) for key, value in _facts(trace).items()},
        },
    )


def _span(trace: Trace) -> Any:
    """The trace's only span: the model's call, in the form that MLflow's pages show as a conversation."""
    from mlflow.entities import Span, SpanType
    from mlflow.tracing.constant import SpanAttributeKey

    start_ns, end_ns = _lasted(trace)
    digest = _digest("trace", trace.id)
    answer = {"message": trace.reply.openai, "finish_reason": trace.finish_reason}
    attributes: dict[str, Any] = {
        SpanAttributeKey.REQUEST_ID: mlflow_trace_id(trace.id),
        SpanAttributeKey.SPAN_TYPE: SpanType.CHAT_MODEL,
        SpanAttributeKey.INPUTS: {"messages": [message.openai for message in trace.messages]},
        SpanAttributeKey.OUTPUTS: {"choices": [answer]},
        SpanAttributeKey.MESSAGE_FORMAT: "openai",
        SpanAttributeKey.CHAT_USAGE: _usage(trace),
        SpanAttributeKey.MODEL: f"{trace.workload}/{trace.version}",
        **_facts(trace),
    }
    if trace.tools:
        attributes[SpanAttributeKey.CHAT_TOOLS] = [tool.openai for tool in trace.tools]
    if trace.cost_usd is not None:
        attributes[SpanAttributeKey.LLM_COST] = {"total_cost": trace.cost_usd}
    return Span.from_dict(
        {
            "trace_id": base64.b64encode(bytes.fromhex(digest[:32])).decode(),
            "span_id": base64.b64encode(bytes.fromhex(digest[32:48])).decode(),
            "parent_span_id": None,
            "name": trace.workload,
            "start_time_unix_nano": start_ns,
            "end_time_unix_nano": end_ns,
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items()},
        }
    )


def _facts(trace: Trace) -> dict[str, str | int | float | bool]:
    """Further facts about an answer, by searchable names."""
    facts = {
        "version": trace.version, "method": trace.method, "route": trace.route, "returned": trace.returned,
        "valid": trace.valid, "finish_reason": trace.finish_reason, "latency_ms": trace.latency_ms,
        "confidence": trace.confidence, "cost_usd": trace.cost_usd,
    }  # fmt: skip
    return {f"gradus.{name}": value for name, value in facts.items() if value is not None}


def _assessments(record: Feedback | Scored) -> list[Any]:
    """A record as MLflow's assessments: a person's score and corrected answer are two."""
    from mlflow.entities import AssessmentSource, Expectation
    from mlflow.entities import Feedback as Judgement

    told_by = "feedback" if isinstance(record, Feedback) else record.source
    shared: dict[str, Any] = {
        "source": AssessmentSource(SOURCES[told_by], told_by),
        "trace_id": mlflow_trace_id(record.trace_id),
        "create_time_ms": int(record.at * 1000),
    }
    assessments: list[Any] = []
    if isinstance(record, Scored):
        passed = {"passed": str(record.passed)}
        reason = storable(record.reason) or None
        assessments.append(Judgement("score", record.value, rationale=reason, metadata=passed, **shared))
    if isinstance(record, Feedback) and record.score is not None:
        assessments.append(Judgement("feedback", record.score, **shared))
    if isinstance(record, Feedback) and record.corrected is not None:
        assessments.append(Expectation("expected_response", record.corrected, **shared))
    for assessment in assessments:
        assessment.assessment_id = f"a-{_digest(assessment.name, told_by, record.trace_id, str(record.at))[:32]}"
    return assessments


def _lasted(trace: Trace) -> tuple[int, int]:
    """When the model began and ended, in nanoseconds; a trace has its end, to the millisecond, and its latency."""
    end_ns = round(trace.at * 1e3) * 1_000_000
    return end_ns - int(trace.latency_ms * 1e6), end_ns


def _usage(trace: Trace) -> dict[str, int]:
    usage = trace.usage
    total = usage.input_tokens + usage.output_tokens
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "total_tokens": total}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
