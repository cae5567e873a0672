"""A run as the advice asks it: whatever is there is read, and what is cheap enough is tried.

Decides what counts as the rung that stands, and how a trial training, a second answer and a rung's money are had.
"""

import json
import logging
import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from components.advice import Scoring, Second, Standing, Trial, none_standing
from components.advice.measure import scoring
from components.data.prepare import DataReport, Quarantined
from components.economics import SECONDS_PER_HOUR, Case, calls_per_hour
from components.engines import Ask, Sampling, open_engine, open_prompting
from components.evaluation.certificate import Certificate
from components.evaluation.label_audit import Audit
from components.evaluation.metrics import wilson
from components.records import Completion, Example, Record, Rung, Score, read_jsonl, read_record, write_record
from components.scorers import score_all
from components.stages.answers import answer, ask, model_of, scorer
from components.stages.audit import audit_folder
from components.stages.certified import certificate_file
from components.stages.evaluate import listed_tokens
from components.stages.run import STATE, Run, digest
from components.stages.rungs import CLASSICAL, GRPO, RESULT, SFT, PromptChoice, best_prompt, rung
from components.tracking import NullTracker
from components.training import TrainingTask, train_sft

_UPDATES = 2.0  # RL takes about as long for its updates as for its rollouts (triage on two cores)
log = logging.getLogger(__name__)


class KeptTrial(Record):
    """A trial training that was done, so that a second question trains nothing twice."""

    answers: tuple[str, ...]
    seconds: float
    calls_per_hour: float


class RunBench:
    """A run of the pipeline, at any point of its climb."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._calls_per_hour: float | None = None

    @property
    def fields(self) -> Sequence[str]:
        return self.run.workload.fields

    def examples(self, split: Literal["train", "dev"]) -> Sequence[Example]:
        return self._train if split == "train" else self._dev

    @cached_property
    def _train(self) -> list[Example]:
        return self.run.examples("train")

    @cached_property
    def _dev(self) -> list[Example]:
        """As many as the trainings score."""
        return self.run.examples("dev")[: self.run.profile.sft.dev_examples]

    def judge(self, examples: Sequence[Example], answers: Sequence[str]) -> Sequence[bool | None]:
        pairs = [(one, Completion.of_text(one.id, text)) for one, text in zip(examples, answers, strict=True)]
        return [found.passed if isinstance(found, Score) else None for found in score_all(scorer(self.run), pairs)]

    def seconds(self) -> Sequence[Second]:
        """Rows that were refused because another row has their input: somebody answered it again."""
        path = self.run.folder / "data" / "quarantine.jsonl"
        first = {tuple(one.input.values()): one for one in [*self._train, *self.run.examples("dev")]}
        again = [one.example for one in read_jsonl(path, Quarantined)] if path.is_file() else []
        pairs = [(first.get(tuple(one.input.values())), one.demonstration) for one in again]
        return [(one, text) for one, text in pairs if one is not None]

    @cached_property
    def _made(self) -> dict[str, Rung]:
        """The rungs that are there, as they climb."""
        names = (CLASSICAL, *self.run.workload.prompts, SFT, GRPO)
        return {name: rung(self.run, name) for name in names if (self.run.rung_folder(name) / RESULT).is_file()}

    def standing(self) -> Standing:
        """The rung with the highest accuracy on dev, the first of equals."""
        scored = {name: one.dev_score for name, one in self._made.items() if one.dev_score is not None}
        if not scored:
            return none_standing()
        name = max(scored, key=lambda one: scored[one])
        n = min(len(self.run.examples("dev")), self._dev_examples(self._made[name]))
        return Standing(name=name, method=self._made[name].method, accuracy=wilson(round(scored[name] * n), n), n=n)

    def _dev_examples(self, made: Rung) -> int:
        """How many dev examples a rung was scored on."""
        profile = self.run.profile
        by_method = {"classical": len(self.run.examples("dev")), "grpo": profile.rl.dev_examples}
        return by_method.get(made.method, profile.sft.dev_examples)

    def prompts(self) -> Mapping[str, Sequence[bool]]:
        path, n = self.run.folder / "prompts" / "choice.json", len(self._dev)
        if not path.is_file():
            return {}
        found = read_record(path, PromptChoice).dev_accuracy
        right = {name: round(n * share) for name, share in found.items()}
        return {name: [True] * count + [False] * (n - count) for name, count in right.items()}

    @cached_property
    def _standing_rung(self) -> Rung | None:
        return self._made.get(self.standing().name)

    def answers(self) -> Sequence[str] | None:
        stands = self._standing_rung
        if stands is None or stands.method not in ("sft", "grpo"):
            return None
        found = answer(self.run, stands, self._dev)
        self._calls_per_hour = calls_per_hour(len(self._dev), found.seconds)
        return [one.text for one in found.completions]

    def sample(self, examples: Sequence[Example], n: int) -> Sequence[Sequence[str]] | None:
        """Of a classifier nothing can be drawn: then of the best prompt, which RL would start from."""
        stands = self._standing_rung
        if stands is None or stands.method == "classical":
            stands = self._made.get(best_prompt(self.run)) if self.prompts() else None
        if stands is None:
            return None
        prompt = self.run.prompt(stands.name) if stands.method == "prompt" else self.run.trained_prompt
        schema = self.run.workload.output if prompt.name in self.run.workload.constrained else None
        sampling = Sampling(
            temperature=self.run.advice.temperature, n=n, seed=self.run.seed, answer_schema=schema,
            max_new_tokens=self.run.profile.engine.max_new_tokens,
        )  # fmt: skip
        found = self._engine(stands).generate([Ask(one.id, prompt.messages(one)) for one in examples], sampling)
        return [[one.text for one in found[at * n : (at + 1) * n]] for at in range(len(examples))]

    def _engine(self, made: Rung) -> Any:
        profile = self.run.profile
        if made.method == "prompt":
            return open_prompting(profile, self.run.workload.incumbent)
        return open_engine(profile.engine, model_of(self.run, made), profile.model.precision)

    def learn(self, size: int) -> Trial | None:
        """SFT as the profile trains, on a sample of the demonstrations, scored once at its end."""
        params = self.run.profile.sft.model_copy(update={"evaluations": 1})
        prompt, folder = self.run.trained_prompt, STATE / "advice" / self.run.name
        key = digest(params, self.run.profile.model, prompt.version, self._data_version, size, self.run.seed)
        path = folder / f"trained-{size}-{key}.json"
        if not path.is_file():
            log.info("A trial training on %s demonstrations.", f"{size:,}")
            write_record(path, self._trained(size, params, folder / f"trial-{size}"))
        found = read_record(path, KeptTrial)
        return Trial(found.answers, found.seconds, found.calls_per_hour)

    @property
    def _data_version(self) -> str:
        return read_record(self.run.folder / "data" / "report.json", DataReport).summary.version

    def _trained(self, size: int, params: Any, folder: Path) -> KeptTrial:
        import shutil

        drawn = random.Random(self.run.seed).sample(list(self._train), size)
        task = TrainingTask(
            model=self.run.base_model, train=drawn, prompt=self.run.trained_prompt, score_dev=lambda *_: 0.0,
            seed=self.run.seed, work=folder / "work", out=folder / "model", precision=self.run.profile.model.precision,
        )  # fmt: skip
        trained = train_sft(task, params, NullTracker())
        engine = open_engine(self.run.profile.engine, folder / "model", self.run.profile.model.precision)
        found = ask(self.run, engine, self.run.trained_prompt, self._dev)
        shutil.rmtree(folder)
        return KeptTrial(
            answers=tuple(one.text for one in found.completions),
            seconds=trained.seconds,
            calls_per_hour=calls_per_hour(len(self._dev), found.seconds),
        )

    def certified(self) -> Scoring | None:
        path = certificate_file(self.run)
        found = read_record(path, Certificate) if path.is_file() else None
        if found is None or found.false_positive is None or found.false_negative is None:
            return None
        tried = scoring(self.judge, self._dev[: self.run.advice.checked_examples], self.run.seed)
        return Scoring(
            false_positives=found.false_positive,
            false_negatives=found.false_negative,
            n=found.false_positive.n + found.false_negative.n,
            source=f"the certificate; answers {'labelled by people' if found.source == 'people' else 'made from dev'}",
            reads_reference=tried is None or tried.reads_reference,
            unseen=tried.unseen if tried else (),
            failures=found.failed / max(1, found.scored),
        )

    def audited(self) -> float | None:
        path = audit_folder(self.run) / "audit.json"
        return read_record(path, Audit).ceiling if path.is_file() else None

    def case(self, rung: Literal["sft", "rl"], trials: Mapping[int, Trial]) -> tuple[Case, float, float] | None:
        """What the calls would cost, by the throughput of the largest trial or of the trained rung that stands."""
        largest = trials[max(trials)] if trials else None
        speed = self._calls_per_hour or (largest.calls_per_hour if largest else None)
        if speed is None:
            return None
        run, economics = self.run, self.run.workload.economics
        machine = run.prices.machine(run.profile.machine)
        seconds = self._rl_seconds(speed) if rung == "rl" else self._sft_seconds(trials)
        first = rung == "sft" or not self.standing().trained
        case = Case(
            incumbent_usd=self._incumbent_usd(),
            owned_usd=machine.usd_per_hour / (speed * machine.utilisation),
            calls_per_year=float(run.workload.traffic.calls_per_year),
            growth_per_year=run.workload.traffic.growth_per_year,
            investment_usd=machine.usd(seconds) + (economics.usd_setup if first else 0.0),
            machine_usd_per_hour=machine.usd_per_hour if economics.own_machine else 0.0,
        )
        return case, economics.throughput_spread, economics.horizon_years

    def _sft_seconds(self, trials: Mapping[int, Trial]) -> float:
        """Of a training on all demonstrations: the largest trial's, times as many."""
        if SFT in self._made or not trials:
            return self._made[SFT].seconds if SFT in self._made else 0.0
        size = max(trials)
        return trials[size].seconds * len(self._train) / size

    def _rl_seconds(self, speed: float) -> float:
        rl = self.run.profile.rl
        rollouts = rl.steps * rl.prompts_per_step * rl.generations
        return _UPDATES * rollouts / speed * SECONDS_PER_HOUR

    def _incumbent_usd(self) -> float:
        """A call of the best prompt, or the first where none was tried, priced by its tokens on dev."""
        name = best_prompt(self.run) if self.prompts() else self.run.workload.prompts[0]
        sent, told = listed_tokens(self.run, name, self._dev)
        price = self.run.prices.model(self.run.workload.incumbent)
        return price.usd(sum(sent) / len(sent), sum(told) / len(told))

    def dated_by(self) -> str | None:
        return self.run.workload.dated_by

    def watch(self) -> str:
        path = STATE / "watch" / self.run.workload.name / "watched.json"
        if not path.is_file():
            return ""
        found = json.loads(path.read_text(encoding="utf-8"))
        kinds = ", ".join(found.get("kinds", ()))
        return f"the watch saw drift last: {kinds}" if kinds else "the watch saw no drift last"
