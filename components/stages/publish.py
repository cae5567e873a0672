"""What follows from a gate's decision: the winner is registered and verified, and the alias points to it.

A step of the flow and no stage: never cached, safe to repeat. It changes the registry where the decision is another
than the last one that it carried out, and nothing otherwise: what a release or a person did since stays.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from components.data.masking import mask
from components.errors import RegistryError
from components.evaluation.sample import sample
from components.opening import Artifact, open_artifact
from components.records import Message, Observation, Record, Rung, read_record, write_jsonl, write_record
from components.registry import (
    REFERENCE,
    REFERENCE_FOLDER,
    Alias,
    Candidate,
    Check,
    register_prompt,
    register_winner,
)
from components.stages.answers import completions_of, judged_of, opened_rung
from components.stages.climb import winner
from components.stages.evaluate import evaluated, incumbent
from components.stages.gate import GateRecord, decided, gate_file
from components.stages.run import Run
from components.tracking import Tracker

REPRODUCED = 10  # completions that the stored copy of a champion must repeat
log = logging.getLogger(__name__)


class Published(Record):
    """What was made of a decision (`decision` is a hash of it): which version has which alias.

    `alias` is None where the champion of an earlier climb stayed, `version` where nobody stands.
    """

    decision: str
    champion: str | None
    version: int | None
    alias: Alias | None = None
    reproduced: int = 0


def published_file(run: Run) -> Path:
    """Where the last publication of a run is written down."""
    return run.folder / "published.json"


def published(run: Run) -> Published | None:
    """The last publication of a run, None where there was none."""
    path = published_file(run)
    return read_record(path, Published) if path.is_file() else None


def is_published(run: Run) -> bool:
    """Whether the gate's decision was carried out."""
    last = published(run)
    return last is not None and gate_file(run).is_file() and last.decision == _digest(gate_file(run))


def publish(run: Run, tracker: Tracker, alias: Alias = "champion") -> Published:
    """Carry out the gate's decision; prompts are registered too, the best as `best`, that of models as `trained`.

    Raises:
        RegistryError: The stored copy answers otherwise than the original, or the registry refuses.
    """
    record = decided(run)
    publish_prompts(run)
    done = Published(decision=_digest(gate_file(run)), champion=record.champion, version=record.version)
    if record.champion is not None:
        made = run.rung(record.champion)
        given: Alias = alias if record.replaced is not None else "champion"
        version = _register(run, _candidate(run, made, record, tracker), given)
        write_jsonl(run.folder / "reference" / REFERENCE, reference(run, made))
        tracker.artifact(run.folder / "reference" / REFERENCE, REFERENCE_FOLDER)
        done = done.model_copy(update={"version": version, "alias": given, "reproduced": REPRODUCED})
    write_record(published_file(run), done)
    return done


def reference(run: Run, made: Rung) -> list[Observation]:
    """What a rung answered on the splits that it never saw, as the watch will see its answers in production."""
    columns = opened_columns(run, made)
    observed: list[Observation] = []
    for split in ("test", "sealed"):
        asked = {example.id: example for example in run.examples(split)}
        judged = {one.example_id: one for one in judged_of(run, split, made.name)}
        for answer in completions_of(run, split, made.name):
            worth = judged[answer.example_id]
            observed.append(
                Observation(
                    input={column: mask(asked[answer.example_id].input[column]) for column in columns},
                    text=mask(answer.text),
                    output_tokens=answer.usage.output_tokens,
                    valid=worth.valid,
                    confidence=answer.confidence,
                    score=None if worth.score is None else float(worth.score.passed),
                )
            )
    return observed


def opened_columns(run: Run, made: Rung) -> tuple[str, ...]:
    """The input columns that a rung reads: a server is told no others."""
    if made.makes == "classifier":
        return run.columns
    return tuple(dict.fromkeys(run.prompt_of(made).placeholders))


def publish_prompts(run: Run) -> None:
    """Register the prompts of the run's rungs, the best as `best`, and that of models as `trained`."""
    best = incumbent(run)
    for made in run.made.values():
        if made.makes == "prompt":
            register_prompt(run.workload.name, run.prompt_of(made), ("best",) if made.name == best else ())
    register_prompt(run.workload.name, run.trained_prompt, ("trained",))


def _candidate(run: Run, made: Rung, record: GateRecord, tracker: Tracker) -> Candidate:
    """What is registered: a rung's files, the last verdict that it won, and what one of its answers costs."""
    if tracker.run_id is None:
        raise RegistryError("expected a run to register the champion with, found none")
    decisive = next(one for one in reversed(record.verdicts) if winner(one) == made.name)
    cost = next((one.cost.usd_per_1k_calls / 1000 for one in evaluated(run).rungs if one.name == made.name), None)
    return Candidate(run.workload.name, made, run.artifact(made).folder, decisive, tracker.run_id, cost)


def _register(run: Run, candidate: Candidate, alias: Alias) -> int:
    """Register a rung under an alias; its stored copy must repeat ten completions exactly."""
    made, examples = candidate.rung, sample(run.examples("test"), REPRODUCED, run.seed)

    def generate(folder: Path, _: Sequence[Sequence[Message]]) -> list[str]:
        opened = open_artifact(Artifact(made.makes, folder, made.prompt), run.workload, run.profile, run.columns)
        return [completion.text for completion in opened.answer(examples, run.seed).completions]

    asked = [opened_rung(run, made).messages(example) for example in examples]
    expected = list(zip(asked, generate(candidate.folder, asked), strict=True))
    champion = register_winner(candidate, Check(expected, generate), alias)
    state = "registered" if champion.new else "was registered before"
    log.info("%s %s as %s, the %s; %s completions reproduced.", made.name, state, champion.uri, alias, REPRODUCED)
    return champion.version


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
