"""What a method is given: data, where it starts, where its result goes, and how to draw and score answers.

A method sees only train and dev.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from components.economics import Prices
from components.engines import Sampling, open_engine, open_prompting
from components.evaluation import Scores, accuracy, by_example
from components.evaluation.label_audit import Suspect
from components.evaluation.sample import sample
from components.opening import PROMPT_FILE, Artifact, Opened, over
from components.params import HackingParams, Profile, ScorerParams, Settings, Workload
from components.prompts import Prompt, load_prompt
from components.records import AnyRecord, Completion, Example, read_jsonl
from components.scorers import Failures, JsonSchemaScorer, Outcome, Scorer, decided, score_all, scores_of
from components.scorers.scored_by import scored_by
from components.tasks import can_be_tried
from components.training import Draws, Look, Sample, TrainingTask
from components.training.hacking_watch import Values
from components.training.launch import is_main

Asked = TypeVar("Asked", bound=Settings)
NO_MODEL = "expected a rung or base to start from, found none"
# How servers are asked, which decides whether there are verdicts or answers, and not which.
ASKING = ("concurrency", "requests_per_minute", "timeout_s", "max_retries", "within_s")
NOT_COUNTED = 0.0  # a dev score where the main process's counts: scorers, of which some cost money, are asked once


@dataclass(frozen=True)
class Job:
    """One rung to be made.

    `prompt` is the rung's own where it is a prompt, else the one that trained models are asked with; `start` is the
    model or prompt to start from, None where the ladder names none. `out` is a folder that does not exist yet; `work`
    survives an interruption and holds checkpoints. `label_noise` is the share of demonstrations that the label audit
    expects to be wrong, None if they were not audited. `teacher` is the artifact of a rung that teaches, `prices` are
    given where a method pays a teacher. `resembled` names the split that each new example resembles: all that a method
    learns about test and sealed.
    """

    rung: str
    workload: Workload
    profile: Profile
    columns: tuple[str, ...]
    train: Sequence[Example]
    dev: Sequence[Example]
    prompt: Prompt
    prompt_file: Path
    start: Artifact | None
    scorer: Scorer
    sealed_scorer: Scorer | None
    seed: int
    out: Path
    work: Path
    hacking: HackingParams = field(default_factory=HackingParams)
    label_noise: float | None = None
    suspects_file: Path | None = None
    teacher: Artifact | None = None
    prices: Prices | None = None
    resembled: Callable[[Sequence[Example]], list[str | None]] | None = None
    feedback_files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict[str, "tuple[Path, ...]"])

    def feedback(self, kind: str, record: type[AnyRecord]) -> list[AnyRecord]:
        """Opinions and logs of one kind of `components.data.opinions`.

        Raises:
            DataError: A file is missing, or a line is not such a record.
        """
        return [opinion for path in self.feedback_files[kind] for opinion in read_jsonl(path, record)]

    def suspects(self) -> list[Suspect]:
        """The train demonstrations that the label audit doubts, by field, the likeliest wrong first.

        Raises:
            DataError: The file is missing, or a line is not a suspect.
        """
        assert self.suspects_file is not None, "expected a file of suspects, found none"
        return read_jsonl(self.suspects_file, Suspect)

    def written_prompt(self, name: str) -> Prompt:
        """One of the workload's prompts.

        Raises:
            ConfigError: There is none of this name.
        """
        return load_prompt(self.prompt_file.parent, name, self.columns)

    def keep_prompt(self) -> None:
        """Copy the prompt to the rung's folder, where it is looked for when the rung is opened."""
        self.out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.prompt_file, self.out / f"{PROMPT_FILE}.md")

    @property
    def account(self) -> Path:
        """The file with what the rung's teacher took over all attempts; it goes when the rung is made.

        It is beside `work`, which people remove to start again: what was paid stays paid.
        """
        return self.work.parent / f"spent-{self.work.name}.json"

    @property
    def tasks(self) -> Sequence[Example]:
        """The examples of train that a model can answer and be judged by: an agent's tries of production are none."""
        return (
            self.train if self.workload.agent is None else [example for example in self.train if can_be_tried(example)]
        )

    @property
    def model(self) -> Path:
        """The folder of the model to start from."""
        assert self.start is not None, NO_MODEL
        return self.start.folder

    @property
    def rewarded_by(self) -> str:
        """What a reward and its watch depend on besides the answer: the scorer, the sealed one and the level."""
        sealed = self.workload.sealed_scorer
        watch = [self.verdicts_by(sealed), f"hacking.alpha {self.hacking.alpha}"] if sealed else []
        return "\n".join([self.verdicts_by(self.workload.scorer), *watch])

    def open_model(self, folder: Path) -> Opened:
        """A model in a folder, asked with the prompt."""
        engine = open_engine(self.profile.engine, folder, self.profile.model.precision)
        return over(engine, self.prompt, self.workload, self.profile)

    def open_prompt(self, prompt: Prompt) -> Opened:
        """A prompt, answered by the profile's engine for prompts."""
        return over(open_prompting(self.profile, self.workload.incumbent), prompt, self.workload, self.profile)

    def score(self, examples: Sequence[Example], completions: Sequence[Completion]) -> Scores:
        """Example id → score by the workload's scorer; those that it fails on are left out.

        Raises:
            ScorerError: It fails on more than `scorer.max_failed_share`, or on all.
        """
        answers = by_example(examples, completions)
        outcomes = self.outcomes([(example, answers[example.id]) for example in examples])
        Failures(self.workload.scorer.max_failed_share).add(outcomes)
        scores = scores_of([example.id for example in examples], outcomes)
        if not scores:
            decided(outcomes[0])
        return scores

    def outcomes(self, pairs: Sequence[tuple[Example, Completion]]) -> list[Outcome]:
        """The score of each pair, or the scorer's error."""
        return score_all(self.scorer, pairs)

    def dev_sample(self, n: int) -> list[Example]:
        """A representative sample of `n` dev examples, the same at each call."""
        return sample(self.dev, n, self.seed)

    def dev_shares(self, completions: Sequence[Completion]) -> tuple[float, float]:
        """(right, valid) shares of the answers to a `dev_sample` of their number."""
        dev, schema = self.dev_sample(len(completions)), JsonSchemaScorer(self.workload.output)
        right = accuracy(self.score(dev, completions).values()).value
        return right, accuracy(schema.score(*pair) for pair in zip(dev, completions, strict=True)).value

    def task(self, dev_examples: int, train: Sequence[Example] | None = None, *, watched: bool = False) -> TrainingTask:
        """A training from `start` to `out`, scored on `dev_examples`; RL is `watched`, by the sealed scorer too."""
        dev = self.dev_sample(dev_examples)
        return TrainingTask(
            model=self.model,
            train=self.train if train is None else train,
            prompt=self.prompt,
            score_dev=self._look(dev) if watched and self.sealed_scorer else self._dev_score(dev),
            seed=self.seed,
            work=self.work,
            out=self.out,
            precision=self.profile.model.precision,
            hacking=self.hacking,
            measured_by=self._measured_by(dev),
            rewarded_by=self.rewarded_by if watched else "",
        )

    def opened_over(self, model: Any, tokenizer: Any) -> Opened:
        """A model in training, asked with the prompt."""
        return over(self.engine_over(model, tokenizer), self.prompt, self.workload, self.profile)

    def sample(self) -> Sample:
        """Draws completions for RL by the engine, as they will be served."""

        def draw(model: Any, tokenizer: Any, prompts: list[list[int]], draws: Draws) -> list[list[list[int]]]:
            wanted = Sampling(
                temperature=draws.temperature, n=draws.n, max_new_tokens=draws.max_new_tokens, seed=draws.seed
            )
            return self.engine_over(model, tokenizer).draw(prompts, wanted)

        return draw

    def _dev_score(self, dev: Sequence[Example]) -> Callable[[Any, Any], float]:
        """Measures the share of dev examples that a model answers right, asked as it is evaluated, in [0, 1]."""

        def measure(model: Any, tokenizer: Any) -> float:
            answers = self.opened_over(model, tokenizer).attempt(dev, self.seed, 1).completions
            if not is_main():
                return NOT_COUNTED
            return _right_share(self.score(dev, answers))

        return measure

    def _look(self, dev: Sequence[Example]) -> Callable[[Any, Any], Look]:
        """As `_dev_score`, with the reward and the sealed score of each answer."""

        def look(model: Any, tokenizer: Any) -> Look:
            answers = self.opened_over(model, tokenizer).attempt(dev, self.seed, 1).completions
            return self.look_at(dev, answers) if is_main() else Look(NOT_COUNTED)

        return look

    def look_at(self, dev: Sequence[Example], completions: Sequence[Completion], trained: Values | None = None) -> Look:
        """What a watch sees of a model's answers to dev; `trained` has each one's reward where the scorer gives none.

        Raises:
            ScorerError: The scorer or the sealed one fails on more than its `max_failed_share`.
        """
        answers, ids = by_example(dev, completions), [example.id for example in dev]
        scores, sealed = self.score(dev, completions), self._sealed_scores([(each, answers[each.id]) for each in dev])
        return Look(
            score=_right_share(scores),
            trained=_values(ids, scores) if trained is None else trained,
            sealed=_values(ids, sealed),
            answers=[answers[key].text for key in ids],
            ids=ids,
            groups=[example.group for example in dev],
        )

    def _sealed_scores(self, pairs: Sequence[tuple[Example, Completion]]) -> Scores:
        """As `score`, by the sealed scorer; it may fail on all where the settings allow it."""
        assert self.sealed_scorer is not None
        outcomes = score_all(self.sealed_scorer, pairs)
        most = (self.workload.sealed_scorer or self.workload.scorer).max_failed_share
        Failures(most, of="sealed_scorer").add(outcomes)
        return scores_of([example.id for example, _ in pairs], outcomes)

    def _measured_by(self, dev: Sequence[Example]) -> str:
        """A hash of what dev scores depend on besides the model: examples, how they are answered, and the scorer."""
        held, most = self.prompt.name in self.workload.constrained, self.profile.engine.max_new_tokens
        examples = (example.model_dump_json() for example in dev)
        parts = (self.verdicts_by(self.workload.scorer), str(held), str(most), *examples)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def verdicts_by(self, scorer: ScorerParams) -> str:
        """A hash of what a scorer's verdicts depend on; how many may fail, and how servers are asked, changes none."""
        http, judge = scorer.http and asked_as_usual(scorer.http), scorer.judge
        judge = judge and judge.model_copy(update={"api": asked_as_usual(judge.api)})
        return scored_by(
            self.workload, scorer.model_copy(update={"max_failed_share": 0.0, "http": http, "judge": judge})
        )

    def engine_over(self, model: Any, tokenizer: Any) -> Any:
        """An engine over a model in training."""
        from components.engines.transformers_engine import TransformersEngine

        engine = self.profile.engine
        return TransformersEngine.of_trained(model, tokenizer, engine.batch_tokens, self.profile.model.precision)


def asked_as_usual(server: Asked) -> Asked:
    """A server's settings with the defaults of `ASKING`, so that what it said is found again however it is asked."""
    fields = type(server).model_fields
    return server.model_copy(update={name: fields[name].default for name in ASKING if name in fields})


def _right_share(scores: Scores) -> float:
    """The share of right answers among those that were decided."""
    return sum(score.passed for score in scores.values()) / len(scores)


def _values(ids: Sequence[str], scores: Scores) -> list[float | None]:
    """The value of each example's answer, None where the scorer did not decide."""
    return [scores[key].value if key in scores else None for key in ids]
