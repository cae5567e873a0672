"""MLflow's translation of spans: attributes of OpenTelemetry conventions under MLflow's own names."""

import json
import logging
from collections.abc import Mapping
from typing import Any


def translated(attributes: Mapping[str, Any], events: list[Any]) -> Mapping[str, Any]:
    """A span's attributes, with `mlflow.spanInputs`, `mlflow.spanOutputs` and `mlflow.spanType` if known.

    Covers all conventions that MLflow reads: OpenTelemetry's GenAI, OpenInference, Traceloop, the Vercel AI SDK's,
    Langfuse's and others. Attributes that the translation cannot read are returned as they are.
    """
    from mlflow.tracing.otel.translation import translate_span_when_storing

    logging.getLogger("mlflow.tracing").setLevel(logging.ERROR)
    span: Any = _Span(attributes, events)
    try:
        return translate_span_when_storing(span)["attributes"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return attributes  # damaged: numbers with thousands of digits, lists in place of mappings


class _Span:
    """The part of a span that the translation reads: its attributes as MLflow stores them, in JSON, and its events."""

    def __init__(self, attributes: Mapping[str, Any], events: list[Any]) -> None:
        self._attributes, self._events = attributes, events

    def to_dict(self) -> dict[str, Any]:
        """The span in the form that the translation reads."""
        attributes = {name: _as_json(value) for name, value in self._attributes.items()}
        return {"attributes": attributes, "events": self._events}


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
