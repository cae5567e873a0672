"""MLflow's translation of spans: the attributes of OpenTelemetry's conventions by MLflow's own names."""

import json
import logging
from collections.abc import Mapping
from typing import Any


def translated(attributes: Mapping[str, Any], events: list[Any]) -> Mapping[str, Any]:
    """A span's attributes, with `mlflow.spanInputs`, `mlflow.spanOutputs` and `mlflow.spanType` where one is known.

    Attributes of all conventions that MLflow reads are known: OpenTelemetry's GenAI, OpenInference, Traceloop, the
    Vercel AI SDK's, Langfuse's and others. Attributes that the translation cannot read come back as they are.
    """
    from mlflow.tracing.otel.translation import translate_span_when_storing

    logging.getLogger("mlflow.tracing").setLevel(logging.ERROR)
    span: Any = _Span(attributes, events)
    try:
        return translate_span_when_storing(span)["attributes"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return attributes  # damaged: numbers of thousands of digits, lists where mappings belong


class _Span:
    """As much of a span as the translation reads: its attributes as MLflow stores them, as JSON, and its events."""

    def __init__(self, attributes: Mapping[str, Any], events: list[Any]) -> None:
        self._attributes, self._events = attributes, events

    def to_dict(self) -> dict[str, Any]:
        """The span as the translation asks for it."""
        kept = {name: _as_json(value) for name, value in self._attributes.items()}
        return {"attributes": kept, "events": self._events}


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
