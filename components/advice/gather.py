"""Gathers the evidence: which measurements are taken of a workload, in which order, and how they are combined.

Sees a workload only as a `Workbench`: a real run is one, a simulated world another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from tqdm import tqdm

from components.advice.at_hand import AtHand, Feedback, Thin
from components.advice.curve import learning
from components.advice.evidence import (
    Evidence,
    Headroom,
    Learning,
    Movement,
    Paying,
    Scoring,
    Standing,
    Training,
)
from components.advice.gates import trusted
from components.advice.measure import (
    Judge,
    Second,
    decided,
    errors,
    groups_of,
    headroom,
    same_answers,
    scoring,
    thin,
    writing,
)
from components.advice.measure import movement as moved
from components.economics import Case, payback_years, saved_of_year
from components.evaluation.metrics import share_of, wilson
from components.evaluation.sample import places, sample
from components.params import AdviceParams
from components.records import Example, Interval

_DRAWS = 1000


@dataclass(frozen=True)
class Trial:
    """A training on a subset: its answers to dev, its seconds, and how many calls an hour the model answers."""

    answers: Sequence[str]
    seconds: float
    calls_per_hour: float


class Workbench(Protocol):
    """Measurements of a workload at any point of its climb; what is not available is None or empty."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of an answer, which also says how a bare value is written."""
        ...

    def examples(self, split: Literal["train", "dev"]) -> Sequence[Example]:
        """A split."""
        ...

    def judge(self, examples: Sequence[Example], answers: Sequence[str]) -> Sequence[bool | None]:
        """Whether each answer passes; None where the scorer fails.

        Raises:
            ScorerError: It fails too often.
        """
        ...

    def seconds(self) -> Sequence[Second]:
        """Examples with another person's answer to the same input."""
        ...

    def standing(self) -> Standing:
        """The rung that stands."""
        ...

    def prompts(self) -> Mapping[str, tuple[int, int]]:
        """By prompt version, how many dev examples it answered right, and how many it was tried on."""
        ...

    def answers(self) -> Sequence[str] | None:
        """The standing rung's greedy answers to dev, if it is a trained model."""
        ...

    def sample(self, examples: Sequence[Example], n: int) -> Sequence[Sequence[str]] | None:
        """`n` drawn answers of the standing rung to each example."""
        ...

    def learn(self, size: int) -> Trial | None:
        """Train on the first `size` demonstrations."""
        ...

    def certified(self) -> Scoring | None:
        """The scorer's errors by its certificate."""
        ...

    def audited(self) -> float | None:
        """The ceiling that the label audit sets for imitation."""
        ...

    def case(self, rung: Training, trials: Mapping[int, Trial]) -> tuple[Case, float, float] | None:
        """The rung's costs against the incumbent's, the spread of its throughput, and the horizon in years.

        It says what an error costs, but no shares of errors: these follow from the gains that are expected.
        """
        ...

    def feedback(self) -> Feedback | None:
        """How much feedback there is."""
        ...

    def slices(self) -> Sequence[str]:
        """The slices of examples whose values may be thin."""
        ...

    def at_hand(self, trials: Mapping[int, Trial]) -> AtHand:
        """What may be used besides demonstrations, scorer and feedback."""
        ...

    def dated_by(self) -> str | None:
        """The input column or slice with an example's date."""
        ...

    def watch(self) -> str:
        """The latest result of the watch over production, in words."""
        ...


def gather(bench: Workbench, params: AdviceParams, seed: int) -> Evidence:
    """Gather all evidence that the rule uses; long steps show their progress.

    A scorer with too many errors does not decide whether people agree: answers are then compared literally. Answers
    that it cannot decide on are left out.

    Raises:
        ScorerError: The scorer fails too often.
    """
    train, dev = bench.examples("train"), bench.examples("dev")
    standing, tried = bench.standing(), bench.prompts()
    scored = bench.certified() or scoring(bench.judge, sample(dev, params.checked_examples, seed), bench.schema, seed)
    by_scorer = scored is not None and trusted(scored, params)
    judge: Judge = bench.judge if by_scorer else partial(same_answers, schema=bench.schema)
    written = writing(judge, train, dev, bench.seconds(), bench.schema)
    written = written.model_copy(update={"audited_ceiling": bench.audited()})
    stands: Interval | Sequence[bool | None] = standing.accuracy
    slices: tuple[Thin, ...] = ()
    if (answers := bench.answers()) is None:
        judge = bench.judge  # prompts' accuracies are by the scorer, so they must be compared with its verdicts
    else:
        stands = judge(dev, answers)
        known = decided(stands)
        decided_dev, right = [dev[at] for at in known], np.array([stands[at] for at in known], dtype=bool)
        accuracy = share_of(right.tolist(), groups_of(decided_dev))
        standing = standing.model_copy(update={"accuracy": accuracy, "n": len(known)})
        slices = thin(train, decided_dev, right, bench.slices(), params.thin_share)
        tried = tried if by_scorer else {}
        if written.demonstrations is not None:
            wrong, learnt = errors(judge, dev, answers, bench.schema)
            written = written.model_copy(update={"errors": wrong, "learnt_errors": learnt})
    trials = _trials(bench, params, len(train))
    return Evidence(
        standing=standing,
        writing=written,
        scoring=scored,
        headroom=_headroom(bench, params, judge, stands, seed),
        learning=_learning(trials, judge, dev, len(train), seed),
        prompts={name: wilson(count, n) for name, (count, n) in tried.items()},
        prompt_examples=min((n for _, n in tried.values()), default=0),
        movement=_movement(bench, seed),
        watch=bench.watch(),
        paying=_paying(bench, trials, seed),
        feedback=bench.feedback(),
        thin=slices,
        at_hand=bench.at_hand(trials),
    )


def none_standing() -> Standing:
    """What stands before the first rung is made."""
    return Standing(name="none", makes=None, accuracy=Interval(value=0.0, low=0.0, high=0.0), n=0)


def _trials(bench: Workbench, params: AdviceParams, demonstrations: int) -> dict[int, Trial]:
    """Trainings on a quarter, a half and all of the demonstrations that a trial may use."""
    largest = min(params.trial_demonstrations, demonstrations)
    sizes = sorted({size for size in (largest // 4, largest // 2, largest) if size})
    tried = {size: bench.learn(size) for size in tqdm(sizes, "trial trainings", leave=False)}
    return {size: trial for size, trial in tried.items() if trial is not None}


def _learning(
    trials: Mapping[int, Trial], judge: Judge, dev: Sequence[Example], demonstrations: int, seed: int
) -> Learning | None:
    verdicts = {size: judge(dev, trial.answers) for size, trial in trials.items()}
    known = decided(*verdicts.values())  # subsets are compared on the same examples
    if not known:
        return None
    passes = {size: [bool(passed[at]) for at in known] for size, passed in verdicts.items()}
    return learning(passes, demonstrations, seed, groups_of([dev[at] for at in known]))


def _headroom(
    bench: Workbench, params: AdviceParams, judge: Judge, stands: Interval | Sequence[bool | None], seed: int
) -> Headroom | None:
    dev = bench.examples("dev")
    chosen = places(dev, params.sampled_examples, seed)
    examples = [dev[place] for place in chosen]
    drawn = bench.sample(examples, params.samples)
    if drawn is None:
        return None
    flat = [each for each in examples for _ in range(params.samples)]
    verdicts = judge(flat, [text for texts in drawn for text in texts])
    verdicts_P_K = np.array(verdicts, dtype=object).reshape(len(examples), params.samples)
    greedy = [] if isinstance(stands, Interval) else [[stands[place] for place in chosen]]
    known = decided(*verdicts_P_K.T.tolist(), *greedy)
    if len(known) < 2:
        return None
    right = stands if isinstance(stands, Interval) else np.array([greedy[0][at] for at in known], dtype=bool)
    return headroom(verdicts_P_K[known].astype(bool), right, groups_of([examples[at] for at in known]))


def _movement(bench: Workbench, seed: int) -> Movement | None:
    name = bench.dated_by()
    return moved([*bench.examples("train"), *bench.examples("dev")], name, bench.schema, seed) if name else None


def _paying(bench: Workbench, trials: Mapping[int, Trial], seed: int) -> dict[Training, Paying]:
    paying: dict[Training, Paying] = {}
    rungs: tuple[Training, ...] = ("imitate", "reward", "prompt_distillation")
    for rung in rungs:
        case = bench.case(rung, trials)
        if case is not None:
            paying[rung] = _pays(*case, seed)
    return paying


def _pays(case: Case, spread: float, horizon_years: float, seed: int) -> Paying:
    """Years to payback by the prices alone, with an interval from the spread of the throughput."""
    rng = np.random.default_rng(seed)
    years = float(payback_years(case))
    drawn = payback_years(case.changed(owned_usd=case.owned_usd * np.exp(rng.normal(0.0, spread, size=_DRAWS))))
    low, high = (float(np.quantile(drawn, share, method="nearest")) for share in (0.025, 0.975))
    return Paying(
        years=_finite(years),
        low=_finite(low),
        high=_finite(high),
        likely=float(np.mean(drawn <= horizon_years)),
        investment_usd=float(case.investment_usd),
        saved_usd_per_year=float(saved_of_year(case, case.calls_per_year)),
        horizon_years=horizon_years,
        case={name: float(value) for name, value in vars(case).items()},
    )


def _finite(years: float) -> float | None:
    return None if years == float("inf") else years
