"""Who challenges whom on the sealed split: each contender the current champion, the last one the registry's champion.

Decides the order; `components.evaluation` decides who wins. Scores nothing and calls no model.
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
    """A run's contenders on the sealed split, and the registry's champion, if any."""

    run: Run
    evaluated: Evaluations
    standing: Standing

    def decide(self) -> list[Verdict]:
        """All verdicts in order, corrected for the climb's comparisons and for earlier looks.

        One comparison is counted for each contender: the first has none to beat, the last meets the registry's
        champion.
        """
        look, comparisons = self.standing.look, len(self.evaluated.contenders)
        alpha = alpha_of_look(self.run.gate, look)
        return list(holm_climb(alpha, comparisons, lambda corrected: self._walk(Level(look, corrected))))

    def stands(self, verdicts: Sequence[Verdict]) -> str | None:
        """The contender that stands after these verdicts, not counting the registry's champion; None if nobody does."""
        won = [verdict.challenger for verdict in verdicts if verdict.decision == "promoted"]
        return won[-1] if won else None

    def replaces(self, name: str) -> bool:
        """Whether a contender would replace a champion with different files."""
        return self.standing.version is not None and self.standing.digest != answered(self.run, name).digest

    def numbers_of(self, verdict: Verdict) -> GateNumbers:
        """The complete numbers by which a verdict was made."""
        return self._numbers[(verdict.challenger, verdict.champion)]

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
        groups = {example.id: example.group for example in self.sealed}
        return Split(self.run.slices_of(self.sealed), groups, self.run.seed)

    @cached_property
    def _contenders(self) -> dict[str, Contender]:
        cost = {rung.name: rung.cost.usd_per_1k_calls for rung in self.evaluated.rungs}
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
        """The registry's champion, with its answers to today's sealed split."""
        assert self.standing.version is not None
        return contender(self.standing.name, *standing_answers(self.run))


def contender(name: str, completions: Sequence[Completion], judged: Sequence[Judged]) -> Contender:
    """A rung's answers to the sealed split, as the gate compares them."""
    texts = {completion.example_id: completion.given for completion in completions}
    invalid = frozenset(answer.example_id for answer in judged if not answer.valid)
    return Contender(
        name,
        scores_in(judged),
        latency_percentiles(completion.latency_ms for completion in completions).p95,
        undecided={
            completion.example_id: texts[completion.example_id] for completion in judged if completion.score is None
        },
        invalid=invalid,
    )


def winner(verdict: Verdict) -> str | None:
    """Who stands after a verdict; None if nobody does."""
    name = verdict.challenger if verdict.decision == "promoted" else verdict.champion
    return None if name == NO_CHAMPION else name
