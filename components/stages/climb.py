"""Who challenges whom on the sealed split: each rung the one that stands, the last to stand the registry's champion.

Decides the order and counts the look; when a challenger wins is decided in `components.evaluation`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from components.evaluation import (
    NO_CHAMPION,
    Contender,
    Level,
    alpha_of_look,
    holm_climb,
    judge,
    measure,
    sketch,
)
from components.evaluation.metrics import latency_percentiles
from components.records import Completion, Example, GateNumbers, Verdict, write_jsonl
from components.registry import Version, count_look, standing
from components.scorers import JsonSchemaScorer
from components.stages.answers import answer_registered, model_of, score
from components.stages.evaluate import MUST_PASS, Evaluations, kept
from components.stages.run import Run
from components.stages.rungs import rung


@dataclass(frozen=True)
class Climb:
    """A run's contenders on the sealed split; what is costly to know of them is found out once."""

    run: Run
    evaluated: Evaluations

    def hold(self, run_id: str | None) -> list[Verdict]:
        """All verdicts in order, with the correction for the comparisons of the climb and the looks before it.

        One comparison is counted for each contender: the first meets nobody, the last to stand the registry's champion.
        """
        look = count_look(self.run.workload.name, sketch(self.sealed), self._question(), run_id)
        alpha, comparisons = alpha_of_look(self.run.gate, look), len(self.evaluated.contenders)
        return list(holm_climb(alpha, comparisons, lambda corrected: self._walk(Level(look, corrected))))

    def stands(self, verdicts: Sequence[Verdict]) -> str | None:
        """The contender that stands after these verdicts, the registry's champion aside; None: nobody does."""
        won = [one.challenger for one in verdicts if one.decision == "promoted"]
        return won[-1] if won else None

    def before(self, name: str) -> Version | None:
        """The registry's champion that a contender would replace, if its files are others."""
        if name not in self._before:
            self._before[name] = standing(self.run.workload.name, model_of(self.run, rung(self.run, name)))
        return self._before[name]

    def _walk(self, level: Level) -> list[Verdict]:
        verdicts: list[Verdict] = []
        champion: Contender | None = None
        for challenger in self._contenders.values():
            verdicts.append(self._verdict(challenger, champion, level))
            champion = challenger if verdicts[-1].decision == "promoted" else champion
        if champion and (version := self.before(champion.name)):
            verdicts.append(self._verdict(champion, self._registered(version), level))
        return verdicts

    def _verdict(self, challenger: Contender, champion: Contender | None, level: Level) -> Verdict:
        params, names = self.run.gate, (challenger.name, champion.name if champion else NO_CHAMPION)
        if names not in self._numbers:
            self._numbers[names] = measure(params, challenger, champion, self._slices, self.run.seed)
        return judge(params, names, self._numbers[names], level)

    @cached_property
    def sealed(self) -> list[Example]:
        """The sealed split, which nothing else reads."""
        return self.run.examples("sealed")

    @cached_property
    def _before(self) -> dict[str, Version | None]:
        return {}

    @cached_property
    def _of_versions(self) -> dict[int, Contender]:
        return {}

    @cached_property
    def _numbers(self) -> dict[tuple[str, str], GateNumbers]:
        return {}

    @cached_property
    def _slices(self) -> dict[str, dict[str, str]]:
        return self.run.slices_of(self.sealed)

    @cached_property
    def _contenders(self) -> dict[str, Contender]:
        cost = {one.name: one.cost.usd_per_1k_calls for one in self.evaluated.rungs}
        return {
            name: replace(
                self._contender(name, kept(self.run, "sealed", name)),
                usd_per_1k_calls=cost.get(name),
                failed_cases=failed_cases(self.run, name),
            )
            for name in self.evaluated.contenders
        }

    def _registered(self, version: Version) -> Contender:
        """The champion of an earlier climb on today's sealed split, which it answers for the first time."""
        if version.number not in self._of_versions:
            completions = answer_registered(self.run, version, self.sealed).completions
            write_jsonl(self.run.folder / "gate" / f"version_{version.number}.jsonl", completions)
            name = f"version {version.number} ({version.method})"
            self._of_versions[version.number] = self._contender(name, completions)
        return self._of_versions[version.number]

    def _contender(self, name: str, completions: Sequence[Completion]) -> Contender:
        schema = JsonSchemaScorer(self.run.workload.output)
        by_id = {completion.example_id: completion for completion in completions}
        scores = score(self.run, self.sealed, completions)
        judged = [example for example in self.sealed if example.id in scores]
        valid = sum(schema.score(example, by_id[example.id]).passed for example in judged)
        latency = latency_percentiles(completion.latency_ms for completion in completions)
        return Contender(name, scores, valid, latency.p95)

    def _question(self) -> str:
        """A hash of who challenges with which answers: asked again, it is no further look."""
        total = hashlib.sha256()
        for name in self.evaluated.contenders:
            for one in sorted(kept(self.run, "sealed", name), key=lambda found: found.example_id):
                total.update(f"{name}\n{one.example_id}\n{one.text}\n".encode())
        return total.hexdigest()[:16]


def failed_cases(run: Run, name: str) -> tuple[str, ...]:
    """The must-pass cases that a contender does not answer right."""
    if not (cases := run.must_pass):
        return ()
    scores = score(run, cases, kept(run, MUST_PASS, name))
    return tuple(case.id for case in cases if case.id not in scores or not scores[case.id].passed)


def winner(verdict: Verdict) -> str | None:
    """Who stands after a verdict; None: nobody does."""
    name = verdict.challenger if verdict.decision == "promoted" else verdict.champion
    return None if name == NO_CHAMPION else name
