"""Records production: a trace of every answer, and feedback on it, with personal data masked.

A record is in a spool before its caller is answered; it reaches its store when that is possible. The caller decides
which stores there are (the lake for everything, MLflow for a share).
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from components.data.masking import mask
from components.data.shares import falls_in
from components.engines.calling import ParsedTurn, parse_turn
from components.records import Completion, Feedback, Message, Production, Tool, Trace, request_id
from components.scorers import JsonSchemaScorer
from components.serving.owners import Owners
from components.serving.repeating import Repeated
from components.serving.routing import Answer
from components.serving.spool import Spool, Store
from components.serving.tools import call_id


@dataclass(frozen=True)
class Outlet:
    """A store, the share in [0, 1] of the requests that it gets, and the folder where records wait for it.

    It is offered the waiting records every `every_s` seconds.
    """

    folder: Path
    store: Store
    every_s: float
    share: float = 1.0


class Journal:
    """The spools of one workload, each with a thread that empties it; none waits for another."""

    def __init__(
        self, workload: str, schema: Mapping[str, Any], *outlets: Outlet, owners: Owners | None = None
    ) -> None:
        """`schema` is the workload's output: traces say whether an answer obeys it, and who asked."""
        self._owners = owners or Owners()
        self._workload, self.schema, self._obeys = workload, schema, JsonSchemaScorer(schema)
        self._spools = [(Spool(outlet.folder), outlet) for outlet in outlets]
        self._drains = [_emptied(spool, outlet) for spool, outlet in self._spools]

    @property
    def corrupt(self) -> int:
        """How many segments were set aside because they contain something that is not a record."""
        return sum(len(spool.corrupt) for spool, _ in self._spools)

    @property
    def dead(self) -> bool:
        """Whether a thread that empties a spool has ended without `close`."""
        return any(drain.dead for drain in self._drains)

    @property
    def folders(self) -> list[Path]:
        """The folders in which records wait."""
        return [outlet.folder for _, outlet in self._spools]

    @property
    def trouble(self) -> str:
        """Why traces cannot be written, so that no request can be answered; empty if they can."""
        return "; ".join(filter(None, (spool.health() for spool, _ in self._spools)))

    @property
    def waiting(self) -> int:
        """How many segments are not stored yet, including the open ones."""
        return sum(len(spool.waiting) for spool, _ in self._spools)

    def check(self) -> None:
        """Try again where traces could not be written.

        Raises:
            OSError: They still cannot.
        """
        for spool, _ in self._spools:
            spool.check()

    def start(self) -> None:
        """Start to empty the spools, including what an earlier process left."""
        for drain in self._drains:
            drain.start()

    def close(self) -> None:
        """Empty the spools once more and close them."""
        for drain, (spool, _) in zip(self._drains, self._spools, strict=True):
            if drain.close():
                drain.once()
            spool.close()

    def valid(self, completion: Completion) -> bool:
        """Whether an answer obeys the workload's schema."""
        return completion.error is None and self._obeys.allows(completion.text)

    def asked(self, name: str, caller: str, user: str | None = None) -> str:
        """Note a request, whose answers will be recorded under this name; returns the customer that it is for."""
        customer = self._owners.customer(caller, user)
        self._owners.asked(name, caller, customer)
        return customer

    def answered(self, name: str, answer: Answer, *, returned: bool = True) -> None:
        """Write a trace for each completion; the first one has the request's own name, a further one its number behind.

        One that the caller does not get has its route behind the name that the caller's has. A completion that says why
        there is no answer is evidence like an answer, and costs nothing.
        """
        asker, customer = self._owners.asker(name), self._owners.asked_for(name)
        route, served = "" if returned else f"~{answer.route}", answer.served
        masked = tuple(map(_masked, answer.messages))
        tools = tuple(_masked_tool(tool.model_dump_json()) for tool in answer.calls.tools) if answer.calls else ()
        inputs = {column: mask(value) for column, value in answer.input.items()}
        for index, completion in enumerate(answer.completions):
            said = _said(f"{name}{route}", index, completion, answer)
            trace = Trace(
                id=f"{name}-{index}{route}" if index else f"{name}{route}",
                at=time.time(),
                workload=self._workload,
                version=served.version,
                method=served.made_by,
                input=inputs,
                messages=masked,
                text=mask(completion.error or said.message.content),
                finish_reason=completion.finish_reason,
                usage=completion.usage,
                latency_ms=completion.latency_ms,
                valid=self.valid(completion) if answer.calls is None else completion.error is None and said.whole,
                confidence=completion.confidence,
                cost_usd=served.price(completion.usage) if completion.error is None else 0.0,
                route=answer.route,
                returned=returned,
                caller=asker,
                customer=customer,
                tools=tools,
                calls=_masked(said.message).tool_calls,
            )
            self._write(trace.id, trace)

    def told(self, trace_id: str, score: float | None, corrected: str | None, caller: str = "") -> None:
        """Record a caller's feedback on an answer.

        Raises:
            RequestError: The caller may not judge that answer, or has used up the day's feedback.
        """
        sender = self._owners.speaks(trace_id, caller)
        feedback = Feedback(
            trace_id=trace_id,
            at=time.time(),
            workload=self._workload,
            score=score,
            corrected=None if corrected is None else mask(corrected),
            sender=sender.name,
            reviewer=sender.reviewer,
        )
        self._write(trace_id, feedback)

    def _write(self, trace_id: str, record: Production) -> None:
        """Write a record for every store whose share includes its request; all routes of a request go together."""
        for spool, outlet in self._spools:
            if falls_in(outlet.share, "store", request_id(trace_id)):
                spool.append(record)


def _said(name: str, index: int, completion: Completion, answer: Answer) -> ParsedTurn:
    """A completion as a message: its text, or what is said and called in it."""
    if answer.calls is None:
        return ParsedTurn(Message(role="assistant", content=completion.text), whole=True)
    return parse_turn(completion.text, lambda number: call_id(name, index, number))


def _masked(message: Message) -> Message:
    """A message without personal data, also in its calls' arguments."""
    calls = tuple(call.model_copy(update={"arguments": mask(call.arguments)}) for call in message.tool_calls)
    return message.model_copy(update={"content": mask(message.content), "tool_calls": calls})


@lru_cache(maxsize=256)
def _masked_tool(tool: str) -> Tool:
    """A tool without personal data in its description or its schema."""
    known = Tool.model_validate_json(tool)
    parameters = json.loads(mask(json.dumps(known.parameters)))
    return known.model_copy(update={"description": mask(known.description), "parameters": parameters})


def _emptied(spool: Spool, outlet: Outlet) -> Repeated:
    """A thread that drains a spool into its store again and again."""
    return Repeated(lambda: spool.drain(outlet.store), outlet.every_s, lambda: f"traces wait in {outlet.folder}")
