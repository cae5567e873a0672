"""The stage `gate`: on the sealed split each rung has to beat the one that stands, and the last to stand is registered.

Decides who challenges whom; when a challenger wins is decided in `components.evaluation.gate`.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from components.data.masking import mask
from components.errors import RegistryError
from components.evaluation import Contender, decide
from components.records import (
    Completion,
    Example,
    Message,
    Observation,
    Record,
    Rung,
    Verdict,
    read_record,
    write_jsonl,
    write_record,
)
from components.registry import (
    REFERENCE,
    REFERENCE_FOLDER,
    WINNER_ALIAS,
    Alias,
    Candidate,
    Check,
    Version,
    register_winner,
    standing,
)
from components.scorers import JsonSchemaScorer
from components.stages.answers import answer, answer_registered, model_of, score
from components.stages.evaluate import Evaluations, kept
from components.stages.run import Run
from components.stages.rungs import rung
from components.tracking import Tracker

REPRODUCED = 10  # completions that the stored copy of a champion must repeat
log = logging.getLogger(__name__)


class GateRecord(Record):
    """All verdicts in order, who stands at the end, and as which version it is registered (None: nobody stands).

    `alias` is what the version became; None where the champion of an earlier climb stayed.
    """

    verdicts: tuple[Verdict, ...]
    champion: str | None
    version: int | None
    reproduced: int
    alias: Alias | None = None


def gate(run: Run, tracker: Tracker) -> None:
    """Climb, let the last to stand challenge the registry's champion, register who wins and verify the stored copy."""
    sealed = run.examples("sealed")
    found = read_record(run.folder / "evaluation" / "evaluation.json", Evaluations)
    verdicts: list[Verdict] = []
    champion: Contender | None = None
    for name in found.contenders:
        challenger = contender(run, name, sealed)
        verdict = decide(run.gate, challenger, champion, run.seed)
        verdicts.append(verdict)
        champion = challenger if verdict.decision == "promoted" else champion
    made = rung(run, champion.name) if champion else None
    before = standing(run.workload.name, model_of(run, made)) if made else None
    if champion and before:
        verdicts.append(decide(run.gate, champion, registered_contender(run, before, sealed), run.seed))
        if verdicts[-1].decision == "kept":
            _tell(run, tracker, GateRecord(
                verdicts=tuple(verdicts), champion=verdicts[-1].champion, version=before.number, reproduced=0
            ))  # fmt: skip
            return
    if made is None:
        _tell(run, tracker, GateRecord(verdicts=tuple(verdicts), champion=None, version=None, reproduced=0))
        return
    alias: Alias = "canary" if before and os.environ.get(WINNER_ALIAS) == "canary" else "champion"
    version = register(run, candidate(run, made, verdicts, found, tracker), alias)
    write_jsonl(run.folder / "gate" / REFERENCE, reference(run, made))
    tracker.artifact(run.folder / "gate" / REFERENCE, REFERENCE_FOLDER)
    _tell(run, tracker, GateRecord(
        verdicts=tuple(verdicts), champion=made.name, version=version, reproduced=REPRODUCED, alias=alias
    ))  # fmt: skip


def _tell(run: Run, tracker: Tracker, record: GateRecord) -> None:
    """Write the record, and the verdicts as sentences."""
    for verdict in record.verdicts:
        for reason in verdict.reasons:
            log.info("%s: %s", verdict.decision, reason)
    write_record(run.folder / "gate" / "gate.json", record)
    tracker.artifact(run.folder / "gate" / "gate.json", "gate")


def registered_contender(run: Run, version: Version, sealed: Sequence[Example]) -> Contender:
    """The champion of an earlier climb on today's sealed split, which it answers for the first time."""
    completions = answer_registered(run, version, sealed).completions
    write_jsonl(run.folder / "gate" / f"version_{version.number}.jsonl", completions)
    return _contender(run, f"version {version.number} ({version.method})", sealed, completions)


def reference(run: Run, made: Rung) -> list[Observation]:
    """What a rung answered on the splits that it never saw, as the watch will see its answers in production."""
    schema, columns = JsonSchemaScorer(run.workload.output), inputs_of(run, made)
    found: list[Observation] = []
    for split in ("test", "sealed"):
        examples, completions = run.examples(split), kept(run, split, made.name)
        scores = score(run, examples, completions)
        asked = {example.id: example for example in examples}
        found += [
            Observation(
                input={column: mask(asked[one.example_id].input[column]) for column in columns},
                text=mask(one.text),
                output_tokens=one.usage.output_tokens,
                valid=schema.score(asked[one.example_id], one).passed,
                confidence=one.confidence,
                score=float(scores[one.example_id].passed),
            )
            for one in completions
        ]
    return found


def inputs_of(run: Run, made: Rung) -> tuple[str, ...]:
    """The input columns that a rung reads: a server is told no others."""
    if made.method == "classical":
        return run.columns
    prompt = run.prompt(made.name) if made.method == "prompt" else run.trained_prompt
    return tuple(dict.fromkeys(prompt.placeholders))


def contender(run: Run, name: str, sealed: Sequence[Example]) -> Contender:
    """A rung's scores on the sealed split, from the completions that were kept."""
    return _contender(run, name, sealed, kept(run, "sealed", name))


def _contender(run: Run, name: str, sealed: Sequence[Example], completions: Sequence[Completion]) -> Contender:
    schema = JsonSchemaScorer(run.workload.output)
    by_id = {completion.example_id: completion for completion in completions}
    valid = sum(schema.score(example, by_id[example.id]).passed for example in sealed)
    return Contender(name, score(run, sealed, completions), valid)


def candidate(run: Run, made: Rung, verdicts: Sequence[Verdict], evaluated: Evaluations, tracker: Tracker) -> Candidate:
    """What is registered: a rung's files, the last verdict that it won, and what one of its answers costs."""
    if tracker.run_id is None:
        raise RegistryError("expected a run to register the champion with, found none")
    decisive = next(one for one in reversed(verdicts) if _winner(one) == made.name)
    cost = next((one.cost.usd_per_1k_calls / 1000 for one in evaluated.rungs if one.name == made.name), None)
    return Candidate(run.workload.name, made, model_of(run, made), decisive, tracker.run_id, cost)


def register(run: Run, found: Candidate, alias: Alias) -> int:
    """Register a rung under an alias; its stored copy must repeat ten completions exactly."""
    examples = run.examples("test")[:REPRODUCED]

    def generate(folder: Path, _: Sequence[Sequence[Message]]) -> list[str]:
        return [completion.text for completion in answer(run, found.rung, examples, folder).completions]

    asked = [[Message(role="user", content=value) for value in example.input.values()] for example in examples]
    expected = list(zip(asked, generate(found.folder, asked), strict=True))
    winner = register_winner(found, Check(expected, generate), alias)
    state = "registered" if winner.new else "was registered before"
    log.info("%s %s as %s, the %s; %s completions reproduced.", found.rung.name, state, winner.uri, alias, REPRODUCED)
    return winner.version


def _winner(verdict: Verdict) -> str:
    return verdict.challenger if verdict.decision == "promoted" else verdict.champion
