"""What is written down of production: a trace of every answer, and what people say of it later. Personal data masked.

A record is in the spool before its caller is answered; it reaches the store when that is possible.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.data.masking import mask
from components.records import Completion, Example, Feedback, Message, Trace
from components.scorers import JsonSchemaScorer
from components.serving.repeating import Repeated
from components.serving.routing import Answer
from components.serving.spool import Spool, Store

_NOBODY = Example(id="", input={}, demonstration="", reference="", group="")


class Journal:
    """The spool of one workload and the thread that empties it into a store."""

    def __init__(self, workload: str, schema: Mapping[str, Any], folder: Path, store: Store, every_s: float) -> None:
        """`schema` is the workload's output: whether an answer obeys it stands on its trace."""
        self._workload, self._schema = workload, JsonSchemaScorer(schema)
        self._spool = Spool(folder)
        self._drain = Repeated(lambda: self._spool.drain(store), every_s, lambda: "traces wait in the spool")

    def start(self) -> None:
        """Begin to empty the spool, what an earlier process left included."""
        self._drain.start()

    def close(self) -> None:
        """Empty it once more and finish."""
        self._drain.close()
        self._drain.once()
        self._spool.close()

    def valid(self, completion: Completion) -> bool:
        """Whether an answer obeys the workload's schema."""
        return self._schema.score(_NOBODY, completion).passed

    def answered(self, name: str, answer: Answer, *, returned: bool = True) -> None:
        """Write the traces of an answer; the first completion that the caller gets has the request's own name."""
        name, served = name if returned else f"{name}~{answer.route}", answer.served
        masked = tuple(Message(role=message.role, content=mask(message.content)) for message in answer.messages)
        inputs = {column: mask(value) for column, value in answer.input.items()}
        for index, one in enumerate(answer.completions):
            trace = Trace(
                id=f"{name}-{index}" if index else name,
                at=time.time(),
                workload=self._workload,
                version=served.version,
                method=served.method,
                input=inputs,
                messages=masked,
                text=mask(one.text),
                finish_reason=one.finish_reason,
                usage=one.usage,
                latency_ms=one.latency_ms,
                valid=self.valid(one),
                confidence=one.confidence,
                cost_usd=served.price(one.usage),
                route=answer.route,
                returned=returned,
            )
            self._spool.append(trace)

    def told(self, trace_id: str, score: float | None, corrected: str | None) -> None:
        """Write what became of an answer."""
        text = None if corrected is None else mask(corrected)
        self._spool.append(
            Feedback(trace_id=trace_id, at=time.time(), workload=self._workload, score=score, corrected=text)
        )
