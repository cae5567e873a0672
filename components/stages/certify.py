"""The stage `certify`: tests the workload's scorer, before RL is rewarded by it.

Decides what it is tested on: people's labels if data/<workload>/labels.jsonl exists; otherwise dev, filled up from
train if it is small, with the answers of the rungs made so far. An agent's scorer is tested on tries.
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
    """Write the certificate (error rates, agreement, sensitivity, exploits), and the permit for RL."""
    result = certificate(run)
    write_record(certificate_file(run), result)
    write_record(permit_file(run), permit(run, result))
    tracker.artifact(certificate_file(run).parent, "certificate")
    tracker.params({"certificate.passed": result.passed, "certificate.override": result.override or ""})
    tracker.metrics({f"certify/{name}": value for name, value in _numbers(result).items()})
    for reason in result.reasons:
        log.warning("Below the floor: %s.", reason)
    log.info("The certificate of %s: %s.", run.workload.name, verdict(result))


def certificate(run: Run) -> Certificate:
    """Test the workload's scorer."""
    rng, dev, train = random.Random(run.seed), run.examples("dev"), run.examples("train")
    if run.workload.agent is not None:
        train = [example for example in train if can_be_tried(example)]
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
    """People's labels if there are any; otherwise answers built from dev, and those of the rungs made so far."""
    path = run.data_source / LABELS
    if path.is_file():
        return of_people(read_jsonl(path, Label), [*run.examples("dev"), *run.examples("train")]), "people"
    made = [run.rung(name) for name in tried_on(run) if run.is_made(name)]
    answers = {
        rung.name: {
            answered.example_id: answered.text
            for answered in opened_rung(run, rung).answer(examples, run.seed).completions
        }
        for rung in made
    }
    return built(examples, answers, run.workload.output, run.workload.probes.synonyms, rng), "built"


def tried_on(run: Run) -> list[str]:
    """The rungs whose answers the scorer is tested on: all but prompts, before the first that it rewards.

    None for an agent: only the scorer itself knows whether a model's try is right.
    """
    if run.workload.agent is not None:
        return []
    return [rung.name for rung in takewhile(lambda rung: not rung.rewarded, run.rungs) if rung.makes != "prompt"]


def _judge(run: Run) -> Judge:
    """The scorer without a judge's cache, which would repeat earlier verdicts."""
    params = run.workload.scorer
    if params.judge is not None:
        params = params.model_copy(update={"judge": params.judge.model_copy(update={"cache": None})})
    scorer = build(params, run.workload.output, run.workload.agent)

    def judge(pairs: Sequence[Pair]) -> list[Outcome]:
        return score_all(scorer, pairs)

    return judge


def _numbers(certificate: Certificate) -> dict[str, float]:
    """A certificate's figures for the record."""
    shares = {"false_positive": certificate.false_positive, "false_negative": certificate.false_negative}
    shares |= {f"indifferent/{kind}": share for kind, share in certificate.indifferent.items()}
    shares |= {f"sensitive/{field}": share for field, share in certificate.sensitive.items()}
    numbers = {name: share.value for name, share in shares.items() if share is not None}
    numbers |= {f"exploit/{name}": share.value for name, share in certificate.exploits.items()}
    numbers |= {name: value for name in ("kappa", "alpha") if (value := getattr(certificate, name)) is not None}
    return {**numbers, "failed": float(certificate.failed), "passed": float(certificate.passed)}
