"""A run's evidence for the advice: reads what was measured, and tries what is cheap enough.

Decides which rung stands, how trial runs are trained and how a rung's cost is estimated.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from components.advice import AtHand, Feedback, Scoring, Second, Standing, Training, Trial, none_standing
from components.advice.measure import scoring
from components.data.prepare import Quarantined
from components.economics import SECONDS_PER_HOUR, Case, calls_per_hour
from components.evaluation.certificate import Certificate
from components.evaluation.label_audit import Audit
from components.evaluation.metrics import wilson
from components.evaluation.sample import sample
from components.ladder import PlannedRung
from components.records import (
    Completion,
    Example,
    Record,
    Rung,
    Score,
    read_jsonl,
    read_record,
    write_record,
)
from components.scorers import Failures, score_all
from components.stages.answers import opened_rung
from components.stages.at_hand import UPDATES, Speed, at_hand, drawn, draws_of, feedback_of, shortening
from components.stages.audit import audit_folder
from components.stages.certified import certificate_file
from components.stages.evaluate import incumbent, listed_tokens
from components.stages.run import STATE, Run, digest
from components.stages.rungs import job_of
from components.stages.scoring import scorer
from components.state import State, read_state
from components.tracking import NullTracker

FEW = 100  # answers; of fewer, as those that two people gave, a stray failure is no outage
log = logging.getLogger(__name__)


class _Watched(State):
    """The part of the watch's state that advice uses."""

    kinds: tuple[str, ...] = ()


class KeptTrial(Record):
    """The result of a trial training, kept so that asking for advice again does not repeat it."""

    answers: tuple[str, ...]
    seconds: float
    calls_per_hour: float


class RunBench:
    """A run of the pipeline, at any point of its climb."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._calls_per_hour: float | None = None

    @property
    def schema(self) -> Mapping[str, Any]:
        return self.run.workload.output

    def examples(self, split: Literal["train", "dev"]) -> Sequence[Example]:
        return self._train if split == "train" else self._dev

    @cached_property
    def _train(self) -> list[Example]:
        return self.run.examples("train")

    @cached_property
    def _dev(self) -> list[Example]:
        """As many as are scored in training."""
        return self.run.dev(self.run.profile.dev_examples)

    def judge(self, examples: Sequence[Example], answers: Sequence[str]) -> Sequence[bool | None]:
        pairs = [
            (example, Completion.of_text(example.id, text)) for example, text in zip(examples, answers, strict=True)
        ]
        outcomes = score_all(scorer(self.run), pairs)
        Failures(self.run.workload.scorer.max_failed_share, of_at_least=FEW).add(outcomes)
        return [outcome.passed if isinstance(outcome, Score) else None for outcome in outcomes]

    def seconds(self) -> Sequence[Second]:
        """Second answers to the same input: rows that were quarantined because another row has their input."""
        path = self.run.folder / "data" / "quarantine.jsonl"
        first = {tuple(row.input.values()): row for row in [*self._train, *self.run.examples("dev")]}
        again = [row.example for row in read_jsonl(path, Quarantined)] if path.is_file() else []
        pairs = [(first.get(tuple(row.input.values())), row.demonstration) for row in again]
        return [(row, text) for row, text in pairs if row is not None]

    @cached_property
    def _made(self) -> dict[str, Rung]:
        """The rungs made so far, in the ladder's order."""
        return self.run.made

    def standing(self) -> Standing:
        """The rung with the highest accuracy on dev; of equals the first.

        Its interval ignores groups: a rung keeps how many answers were right, and not which.
        """
        scored = {name: made.dev_score for name, made in self._made.items() if made.dev_score is not None}
        if not scored:
            return none_standing()
        name = max(scored, key=lambda name_of_rung: scored[name_of_rung])
        made, n = self._made[name], self._made[name].dev_examples
        return Standing(
            name=name,
            makes=made.makes,
            learnt_from=made.needs,
            accuracy=wilson(round(scored[name] * n), n),
            n=n,
            weights=made.makes == "model" or self.run.profile.prompting is None,
        )

    def prompts(self) -> Mapping[str, tuple[int, int]]:
        return {
            name: (round((made.dev_score or 0.0) * made.dev_examples), made.dev_examples)
            for name, made in self._made.items()
            if made.makes == "prompt"
        }

    @cached_property
    def _standing_rung(self) -> Rung | None:
        return self._made.get(self.standing().name)

    def answers(self) -> Sequence[str] | None:
        stands = self._standing_rung
        if stands is None or stands.makes != "model":
            return None
        answers = opened_rung(self.run, stands).answer(self._dev, self.run.seed)
        self._calls_per_hour = calls_per_hour(len(self._dev), answers.seconds)
        return [answer.text for answer in answers.completions]

    def sample(self, examples: Sequence[Example], n: int) -> Sequence[Sequence[str]] | None:
        """Draws from the rung that stands; if it is a classifier, from the best prompt, where RL would start."""
        stands = self._standing_rung
        if stands is None or stands.makes == "classifier":
            best = incumbent(self.run)
            stands = self._made[best] if best else None
        if stands is None:
            return None
        drawn = opened_rung(self.run, stands).draw(examples, self.run.seed, self.run.advice.temperature, n)
        return [[answer.text for answer in answers] for answers in drawn]

    def learn(self, size: int) -> Trial | None:
        """The ladder's first training on demonstrations, with only `size` of them, scored once at its end."""
        planned = self.run.imitating
        if planned is None:
            return None
        params = planned.settings.model_copy(update={"evaluations": 1, "dev_examples": 1})
        prompt, folder = self.run.trained_prompt, STATE / "advice" / self.run.name
        key = digest(
            params, self.run.profile.model, self.run.profile.engine, prompt.version, self.run.data_version, size,
            len(self._dev), self.run.seed,
        )  # fmt: skip
        path = folder / f"trained-{size}-{key}.json"
        if not path.is_file():
            log.info("A trial training on %s demonstrations.", f"{size:,}")
            write_record(path, self._trained(size, planned, params, folder / f"trial-{size}"))
        kept = read_record(path, KeptTrial)
        return Trial(kept.answers, kept.seconds, kept.calls_per_hour)

    def _trained(self, size: int, planned: PlannedRung, params: Any, folder: Path) -> KeptTrial:
        drawn = sample(self._train, size, self.run.seed)
        job = replace(
            job_of(self.run, planned), train=drawn, start=self.run.base_artifact, work=folder / "work",
            out=folder / "model",
        )  # fmt: skip
        made = planned.make(job, NullTracker(), params)
        answers = job.open_model(folder / "model").answer(self._dev, self.run.seed)
        shutil.rmtree(folder)
        return KeptTrial(
            answers=tuple(answer.text for answer in answers.completions),
            seconds=made.seconds,
            calls_per_hour=calls_per_hour(len(self._dev), answers.seconds),
        )

    def certified(self) -> Scoring | None:
        path = certificate_file(self.run)
        known = read_record(path, Certificate) if path.is_file() else None
        if known is None or known.false_positive is None or known.false_negative is None:
            return None
        checked = sample(self._dev, self.run.advice.checked_examples, self.run.seed)
        tried = scoring(self.judge, checked, self.schema, self.run.seed)
        return Scoring(
            false_positives=known.false_positive,
            false_negatives=known.false_negative,
            n=known.false_positive.n + known.false_negative.n,
            source=f"the certificate; answers {'labelled by people' if known.source == 'people' else 'made from dev'}",
            reads_reference=tried is None or tried.reads_reference,
            unseen=tried.unseen if tried else (),
            failures=known.failed / max(1, known.scored),
        )

    def audited(self) -> float | None:
        path = audit_folder(self.run) / "audit.json"
        return read_record(path, Audit).ceiling if path.is_file() else None

    def case(self, rung: Training, trials: Mapping[int, Trial]) -> tuple[Case, float, float] | None:
        """What calls would cost, by the throughput of the trained rung that stands, or else of the largest trial.

        Demonstrations are there, so that they are no part of the investment. None where nothing tells how long the
        training takes.
        """
        speed, economics = self._speed(trials), self.run.workload.economics
        if rung == "prompt_distillation":
            shorter = shortening(self.run, self.standing(), self._dev, speed)
            return shorter and (shorter, economics.throughput_spread, economics.horizon_years)
        if speed is None:
            return None
        seconds = self._reward_seconds(speed) if rung == "reward" else self._imitation_seconds(trials)
        if not seconds:
            return None
        run = self.run
        machine = run.prices.machine(run.profile.machine)
        first = rung == "imitate" or not self.standing().trained
        case = Case(
            incumbent_usd=self._incumbent_usd(),
            owned_usd=machine.usd_per_hour / (speed * machine.utilisation),
            calls_per_year=float(run.workload.traffic.calls_per_year),
            growth_per_year=run.workload.traffic.growth_per_year,
            investment_usd=machine.usd(seconds) + (economics.usd_setup if first else 0.0),
            machine_usd_per_hour=machine.usd_per_hour if economics.own_machine else 0.0,
            usd_per_error=economics.usd_per_error,
        )
        return case, economics.throughput_spread, economics.horizon_years

    def _speed(self, trials: Mapping[int, Trial]) -> float | None:
        """Answers an hour of a trained model: the one that stands, or else the largest trial's."""
        largest = trials[max(trials)] if trials else None
        return self._calls_per_hour or (largest.calls_per_hour if largest else None)

    def _imitation_seconds(self, trials: Mapping[int, Trial]) -> float:
        """Seconds to train on all demonstrations: the rung's own if it was made, else scaled from the largest trial.

        0 where neither is there.
        """
        made = self._made.get(self.run.imitating.name) if self.run.imitating else None
        if made is not None or not trials:
            return made.seconds if made else 0.0
        size = max(trials)
        return trials[size].seconds * len(self._train) / size

    def _reward_seconds(self, speed: float) -> float:
        """Seconds of the ladder's first RL, or else of the profile's, by its settings and the speed of answers.

        0 where the profile has no settings for it.
        """
        rewarded = [settings.settings.model_dump() for settings in self.run.rungs if settings.rewarded]
        draws = [drawn(settings) for settings in rewarded if "steps" in settings]
        return UPDATES * (draws[0] if draws else draws_of(self.run, "reward")) / speed * SECONDS_PER_HOUR

    def _incumbent_usd(self) -> float:
        """The price of a call with the best prompt, or with the first if none was tried, by its tokens on dev."""
        name = incumbent(self.run) or self.run.workload.prompts[0]
        prompt = self.run.prompt_of(self._made[name]) if name in self._made else self.run.prompt(name)
        sent, out = listed_tokens(self.run, prompt, self._dev)
        price = self.run.prices.model(self.run.workload.incumbent)
        return price.usd(sum(sent) / len(sent), sum(out) / len(out))

    def feedback(self) -> Feedback | None:
        return self._feedback

    @cached_property
    def _feedback(self) -> Feedback:
        return feedback_of(self.run)

    def slices(self) -> Sequence[str]:
        return self.run.workload.slices

    def at_hand(self, trials: Mapping[int, Trial]) -> AtHand:
        """Durations are estimated from the trained rung that stands, or else from the trials."""
        fast = self._speed(trials)
        seconds = self._imitation_seconds(trials)
        standing = self.standing()
        setup = 0.0 if standing.trained else self.run.workload.economics.usd_setup
        teacher = 0.0 if self.run.profile.prompting is None else self._incumbent_usd()
        speed = Speed(fast, seconds, setup, teacher) if fast and seconds else None
        return at_hand(self.run, standing, self._feedback, speed)

    def dated_by(self) -> str | None:
        return self.run.workload.dated_by

    def watch(self) -> str:
        path = STATE / "watch" / self.run.workload.name / "watched.json"
        watched = read_state(path, _Watched)
        if watched is None:
            return ""
        kinds = ", ".join(watched.kinds)
        return f"the watch saw drift last: {kinds}" if kinds else "the watch saw no drift last"
