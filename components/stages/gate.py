"""The stage `gate`: on the sealed split each rung has to beat the one that stands, and the last to stand is registered.

Decides what becomes of the winner; who challenges whom is decided in `components.stages.climb`.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from components.data.masking import mask
from components.errors import DataError, RegistryError
from components.evaluation import repeated
from components.params import GateParams
from components.records import (
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
    MORE_EXAMPLES,
    REFERENCE,
    REFERENCE_FOLDER,
    WINNER_ALIAS,
    Alias,
    Candidate,
    Check,
    register_winner,
)
from components.scorers import JsonSchemaScorer
from components.stages.answers import answer, model_of, score
from components.stages.climb import Climb, winner
from components.stages.evaluate import Evaluations, kept
from components.stages.run import Run
from components.stages.rungs import rung
from components.tracking import Tracker

REPRODUCED = 10  # completions that the stored copy of a champion must repeat
log = logging.getLogger(__name__)


class GateRecord(Record):
    """All verdicts in order, who stands at the end, and as which version it is registered (None: nobody stands).

    `alias` is what the version became; None where the champion of an earlier climb stayed. `params` are the settings
    that decided: with the numbers of each verdict they let it be made again.
    """

    verdicts: tuple[Verdict, ...]
    champion: str | None
    version: int | None
    reproduced: int
    alias: Alias | None = None
    params: GateParams | None = None


def gate(run: Run, tracker: Tracker) -> None:
    """Climb, let the last to stand challenge the registry's champion, register who wins and verify the stored copy."""
    found = read_record(run.folder / "evaluation" / "evaluation.json", Evaluations)
    climb = Climb(run, found)
    verdicts = climb.hold(tracker.run_id)
    name = climb.stands(verdicts)
    before = climb.before(name) if name else None
    record = GateRecord(verdicts=tuple(verdicts), champion=None, version=None, reproduced=0, params=run.gate)
    if name is None:
        _tell(run, tracker, record)
        return
    if before and verdicts[-1].decision == "kept":
        _tell(run, tracker, record.model_copy(update={"champion": verdicts[-1].champion, "version": before.number}))
        return
    made = rung(run, name)
    alias: Alias = "canary" if before and os.environ.get(WINNER_ALIAS) == "canary" else "champion"
    version = register(run, candidate(run, made, verdicts, found, tracker), alias)
    write_jsonl(run.folder / "gate" / REFERENCE, reference(run, made))
    tracker.artifact(run.folder / "gate" / REFERENCE, REFERENCE_FOLDER)
    won = {"champion": made.name, "version": version, "reproduced": REPRODUCED, "alias": alias}
    _tell(run, tracker, record.model_copy(update=won))


def replayed(record: GateRecord) -> list[tuple[Verdict, Verdict]]:
    """Each verdict of a record, and what its numbers lead to today under the settings that decided.

    Raises:
        DataError: The record was made before settings and numbers were kept.
    """
    if record.params is None:
        raise DataError("expected a record of the gate with its settings, found one of an earlier version")
    return [(verdict, repeated(record.params, verdict)) for verdict in record.verdicts]


def _tell(run: Run, tracker: Tracker, record: GateRecord) -> None:
    """Write the record, the verdicts as sentences, and their numbers."""
    for verdict in record.verdicts:
        for reason in verdict.reasons:
            log.info("%s: %s", verdict.decision, reason)
        if verdict.numbers and verdict.numbers.versus and verdict.alpha is not None:
            versus = verdict.numbers.versus
            found = {"delta": versus.delta, "p_value": versus.p_value, "alpha": verdict.alpha}
            tracker.metrics({f"gate/{key}/{verdict.challenger}": value for key, value in found.items()})
    last = record.verdicts[-1]
    tracker.metrics({MORE_EXAMPLES: float(last.more_examples), "gate/look": float(last.look)})
    write_record(run.folder / "gate" / "gate.json", record)
    tracker.artifact(run.folder / "gate" / "gate.json", "gate")


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
                score=float(scores[one.example_id].passed) if one.example_id in scores else None,
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


def candidate(run: Run, made: Rung, verdicts: Sequence[Verdict], evaluated: Evaluations, tracker: Tracker) -> Candidate:
    """What is registered: a rung's files, the last verdict that it won, and what one of its answers costs."""
    if tracker.run_id is None:
        raise RegistryError("expected a run to register the champion with, found none")
    decisive = next(one for one in reversed(verdicts) if winner(one) == made.name)
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
