"""The stage `certify`: the workload's scorer on trial, before RL is rewarded by it.

Decides what it is tried on: people's labels where data/<workload>/labels.jsonl has some; otherwise dev, filled up from
train where it is small, with the answers of the rungs that are there. The scorer of an agent is tried on tries.
"""

import logging
import random
from collections.abc import Sequence
from itertools import takewhile

from components.evaluation.certificate import Certificate
from components.evaluation.certify import Judge, Trial
from components.evaluation.certify import certify as tried
from components.evaluation.certify_tries import TryTrial, certify_tries
from components.evaluation.labelled import Label, Labelled, Source, built, of_people
from components.records import Example, read_jsonl, write_record
from components.scorers import Outcome, Pair, build, score_all
from components.stages.answers import opened_rung
from components.stages.certified import certificate_file, permit, permit_file, verdict
from components.stages.run import Run
from components.tasks import can_be_tried
from components.tracking import Tracker

LABELS = "labels.jsonl"
log = logging.getLogger(__name__)


def certify(run: Run, tracker: Tracker) -> None:
    """The scorer's error rates, agreement, sensitivity and exploits, and whether they let RL start."""
    found = certificate(run)
    write_record(certificate_file(run), found)
    write_record(permit_file(run), permit(run, found))
    tracker.artifact(certificate_file(run).parent, "certificate")
    tracker.params({"certificate.passed": found.passed, "certificate.override": found.override or ""})
    tracker.metrics({f"certify/{name}": value for name, value in _numbers(found).items()})
    for reason in found.reasons:
        log.warning("Below the floor: %s.", reason)
    log.info("The certificate of %s: %s.", run.workload.name, verdict(found))


def certificate(run: Run) -> Certificate:
    """Try the workload's scorer."""
    rng, dev, train = random.Random(run.seed), run.examples("dev"), run.examples("train")
    if run.workload.agent is not None:
        train = [one for one in train if can_be_tried(one)]
    examples = rng.sample(dev, min(len(dev), run.certificate.examples))
    examples += rng.sample(train, min(len(train), run.certificate.examples - len(examples)))  # where dev is small
    if run.workload.agent is not None:
        asked = run.trained_prompt.messages
        trial = TryTrial(run.workload.name, run.workload.agent, examples, asked, run.certificate.probes)
        return certify_tries(trial, _judge(run), run.certificate)
    sample, source = _sample(run, examples, rng)
    trial = Trial(
        workload=run.workload.name,
        schema=run.workload.output,
        sample=sample,
        source=source,
        examples=examples[: run.certificate.probes],
        asked=lambda example: run.trained_prompt.messages(example)[-1].content,
        answers=[example.demonstration for example in train],
        probes=run.workload.probes,
        seed=run.seed,
    )
    return tried(trial, _judge(run), run.certificate)


def _sample(run: Run, examples: Sequence[Example], rng: random.Random) -> tuple[list[Labelled], Source]:
    """People's labels where there are some; otherwise answers made from dev, and those of rungs that are there."""
    path = run.data_source / LABELS
    if path.is_file():
        return of_people(read_jsonl(path, Label), [*run.examples("dev"), *run.examples("train")]), "people"
    made = [run.rung(name) for name in tried_on(run) if run.is_made(name)]
    answers = {
        one.name: {
            answered.example_id: answered.text
            for answered in opened_rung(run, one).answer(examples, run.seed).completions
        }
        for one in made
    }
    return built(examples, answers, run.workload.output, run.workload.probes.synonyms, rng), "built"


def tried_on(run: Run) -> list[str]:
    """The rungs whose answers the scorer is tried on: those that are no prompts, before the first that it teaches.

    None of an agent: whether a model's try is right, nobody knows but the scorer.
    """
    if run.workload.agent is not None:
        return []
    return [one.name for one in takewhile(lambda one: not one.rewarded, run.rungs) if one.makes != "prompt"]


def _judge(run: Run) -> Judge:
    """The scorer as it decides each time anew: a judge's cache would repeat what it once said."""
    params = run.workload.scorer
    if params.judge is not None:
        params = params.model_copy(update={"judge": params.judge.model_copy(update={"cache": None})})
    scorer = build(params, run.workload.output)

    def judge(pairs: Sequence[Pair]) -> list[Outcome]:
        return score_all(scorer, pairs)

    return judge


def _numbers(found: Certificate) -> dict[str, float]:
    """What the record is told of a certificate."""
    shares = {"false_positive": found.false_positive, "false_negative": found.false_negative}
    shares |= {f"indifferent/{kind}": one for kind, one in found.indifferent.items()}
    shares |= {f"sensitive/{field}": one for field, one in found.sensitive.items()}
    numbers = {name: one.value for name, one in shares.items() if one is not None}
    numbers |= {f"exploit/{name}": one.value for name, one in found.exploits.items()}
    numbers |= {name: value for name in ("kappa", "alpha") if (value := getattr(found, name)) is not None}
    return {**numbers, "failed": float(found.failed), "passed": float(found.passed)}
