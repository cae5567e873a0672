"""The stage `gate`: on the sealed split each rung has to beat the one that stands, and the last to stand is registered.

Decides who challenges whom; when a challenger wins is decided in `components.evaluation.gate`.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from components.errors import RegistryError
from components.evaluation import Contender, decide
from components.records import Example, Message, Record, Rung, Verdict, read_record, write_record
from components.registry import Candidate, Check, register_champion
from components.scorers import JsonSchemaScorer
from components.stages.answers import MODEL, answer, score
from components.stages.evaluate import Evaluations, kept
from components.stages.run import Run
from components.stages.rungs import rung
from components.tracking import Tracker

REPRODUCED = 10  # completions that the stored copy of a champion must repeat
log = logging.getLogger(__name__)


class GateRecord(Record):
    """All verdicts in order, who stands at the end, and as which version it is registered (None: nobody stands)."""

    verdicts: tuple[Verdict, ...]
    champion: str | None
    version: int | None
    reproduced: int


def gate(run: Run, tracker: Tracker) -> None:
    """Climb, register the last to stand, and verify the registered copy."""
    sealed = run.examples("sealed")
    found = read_record(run.folder / "evaluation" / "evaluation.json", Evaluations)
    verdicts: list[Verdict] = []
    champion: Contender | None = None
    for name in found.contenders:
        challenger = contender(run, name, sealed)
        verdict = decide(run.gate, challenger, champion, run.seed)
        verdicts.append(verdict)
        champion = challenger if verdict.decision == "promoted" else champion
        for reason in verdict.reasons:
            log.info("%s: %s", verdict.decision, reason)
    costs = {one.name: one.cost.usd_per_1k_calls / 1000 for one in found.rungs}
    made = rung(run, champion.name) if champion else None
    version = register(run, made, verdicts, tracker, costs.get(made.name)) if made else None
    record = GateRecord(
        verdicts=tuple(verdicts),
        champion=champion.name if champion else None,
        version=version,
        reproduced=REPRODUCED if champion else 0,
    )
    write_record(run.folder / "gate" / "gate.json", record)
    tracker.artifact(run.folder / "gate" / "gate.json", "gate")


def contender(run: Run, name: str, sealed: Sequence[Example]) -> Contender:
    """A rung's scores on the sealed split, from the completions that were kept."""
    completions = kept(run, "sealed", name)
    schema = JsonSchemaScorer(run.workload.output)
    by_id = {completion.example_id: completion for completion in completions}
    valid = sum(schema.score(example, by_id[example.id]).passed for example in sealed)
    return Contender(name, score(run, sealed, completions), valid)


def register(
    run: Run, made: Rung, verdicts: Sequence[Verdict], tracker: Tracker, usd_per_call: float | None = None
) -> int:
    """Make a rung the registry's champion; its stored copy must repeat ten completions exactly."""
    if tracker.run_id is None:
        raise RegistryError("expected a run to register the champion with, found none")
    examples = run.examples("test")[:REPRODUCED]

    def generate(folder: Path, _: Sequence[Sequence[Message]]) -> list[str]:
        return [completion.text for completion in answer(run, made, examples, folder).completions]

    folder = run.rung_folder(made.name)
    folder = folder / MODEL if made.method in ("sft", "grpo") else folder
    asked = [[Message(role="user", content=value) for value in example.input.values()] for example in examples]
    expected = list(zip(asked, generate(folder, asked), strict=True))
    decisive = next(one for one in reversed(verdicts) if _winner(one) == made.name)
    candidate = Candidate(run.workload.name, made, folder, decisive, tracker.run_id, usd_per_call)
    champion = register_champion(candidate, Check(expected, generate))
    state = "registered" if champion.new else "was registered before"
    log.info("%s %s as %s; %s completions reproduced.", made.name, state, champion.uri, REPRODUCED)
    return champion.version


def _winner(verdict: Verdict) -> str:
    return verdict.challenger if verdict.decision == "promoted" else verdict.champion
