"""Files as the real client libraries write them: OpenTelemetry's SDK, Langfuse's and MLflow's."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Pair = tuple[str, str]  # what was asked, what was answered
SYSTEM = "Read the mail and answer as JSON."


def spans(pairs: Sequence[Pair]) -> list[Any]:
    """Spans of GenAI's semantic conventions, each call of a model inside one of an agent."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests")
    for asked, answered in pairs:
        with tracer.start_as_current_span(
            "invoke_agent helpdesk", attributes={"gen_ai.operation.name": "invoke_agent"}
        ):
            question = [{"role": "user", "parts": [{"type": "text", "content": asked}]}]
            answer = [{"role": "assistant", "parts": [{"type": "text", "content": answered}], "finish_reason": "stop"}]
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4.1-mini",
                "gen_ai.system_instructions": json.dumps([{"type": "text", "content": SYSTEM}]),
                "gen_ai.input.messages": json.dumps(question),
                "gen_ai.output.messages": json.dumps(answer),
                "gen_ai.usage.input_tokens": 12,
            }
            with tracer.start_as_current_span("chat gpt-4.1-mini", attributes=attributes):
                pass
    return list(memory.get_finished_spans())


def otlp(path: Path, pairs: Sequence[Pair]) -> Path:
    """The collector's file exporter: OTLP as JSON, an export a line."""
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    lines = [MessageToDict(encode_spans(spans([pair]))) for pair in pairs]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def console(path: Path, pairs: Sequence[Pair]) -> Path:
    """The SDK's console exporter: objects over several lines, one behind the other."""
    path.write_text("".join(span.to_json() + "\n" for span in spans(pairs)), encoding="utf-8")
    return path


def langfuse_spans(path: Path, pairs: Sequence[Pair]) -> Path:
    """What Langfuse's SDK sends: spans with its own attributes."""
    from langfuse import Langfuse
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory = InMemorySpanExporter()
    client = Langfuse(
        public_key=f"pk-lf-{path.stem}", secret_key="sk-lf-none", base_url="http://127.0.0.1:9",
        span_exporter=memory, tracer_provider=TracerProvider(),
    )  # fmt: skip
    for asked, answered in pairs:
        with client.start_as_current_observation(as_type="span", name="handle", input={"mail": asked}):
            messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]
            with client.start_as_current_observation(as_type="generation", name="classify", input=messages) as call:
                call.update(output={"role": "assistant", "content": answered})
    client.flush()
    path.write_text("".join(span.to_json(indent=None) + "\n" for span in memory.get_finished_spans()), encoding="utf-8")
    return path


def langfuse_items(path: Path, pairs: Sequence[Pair]) -> Path:
    """An export of a Langfuse dataset: items as its API's models write them."""
    from langfuse.api import DatasetItem

    items = [
        DatasetItem.model_validate({
            "id": f"item-{number}", "status": "ACTIVE", "input": {"question": asked},
            "expected_output": json.loads(answered) if answered.startswith("{") else answered,
            "metadata": None, "source_trace_id": None, "source_observation_id": None, "dataset_id": "d",
            "dataset_name": "mails", "created_at": "2026-05-01T10:00:00Z", "updated_at": "2026-05-01T10:00:00Z",
            "media_references": [],
        })
        for number, (asked, answered) in enumerate(pairs)
    ]  # fmt: skip
    path.write_text(json.dumps([json.loads(item.json()) for item in items]), encoding="utf-8")
    return path


def mlflow_traces(path: Path, pairs: Sequence[Pair], store: Path) -> Path:
    """Traces of MLflow, as `Trace.to_json` writes them, one a line."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{store}")
    mlflow.set_experiment("mails")

    @mlflow.trace(span_type="CHAT_MODEL")
    def answer(messages: list[dict[str, str]], known: str) -> dict[str, Any]:
        return {"choices": [{"message": {"role": "assistant", "content": known}}]}

    for asked, answered in pairs:
        answer([{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}], answered)
    mlflow.flush_trace_async_logging()
    traces = mlflow.search_traces(return_type="list")
    path.write_text("".join(trace.to_json() + "\n" for trace in traces), encoding="utf-8")
    return path
