"""Carries out the gate's decision: registers and verifies the winner, and moves the alias to it.

It is a step of the flow and no stage: never cached, safe to repeat. It changes the registry only if the decision
differs from the last one that was carried out, so that what a release or a person did since stays. It takes the alias
from no champion that the gate did not meet.
"""

import hashlib
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from components.data.masking import mask
from components.errors import RegistryError
from components.evaluation import changes, common, scores_in
from components.evaluation.sample import sample
from components.opening import Artifact, open_artifact
from components.records import Message, Observation, Rung, RungResult, write_jsonl, write_record
from components.registry import (
    REFERENCE,
    REFERENCE_FOLDER,
    Alias,
    Candidate,
    Check,
    register_prompt,
    register_winner,
    registered_if_any,
)
from components.stages.answers import answered, answers_folder, completions_of, judged_of, opened_rung
from components.stages.card import FOLDER as CARD_FOLDER
from components.stages.card import card, signature, write_card
from components.stages.climb import winner
from components.stages.evaluate import evaluated, incumbent
from components.stages.gate import GateRecord, decided, gate_file
from components.stages.published import Published, published, published_file
from components.stages.run import Run, digest
from components.stages.standing import forget, is_expected, remember_winner, standing_of
from components.tracking import Tracker

REPRODUCED = 10  # completions that the stored copy of a champion must repeat
SHOTS_TAG = "gradus.shots"
TOLD = 20  # most examples that are named of those that a prompt fixed or broke
log = logging.getLogger(__name__)


def is_published(run: Run) -> bool:
    """Whether the gate's latest decision was carried out."""
    last = published(run)
    if last is None or not gate_file(run).is_file():
        return False
    return last.decision in (_decision(run), _of_earlier_versions(gate_file(run)))


def publish(run: Run, tracker: Tracker, alias: Alias = "champion") -> Published:
    """Carry out the gate's decision; registers prompts too, the best as `best`, the trained models' as `trained`.

    Raises:
        RegistryError: The gate met another champion than the one that stands, the stored copy answers differently from
        the original, or the registry refuses.
    """
    record, asked = decided(run), standing_of(run).question
    publish_prompts(run)
    remember_winner(run, asked, "" if record.champion is None else answered(run, record.champion).digest)
    done = Published(decision=_decision(run), champion=record.champion, version=record.version, question=asked)
    if record.champion is not None:
        made = run.rung(record.champion)
        given: Alias = alias if record.replaced is not None else "champion"
        if given == "champion":
            _refuse_unmet(run, made)
        candidate = _candidate(run, made, record, tracker)
        # Before it is registered: what is killed in between is registered again by another run, or not at all.
        write_jsonl(run.folder / "reference" / REFERENCE, reference(run, made))
        tracker.artifact(run.folder / "reference" / REFERENCE, REFERENCE_FOLDER)
        keep_card(run, made, tracker)
        version = _register(run, candidate, given)
        done = done.model_copy(update={"version": version, "alias": given, "reproduced": REPRODUCED})
    write_record(published_file(run), done)
    return done


def keep_card(run: Run, made: Rung, tracker: Tracker) -> None:
    """Store a version's card, signature, example and requirements with the run that registers it."""
    if (result := _result(run, made)) is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        write_card(run, made, result, opened_columns(run, made), Path(folder))
        tracker.artifact(Path(folder), CARD_FOLDER)


def reference(run: Run, made: Rung) -> list[Observation]:
    """A rung's answers to the splits that it never saw, in the form in which the watch sees production."""
    columns = opened_columns(run, made)
    observed: list[Observation] = []
    for split in ("test", "sealed"):
        asked = {example.id: example for example in run.asked(split)}
        judged = {judgement.example_id: judgement for judgement in judged_of(run, split, made.name)}
        for answer in completions_of(run, split, made.name):
            judgement = judged[answer.example_id]
            observed.append(
                Observation(
                    input={column: mask(asked[answer.example_id].input[column]) for column in columns},
                    text=mask(answer.text),
                    output_tokens=answer.usage.output_tokens,
                    valid=judgement.valid,
                    confidence=answer.confidence,
                    score=None if judgement.score is None else float(judgement.score.passed),
                    customer=asked[answer.example_id].group,
                )
            )
    return observed


def opened_columns(run: Run, made: Rung) -> tuple[str, ...]:
    """The input columns that a rung reads; a server needs no others."""
    if made.makes == "classifier":
        return run.columns
    return run.prompt_of(made).placeholders


def publish_prompts(run: Run) -> None:
    """Register the prompts of the run's rungs, the best as `best`, and the trained models' as `trained`.

    Each has its rung's name, and tags with what it fixed and broke on test against the prompt that it challenged.
    """
    best = incumbent(run)
    for made in run.made.values():
        if made.makes == "prompt":
            prompt = replace(run.prompt_of(made), name=made.name)
            tags = {**changed_sides(run, made), **({SHOTS_TAG: str(prompt.shots)} if prompt.shots else {})}
            register_prompt(run.workload.name, prompt, ("best",) if made.name == best else (), tags)
    register_prompt(run.workload.name, run.trained_prompt, ("trained",))


def changed_sides(run: Run, made: Rung) -> dict[str, str]:
    """Which test examples a rung fixed and broke against the one that it is compared with, as tags of its prompt.

    Empty if it is compared with none, or if either has not answered yet.
    """
    other = run.resolved(made.compared_with)
    if other is None or not all((answers_folder(run, name) / "answered.json").is_file() for name in (made.name, other)):
        return {}
    before, now = (scores_in(judged_of(run, "test", name)) for name in (other, made.name))
    moved = changes(*common(before, now))
    return {
        "gradus.compared_with": other,
        "gradus.fixed": _counted(moved.fixed),
        "gradus.broken": _counted(moved.broken),
    }


def _counted(names: Sequence[str]) -> str:
    """The number of names, and the first of them."""
    return f"{len(names)}: {', '.join(names[:TOLD])}" if names else "0"


def _candidate(run: Run, made: Rung, record: GateRecord, tracker: Tracker) -> Candidate:
    """What to register: a rung's files, the last verdict that it won, and the cost of one of its answers."""
    if tracker.run_id is None:
        raise RegistryError("expected a run to register the champion with, found none")
    decisive = next(verdict for verdict in reversed(record.verdicts) if winner(verdict) == made.name)
    result = _result(run, made)
    return Candidate(
        run.workload.name, made, run.artifact(made).folder, decisive, tracker.run_id,
        usd_per_call=result.cost.usd_per_1k_calls / 1000 if result else None,
        card=card(run, made, result) if result else "",
        signature=json.dumps(signature(run, opened_columns(run, made)), ensure_ascii=False),
    )  # fmt: skip


def _result(run: Run, made: Rung) -> RungResult | None:
    """A rung's figures on test."""
    return next((result for result in evaluated(run).rungs if result.name == made.name), None)


def _register(run: Run, candidate: Candidate, alias: Alias) -> int:
    """Register a rung under an alias; its stored copy must repeat `REPRODUCED` completions exactly."""
    made, examples = candidate.rung, sample(run.examples("test"), REPRODUCED, run.seed)

    def generate(folder: Path, _: Sequence[Sequence[Message]]) -> list[str]:
        opened = open_artifact(Artifact(made.makes, folder, made.prompt), run.workload, run.profile, run.columns)
        return [completion.given for completion in opened.answer(examples, run.seed).completions]

    asked = [opened_rung(run, made).messages(example) for example in examples]
    expected = list(zip(asked, generate(candidate.folder, asked), strict=True))
    champion = register_winner(candidate, Check(expected, generate), alias)
    state = "registered" if champion.new else "was registered before"
    log.info("%s %s as %s, the %s; %s completions reproduced.", made.name, state, champion.uri, alias, REPRODUCED)
    return champion.version


def _refuse_unmet(run: Run, made: Rung) -> None:
    """Refuse to take the alias from a champion that the winner did not meet; the next climb lets it meet that one.

    Raises:
        RegistryError: There is such a champion: a release or a person moved the alias since the gate was asked.
    """
    champion, standing = registered_if_any(run.workload.name, "champion"), standing_of(run)
    is_winner = champion is not None and champion.digest == answered(run, made.name).digest
    if is_winner or is_expected(run, standing, champion):
        return
    forget(run, standing.question)
    found = champion.label if champion else "none"
    raise RegistryError(
        f"expected the champion of {run.workload.name} to be the one that {made.name} met at the gate, "
        f"{standing.name or 'none'}, found {found}: climb again (gradus run), so that it meets today's"
    )


def _decision(run: Run) -> str:
    """A hash of what was decided: on which question who stands, with which files, in whose place.

    The day and what answers cost and how long they took are no part of it.
    """
    record = decided(run)
    files = "" if record.champion is None else answered(run, record.champion).digest
    return digest(standing_of(run).question, *map(str, (record.champion, record.version, record.replaced)), files)


def _of_earlier_versions(path: Path) -> str:
    """The hash by which earlier versions knew a decision: of all bytes of the gate's record."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
