"""Who challenges whom on the sealed split: each rung the one that stands, the last to stand the registry's champion.

Decides the order; when a challenger wins is decided in `components.evaluation`. Scores nothing and asks no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from components.evaluation import (
    NO_CHAMPION,
    Contender,
    Level,
    Split,
    alpha_of_look,
    holm_climb,
    judge,
    measure,
    scores_in,
)
from components.evaluation.metrics import latency_percentiles
from components.records import Completion, Example, GateNumbers, Judged, Verdict
from components.stages.answers import answered, completions_of, failed_cases, judged_of
from components.stages.evaluate import Evaluations
from components.stages.run import Run
from components.stages.standing import Standing, standing_answers


@dataclass(frozen=True)
class Climb:
    """A run's contenders on the sealed split, and the champion of an earlier climb where there is one."""

    run: Run
    evaluated: Evaluations
    standing: Standing

    def decide(self) -> list[Verdict]:
        """All verdicts in order, with the correction for the comparisons of the climb and the looks before it.

        One comparison is counted for each contender: the first meets nobody, the last to stand the registry's champion.
        """
        look, comparisons = self.standing.look, len(self.evaluated.contenders)
        alpha = alpha_of_look(self.run.gate, look)
        return list(holm_climb(alpha, comparisons, lambda corrected: self._walk(Level(look, corrected))))

    def stands(self, verdicts: Sequence[Verdict]) -> str | None:
        """The contender that stands after these verdicts, the registry's champion aside; None: nobody does."""
        won = [verdict.challenger for verdict in verdicts if verdict.decision == "promoted"]
        return won[-1] if won else None

    def replaces(self, name: str) -> bool:
        """Whether a contender would replace a champion of other files."""
        return self.standing.version is not None and self.standing.digest != answered(self.run, name).digest

    def _walk(self, level: Level) -> list[Verdict]:
        verdicts: list[Verdict] = []
        champion: Contender | None = None
        for challenger in self._contenders.values():
            verdicts.append(self._verdict(challenger, champion, level))
            champion = challenger if verdicts[-1].decision == "promoted" else champion
        if champion and self.replaces(champion.name):
            verdicts.append(self._verdict(champion, self._registered, level))
        return verdicts

    def _verdict(self, challenger: Contender, champion: Contender | None, level: Level) -> Verdict:
        params, names = self.run.gate, (challenger.name, champion.name if champion else NO_CHAMPION)
        if names not in self._numbers:
            self._numbers[names] = measure(params, challenger, champion, self._split)
        return judge(params, names, self._numbers[names], level)

    @cached_property
    def sealed(self) -> list[Example]:
        """The sealed split."""
        return self.run.asked("sealed")

    @cached_property
    def _numbers(self) -> dict[tuple[str, str], GateNumbers]:
        return {}

    @cached_property
    def _split(self) -> Split:
        groups = {one.id: one.group for one in self.sealed}
        return Split(self.run.slices_of(self.sealed), groups, self.run.seed)

    @cached_property
    def _contenders(self) -> dict[str, Contender]:
        cost = {one.name: one.cost.usd_per_1k_calls for one in self.evaluated.rungs}
        return {
            name: replace(
                contender(name, completions_of(self.run, "sealed", name), judged_of(self.run, "sealed", name)),
                usd_per_1k_calls=cost.get(name),
                failed_cases=failed_cases(self.run, name),
            )
            for name in self.evaluated.contenders
        }

    @cached_property
    def _registered(self) -> Contender:
        """The champion of an earlier climb, by the answers that it gave to today's sealed split."""
        assert self.standing.version is not None
        return contender(self.standing.name, *standing_answers(self.run))


def contender(name: str, completions: Sequence[Completion], judged: Sequence[Judged]) -> Contender:
    """What the gate compares of a rung's answers to the sealed split."""
    texts = {one.example_id: one.given for one in completions}
    invalid = frozenset(answer.example_id for answer in judged if not answer.valid)
    return Contender(
        name,
        scores_in(judged),
        latency_percentiles(one.latency_ms for one in completions).p95,
        undecided={one.example_id: texts[one.example_id] for one in judged if one.score is None},
        invalid=invalid,
    )


def winner(verdict: Verdict) -> str | None:
    """Who stands after a verdict; None: nobody does."""
    name = verdict.challenger if verdict.decision == "promoted" else verdict.champion
    return None if name == NO_CHAMPION else name
