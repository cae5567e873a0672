"""`gepa`: searches a prompt's instructions by reflecting on the scorer's verdicts.

GEPA (Agrawal et al. 2025, arXiv 2507.19457) by the package of that name: a reflecting model reads answers with the
scorer's reasons and proposes a new text; a text stays in the pool while it is the best on some example. Dev is split
in three: for reflection, for comparing candidates, and held out for the winner's score.
"""

import logging
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import Field

from components.economics import Prices
from components.engines import ChatRequest, Engine, Sampling, open_engine
from components.errors import GradusError, TrainingError
from components.methods.contract import Made
from components.methods.job import Job, asked_as_usual
from components.methods.rewards import without_failures
from components.methods.searching import KeptAnswers, keep_better, search_folder, split_dev, starting_prompt
from components.opening import Opened
from components.params import ApiParams, Settings
from components.prompts import DIVIDER, Prompt
from components.records import (
    Completion,
    Example,
    Makes,
    Message,
    Need,
    Record,
    Score,
    read_record,
    write_record,
)
from components.scorers import Failures, Outcome
from components.tracking import Tracker

SYSTEM = "system"  # the only text that is searched: the user message with its placeholders stays
SPENT = "spent.json"
FIRST = 8  # answers of an API that show what one costs, where there is a budget
BUDGET = {"max_calls", "most_usd"}  # a larger one continues the same search
log = logging.getLogger(__name__)


class GepaParams(Settings):
    """Who reflects, what may be spent, and how dev is split."""

    reflection: ApiParams | None = Field(
        default=None, description="API of the reflecting model; None: the profile's for prompts, which must have one."
    )
    reflection_model: str | None = Field(default=None, description="Its name there; None: the incumbent.")
    reflection_tokens: int = Field(default=4096, ge=64, description="Of one proposal.")
    reflection_temperature: float = Field(default=1.0, ge=0)
    max_calls: int = Field(
        default=1500, ge=1, description="Answers of the prompted model, those of the last comparison included."
    )
    most_usd: float | None = Field(
        default=None, gt=0, description="For answers and reflections together; None: no limit."
    )
    minibatch: int = Field(default=6, ge=1, description="Answers that one reflection reads.")
    show_right: bool = Field(default=True, description="Whether a reflection reads the right answers as well.")
    reflected_on: float = Field(default=0.3, gt=0, lt=1, description="Share of dev that reflections read.")
    compared_on: float = Field(default=0.3, gt=0, lt=1, description="Share of dev that candidates are compared on.")
    dev_examples: int = Field(default=300, ge=3)


class Spent(Record):
    """What a search has cost so far; US dollars are 0 where no price is known."""

    calls: int = 0
    call_usd: float = 0.0
    reflections: int = 0
    reflection_usd: float = 0.0

    @property
    def usd(self) -> float:
        return self.call_usd + self.reflection_usd


class Gepa:
    """Searches the instructions of the prompt that it starts from."""

    label: ClassVar[str] = "Searched prompt (GEPA)"
    makes: ClassVar[Makes] = "prompt"
    params: ClassVar[type[Settings]] = GepaParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset[Need](["api"]) if params.reflection is None else frozenset()

    def make(self, job: Job, params: GepaParams, tracker: Tracker) -> Made:
        started, prompt = time.monotonic(), starting_prompt(job)
        parts = parts_of(job, params)
        account = Account(job, params, parts)
        opened = job.open_prompt(prompt)
        account.check_price(opened, parts)
        best, tried = search(job, params, opened, parts, account)
        spent = account.spent
        log.info("%s: %s prompts tried, %s calls, $%.4f.", job.rung, tried, f"{spent.calls:,}", spent.usd)
        made = keep_better(job, opened, best, parts.held_out, account.answers)
        spent = account.spent
        made.metrics.update(
            prompts=float(tried), calls=float(spent.calls), usd=spent.usd, reflections=float(spent.reflections)
        )
        paid = spent.usd if job.profile.prompting else spent.reflection_usd
        return replace(made, seconds=time.monotonic() - started, paid_usd=paid)


@dataclass(frozen=True)
class Parts:
    """Dev in three parts: for reflection, for comparing candidates, and held out for the last comparison."""

    reflecting: list[Example]
    comparing: list[Example]
    held_out: list[Example]


def parts_of(job: Job, params: GepaParams) -> Parts:
    """Split dev in three; groups stay whole.

    Raises:
        TrainingError: A part would be empty.
    """
    both = params.reflected_on + params.compared_on
    if both >= 1:
        raise TrainingError(
            f"expected reflected_on and compared_on to leave some of dev for the last comparison, found {both:g}"
        )
    choosing, held_out = split_dev(job.dev_sample(params.dev_examples), both, job.seed)
    reflecting, comparing = split_dev(choosing, params.reflected_on / both, job.seed + 1)
    return Parts(reflecting, comparing, held_out)


class Account:
    """A search's budget and what it has spent; kept in its folder, so that an interrupted search resumes with it.

    Raises:
        TrainingError: The budget does not allow one proposal.
        ConfigError: The budget is in dollars, and a model has no price.
    """

    def __init__(self, job: Job, params: GepaParams, parts: Parts) -> None:
        examples = [*parts.reflecting, *parts.comparing, *parts.held_out]
        api = params.reflection and asked_as_usual(params.reflection)
        settings = params.model_copy(update={"reflection": api}).model_dump_json(exclude=BUDGET)
        self.folder = search_folder(job, "gepa", examples, settings)
        self.answers = KeptAnswers(self.folder, job.seed, self.answered)
        self.job, self.params, self._prices = job, params, job.prices
        self._a_round = len(parts.comparing) + 2 * params.minibatch
        self._at_the_end = 2 * len(parts.held_out)
        self._least = len(parts.comparing) + self._a_round + self._at_the_end
        self._for = (
            f"for one proposal on {len(parts.comparing)} dev examples and the last comparison on {len(parts.held_out)}"
        )
        if params.max_calls < self._least:
            raise TrainingError(
                f"expected a budget of at least {self._least:,} calls (max_calls) {self._for}, "
                f"found {params.max_calls:,}"
            )
        if params.most_usd is not None:
            self._price_of(job.workload.incumbent if job.profile.prompting else None)
            self._price_of(self.reflecting)
        path = self.folder / SPENT
        self.spent = read_record(path, Spent) if path.is_file() else Spent()
        self.failure: GradusError | None = None

    @property
    def reflecting(self) -> str:
        """The name of the reflecting model."""
        return self.params.reflection_model or self.job.workload.incumbent

    def check_price(self, opened: Opened, parts: Parts) -> None:
        """Refuse a budget in dollars that allows no proposal, by what the first answers to dev cost.

        Raises:
            TrainingError: It does not.
        """
        most = self.params.most_usd
        if most is None or self.spent.reflections:
            return
        # Answers of a model of one's own cost time, of which few take nearly as much as many.
        self.answers.of(opened, parts.comparing[:FIRST] if self.job.profile.prompting else parts.comparing)
        if (least := self._least * self._a_call) > most:
            raise TrainingError(f"expected a budget of at least ${least:.2g} (most_usd) {self._for}, found ${most:g}")

    @property
    def _a_call(self) -> float:
        """What an answer cost so far, in US dollars."""
        return self.spent.call_usd / max(1, self.spent.calls)

    def over(self, state: Any) -> bool:
        """Whether one more round and the last comparison would exceed the budget.

        Cached answers cost nothing, but count as GEPA counts them, so that a search that only repeats itself ends.
        """
        if self.failure is not None:
            return True
        spent, most = self.spent, self.params.most_usd
        calls = self._a_round + self._at_the_end
        if max(spent.calls, state.total_num_evals) + calls > self.params.max_calls:
            return True
        a_reflection = spent.reflection_usd / max(1, spent.reflections)
        return most is not None and spent.usd + calls * self._a_call + a_reflection > most

    @contextmanager
    def remembering_errors(self) -> Generator[None]:
        """Remember a Gradus error, which GEPA would only log."""
        try:
            yield
        except GradusError as error:
            self.failure = error
            raise

    def answered(self, completions: Sequence[Completion], seconds: float) -> None:
        """Count answers: an API's cost by their tokens, a local model's by its machine's time."""
        api = self.job.workload.incumbent if self.job.profile.prompting else None
        usd = 0.0 if self._prices is None else (
            _tokens_usd(self._prices, api, completions) if api else
            self._prices.machine(self.job.profile.machine).usd(seconds)
        )  # fmt: skip
        self._add(calls=len(completions), call_usd=usd)

    def reflected(self, completion: Completion) -> None:
        """Count a reflection."""
        usd = 0.0 if self._prices is None else _tokens_usd(self._prices, self.reflecting, [completion])
        self._add(reflections=1, reflection_usd=usd)

    def _add(self, **more: float) -> None:
        spent = self.spent.model_dump()
        self.spent = Spent(**{**spent, **{name: spent[name] + value for name, value in more.items()}})
        write_record(self.folder / SPENT, self.spent)

    def _price_of(self, model: str | None) -> None:
        assert self._prices is not None, "expected prices beside a budget in dollars, found none"
        if model is not None:
            self._prices.model(model)


def _tokens_usd(prices: Prices, model: str, completions: Sequence[Completion]) -> float:
    """The cost of answers at a model's list price; 0 where it has none."""
    price = prices.models.get(model)
    used = [usage.usage for usage in completions]
    return 0.0 if price is None else sum(price.usd(usage.input_tokens, usage.output_tokens) for usage in used)


def search(job: Job, params: GepaParams, opened: Opened, parts: Parts, account: Account) -> tuple[Prompt, int]:
    """The best prompt, and how many were tried. Resumes an interrupted search.

    Raises:
        EngineError: The prompted or the reflecting model does not answer.
        ScorerError: The scorer fails on too many answers.
    """
    from gepa import optimize

    assert opened.prompt is not None, "expected a prompt to start from, found none"
    adapter: Any = Adapter(job, params, opened, account)
    stop: Any = account.over
    result: Any = optimize(
        seed_candidate={SYSTEM: opened.prompt.system},
        trainset=parts.reflecting,
        valset=parts.comparing,
        adapter=adapter,
        reflection_lm=Reflector(job, params, account),
        reflection_minibatch_size=params.minibatch,
        stop_callbacks=stop,
        run_dir=str(account.folder),
        seed=job.seed,
        cache_evaluation=False,  # it takes examples of both parts for one another
        track_best_outputs=False,
        logger=_Quiet(),
    )
    if account.failure is not None:
        raise account.failure
    return replace(opened.prompt, system=result.best_candidate[SYSTEM].strip()), len(result.candidates)


@dataclass(frozen=True)
class ScoredAnswer:
    """An answer and its outcome; None for a text that no prompt may contain."""

    example: Example
    text: str
    outcome: Outcome | None


class Adapter:
    """GEPA's adapter: our engine answers, our scorer scores and gives reasons."""

    propose_new_texts = None

    def __init__(self, job: Job, params: GepaParams, opened: Opened, account: Account) -> None:
        self._job, self._params, self._opened, self._account = job, params, opened, account
        self._failures = Failures(job.workload.scorer.max_failed_share, of_at_least=100)

    def evaluate(self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Answers to a batch with the candidate's text, and the scorer's value of each."""
        with self._account.remembering_errors():
            return self._evaluate(batch, candidate, capture_traces)

    def _evaluate(self, batch: list[Example], candidate: dict[str, str], capture_traces: bool) -> Any:
        from gepa import EvaluationBatch

        text = candidate[SYSTEM].strip()
        if DIVIDER in text:  # it would cut the prompt's file in two
            scored = [ScoredAnswer(example, "", None) for example in batch]
            return EvaluationBatch([""] * len(batch), [0.0] * len(batch), scored if capture_traces else None)
        assert self._opened.prompt is not None
        opened = replace(self._opened, prompt=replace(self._opened.prompt, system=text))
        completions = self._account.answers.of(opened, batch)
        outcomes = self._job.outcomes(list(zip(batch, completions, strict=True)))
        self._failures.add(outcomes)
        texts = [example.text for example in completions]
        scored = [ScoredAnswer(*row) for row in zip(batch, texts, outcomes, strict=True)]
        return EvaluationBatch(texts, without_failures(batch, outcomes), scored if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What a reflection reads: inputs, answers and the scorer's reasons."""
        rows = [
            {"Inputs": answer.example.input, "Generated Outputs": answer.text, "Feedback": self._feedback(answer)}
            for answer in eval_batch.trajectories or []
        ]
        return dict.fromkeys(components_to_update, rows)

    def _feedback(self, answer: ScoredAnswer) -> str:
        if answer.outcome is None:
            return f"The text must not contain {DIVIDER}."
        if not isinstance(answer.outcome, Score):
            return "Nobody could score it."
        verdict = "Right." if answer.outcome.passed else f"Wrong: {answer.outcome.reason or 'no reason given'}."
        right = (
            f" The right answer: {answer.example.reference}"
            if self._params.show_right and not answer.outcome.passed
            else ""
        )
        return verdict + right


class Reflector:
    """The reflecting model as GEPA calls it: text in, text out."""

    def __init__(self, job: Job, params: GepaParams, account: Account) -> None:
        api = params.reflection or job.profile.prompting
        assert api is not None, "expected an API of the reflecting model, or of the profile's prompts, found none"
        self._engine: Engine = open_engine(api, account.reflecting)
        self._params, self._account, self._seed = params, account, job.seed

    def __call__(self, prompt: str | list[dict[str, Any]]) -> str:
        turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        asked = ChatRequest("reflection", [Message.model_validate(turn) for turn in turns])
        sampling = Sampling(
            temperature=self._params.reflection_temperature, n=1, seed=self._seed + self._account.spent.reflections,
            max_new_tokens=self._params.reflection_tokens,
        )  # fmt: skip
        with self._account.remembering_errors():
            answer = self._engine.generate([asked], sampling)[0]
        self._account.reflected(answer)
        return answer.text


class _Quiet:
    """Sends GEPA's log to ours, at debug level."""

    def log(self, message: str) -> None:
        log.debug(message)
