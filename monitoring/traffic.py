"""Simulated traffic: tickets sent to a running server by the official client, and people's feedback on the answers.

Decides which ticket is sent when, and which answers get feedback; the workload's generator decides what a drift is. The
right answers are known because the tickets are simulated.
"""

import asyncio
import importlib
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from components.data.sources import generated_example
from components.errors import ConfigError, EngineError
from components.params import GeneratedSource, Workload
from components.records import Completion, Example
from components.scorers import Scorer, build
from monitoring.labelling import is_drawn

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KEY_VARIABLE = "OPENAI_API_KEY"


@dataclass(frozen=True)
class Plan:
    """`requests` tickets of a seed, with a drift from number `drift_at` on; `feedback_share` of them get feedback.

    So do all answers that the server draws for labelling, a share of `labelled`. Each ticket is another customer's.
    """

    requests: int
    drift: str
    drift_at: int
    feedback_share: float
    seed: int
    labelled: float = 0.0


@dataclass(frozen=True)
class Target:
    """A running server: its address, the model to ask for, and how many clients send requests at once.

    `columns` are the inputs that its champion's prompt takes; a classifier is given all.
    """

    url: str
    model: str
    columns: tuple[str, ...]
    clients: int
    timeout_s: float = 60.0


@dataclass(frozen=True)
class Reply:
    """The reply to a ticket: the answer's id and whether all of it was right, or the error.

    `at` is its time in seconds since 1970, UTC; `told` says whether the right answer was sent as feedback.
    """

    number: int
    at: float
    latency_ms: float
    id: str = ""
    right: bool = False
    told: bool = False
    error: str | None = None


def replay(workload: Workload, plan: Plan, target: Target) -> list[Reply]:
    """Send a plan's tickets to a server, and feedback with the right answers for a share; returns replies in order.

    A request that fails is not sent again. The server's key is read from OPENAI_API_KEY.

    Raises:
        ConfigError: The workload is not simulated, or has no such drift.
        EngineError: Nobody answers at the address, the key is refused, or no champion is ready.
    """
    examples, scorer = tickets(workload, plan), build(workload.scorer, workload.output)
    return asyncio.run(_replay(examples, scorer, plan, target))


def tickets(workload: Workload, plan: Plan) -> list[Example]:
    """The tickets of a plan, in the order in which they are sent.

    Raises:
        ConfigError: The workload is not simulated, an agent's, or has no such drift.
    """
    if workload.agent is not None:
        raise ConfigError(f"expected a workload that answers single messages, found an agent's ({workload.name})")
    source = workload.source
    module = (
        importlib.import_module(source.generator.partition(":")[0]) if isinstance(source, GeneratedSource) else None
    )
    if not hasattr(module, "drifted"):
        raise ConfigError(f"expected a workload whose generator has drifts, found {workload.name}")

    def drawn(drift: str) -> Iterator[Any]:
        return getattr(module, "drifted")(plan.requests, plan.seed, drift)  # noqa: B009 -- of no known type

    try:
        sent = chain(islice(drawn("none"), plan.drift_at), islice(drawn(plan.drift), plan.drift_at, None))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return [generated_example(workload, ticket) for ticket in sent]


async def _replay(examples: Sequence[Example], scorer: Scorer, plan: Plan, target: Target) -> list[Reply]:
    from openai import AsyncOpenAI

    key = os.environ.get(KEY_VARIABLE) or "none"
    async with AsyncOpenAI(base_url=target.url, api_key=key, max_retries=0, timeout=target.timeout_s) as client:
        desk = _Desk(client, target.model, await _columns(client, target), scorer, plan)
        waiting, replies = enumerate(examples), list[Reply]()
        with tqdm(total=len(examples), desc=f"simulate {plan.drift}", unit=" requests") as bar:

            async def ask_in_turn() -> None:
                for number, example in waiting:
                    replies.append(await desk.send(number, example))
                    bar.update()

            await asyncio.gather(*(ask_in_turn() for _ in range(target.clients)))
    return sorted(replies, key=lambda reply: reply.number)


async def _columns(client: "AsyncOpenAI", target: Target) -> tuple[str, ...]:
    """The inputs that the champion takes; empty for all."""
    from openai import OpenAIError

    try:
        served = await client.models.retrieve(target.model)
    except OpenAIError as error:
        raise EngineError(f"expected {target.model} to be served, found {error} ({target.url})") from error
    return tuple((served.model_extra or {}).get("inputs") or target.columns)


@dataclass(frozen=True)
class _Desk:
    """Sends tickets, checks the answers and gives feedback on some of them."""

    client: "AsyncOpenAI"
    model: str
    columns: tuple[str, ...]
    scorer: Scorer
    plan: Plan

    async def send(self, number: int, example: Example) -> Reply:
        """Send one ticket, and feedback if the plan says so."""
        from openai import OpenAIError

        started = time.perf_counter()
        try:
            answer = await self.client.chat.completions.create(
                model=self.model, messages=[{"role": "user", "content": self._content(example)}],
                user=f"{self.plan.seed}-{number}",
            )  # fmt: skip
            latency_ms = (time.perf_counter() - started) * 1e3
            right = self._right(example, answer.choices[0].message.content or "")
            tells = random.Random(f"{self.plan.seed}/feedback/{number}").random() < self.plan.feedback_share
            tells = tells or is_drawn(answer.id, self.plan.labelled)
            if tells:
                await self._tell(answer.id, example.reference, right)
        except OpenAIError as error:
            return Reply(number, time.time(), (time.perf_counter() - started) * 1e3, error=str(error))
        return Reply(number, time.time(), latency_ms, answer.id, right, tells)

    def _content(self, example: Example) -> str:
        """The ticket as message content: its text, or a JSON object of several inputs."""
        inputs = {name: example.input[name] for name in self.columns or example.input}
        return json.dumps(inputs, ensure_ascii=False) if len(inputs) > 1 else "".join(inputs.values())

    def _right(self, example: Example, text: str) -> bool:
        return self.scorer.score(example, Completion.of_text(example.id, text)).passed

    async def _tell(self, answer_id: str, corrected: str, right: bool) -> None:
        """Send whether the answer was right, and the right answer; partly right counts as wrong."""
        feedback = {"id": answer_id, "score": float(right), "corrected": corrected}
        await self.client.post("/feedback", body=feedback, cast_to=dict[str, str])


def summary(plan: Plan, replies: Sequence[Reply]) -> list[str]:
    """The results of a replay, in one line before the drift and one after it."""
    parts = {"before": replies[: plan.drift_at], "after": replies[plan.drift_at :]}
    if plan.drift == "none":
        parts = {"all": replies}
    lines = [_line(name, part) for name, part in parts.items() if part]
    if plan.drift != "none" and parts["after"]:
        began = datetime.fromtimestamp(parts["after"][0].at, UTC).isoformat(timespec="seconds")
        lines.append(f"drift   {plan.drift} from request {plan.drift_at} on, answered at {began}")
    return [*lines, f"told    the right answer of {sum(reply.told for reply in replies)}"]


def _line(name: str, replies: Sequence[Reply]) -> str:
    answered = [reply for reply in replies if reply.error is None]
    right = f"{sum(reply.right for reply in answered) / len(answered):.1%} right" if answered else "none right"
    failed = next((f", the first: {reply.error}" for reply in replies if reply.error is not None), "")
    return f"{name:7} {len(answered)} answers, {right}; {len(replies) - len(answered)} failures{failed}"
