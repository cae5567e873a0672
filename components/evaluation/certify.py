"""A scorer on trial before anything is optimised against it: how wrong it is, and what it lets through.

Decides what is measured: error rates, agreement, repetition, changes that should and should not matter, cheap tricks.
Where answers and their labels come from is `labelled`'s, what counts as too wrong `certificate`'s; scoring is given.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from components.errors import ScorerError
from components.evaluation.agreement import Share, cohens_kappa, kappa_interval, krippendorffs_alpha, share
from components.evaluation.certificate import Certificate, Exploit, below_floor
from components.evaluation.exploits import Usual, exploits
from components.evaluation.labelled import Labelled, Source, origins, parsed
from components.evaluation.perturbations import mistakes, rewritten
from components.params import CertificateParams, ProbeParams
from components.records import Completion, Example, Interval, Score
from components.schema import fields_of
from components.scorers import Outcome, Pair
from components.scorers.answers import NotAnAnswer, read

SAME = 1e-9  # between values of a score
BATCH = 256

Judge = Callable[[Sequence[Pair]], Sequence[Outcome]]


@dataclass(frozen=True)
class Trial:
    """What a scorer is tried on: examples for changes and tricks, a labelled sample, and what the workload is like.

    `asked` is the text that a model is given for an example; `answers` are known ones, for tricks to be made of.
    """

    workload: str
    schema: Mapping[str, Any]
    sample: Sequence[Labelled]
    source: Source
    examples: Sequence[Example]
    asked: Callable[[Example], str]
    answers: Sequence[str]
    probes: ProbeParams
    seed: int


def certify(trial: Trial, judge: Judge, params: CertificateParams) -> Certificate:
    """Try a scorer, and hold the figures against the floor. A failure of the scorer is counted, never a verdict."""
    clerk = Clerk(judge)
    answers = [(labelled.example, labelled.text) for labelled in trial.sample]
    verdicts, *repeated = [clerk.scores(answers, "error rates and repetition") for _ in range(params.repetitions)]
    right = clerk.scores([(example, example.reference) for example in trial.examples], "references")
    kappa, alpha, people_alpha = agreement(trial.sample, verdicts)
    certificate = Certificate(
        workload=trial.workload,
        source=trial.source,
        origins=origins(trial.sample),
        false_positive=error_rate(trial.sample, verdicts, right=False),
        false_negative=error_rate(trial.sample, verdicts, right=True),
        kappa=kappa,
        kappa_range=kappa_range(trial.sample, verdicts),
        alpha=alpha,
        people_alpha=people_alpha,
        repeatable=repeatable(trial.sample, [verdicts, *repeated]),
        indifferent=indifference(trial, clerk, right),
        sensitive=sensitivity(trial, clerk, right),
        exploits=tricks(trial, clerk),
        scored=clerk.scored,
        failed=clerk.failed,
        failure=clerk.failure,
        override=params.override.get(trial.workload),
    )
    return certificate.model_copy(update={"reasons": tuple(below_floor(certificate, params))})


class Clerk:
    """Has answers scored in batches, and counts those on which the scorer fails."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.scored, self.failed, self.failure = 0, 0, ""

    def scores(self, asked: Sequence[tuple[Example, str]], what: str) -> list[Score | None]:
        """The score of each answer, None where the scorer could not decide."""
        return self.judged([(example, Completion.of_text(example.id, text)) for example, text in asked], what)

    def judged(self, pairs: Sequence[Pair], what: str) -> list[Score | None]:
        """The score of each completion, None where the scorer could not decide."""
        scores: list[Score | None] = []
        for start in tqdm(range(0, len(pairs), BATCH), f"certify: {what}", leave=False):
            scores += [self._decided(outcome) for outcome in self._judge(pairs[start : start + BATCH])]
        return scores

    def _decided(self, outcome: Outcome) -> Score | None:
        self.scored += 1
        if isinstance(outcome, ScorerError):
            self.failed += 1
            self.failure = self.failure or str(outcome)
            return None
        return outcome


def _cluster(example: Example) -> str:
    """Answers about one example are alike, and so are those about examples of one group."""
    return example.group or example.id


def error_rate(sample: Sequence[Labelled], verdicts: Sequence[Score | None], *, right: bool) -> Share | None:
    """The share of wrong answers that pass, or of right ones that do not; None where there is none of the kind."""
    mistaken = [
        (_cluster(labelled.example), verdict.passed != right)
        for labelled, verdict in zip(sample, verdicts, strict=True)
        if verdict is not None and labelled.right == right
    ]
    return share(mistaken) if mistaken else None


def agreement(
    sample: Sequence[Labelled], verdicts: Sequence[Score | None]
) -> tuple[float | None, float | None, float | None]:
    """Kappa between the scorer and the labels; alpha with the scorer as one more rater; alpha of the people alone."""
    judged = [
        (labelled, verdict.passed) for labelled, verdict in zip(sample, verdicts, strict=True) if verdict is not None
    ]
    kappa = (
        cohens_kappa([labelled.right for labelled, _ in judged], [passes for _, passes in judged]) if judged else None
    )
    raters = [{**(labelled.people or {"labels": labelled.right}), "scorer": passes} for labelled, passes in judged]
    return kappa, krippendorffs_alpha(raters), krippendorffs_alpha([labelled.people for labelled in sample])


def kappa_range(sample: Sequence[Labelled], verdicts: Sequence[Score | None]) -> Interval | None:
    """The interval of kappa; answers about examples of one group are a cluster."""
    judged = [
        (labelled, verdict.passed) for labelled, verdict in zip(sample, verdicts, strict=True) if verdict is not None
    ]
    if not judged:
        return None
    clusters = [_cluster(labelled.example) for labelled, _ in judged]
    return kappa_interval(clusters, [labelled.right for labelled, _ in judged], [passes for _, passes in judged])


def repeatable(sample: Sequence[Labelled], again: Sequence[Sequence[Score | None]]) -> Share | None:
    """The share of answers that every repetition scored the same."""
    same = [
        (_cluster(labelled.example), max(values) - min(values) <= SAME)
        for labelled, *scores in zip(sample, *again, strict=True)
        if len(values := [score.value for score in scores if score is not None]) == len(scores)
    ]
    return share(same) if same else None


def indifference(trial: Trial, clerk: Clerk, right: Sequence[Score | None]) -> dict[str, Share]:
    """By kind of rewriting: the share of right answers that scored as before."""
    variants = [rewritten(example.reference, trial.probes.synonyms, trial.schema) for example in trial.examples]
    return _compared(trial.examples, variants, right, clerk, lambda was, now: abs(now - was) <= SAME)


def sensitivity(trial: Trial, clerk: Clerk, right: Sequence[Score | None]) -> dict[str, Share]:
    """By field: the share of right answers that scored lower with the field wrong."""
    rng, donors = random.Random(trial.seed), parsed(trial.examples, trial.schema)
    variants = [mistakes(example.reference, trial.schema, donors, rng) for example in trial.examples]
    ignored = set(trial.probes.ignored)
    passed_over = {field.name for field in fields_of(trial.schema).places if {field.name, field.top} & ignored}
    kept = [{key: text for key, text in texts.items() if key not in passed_over} for texts in variants]
    return _compared(trial.examples, kept, right, clerk, lambda was, now: now < was - SAME)


def tricks(trial: Trial, clerk: Clerk) -> dict[str, Exploit]:
    """What each cheap trick earns, and how often it passes, where the reference is another answer."""
    usual = Usual.of(trial.answers)
    tried = [exploits(trial.asked(example), trial.schema, usual) for example in trial.examples]
    earned: dict[str, Exploit] = {}
    for name in dict.fromkeys(name for texts in tried for name in texts):
        asked = [
            (example, texts[name])
            for example, texts in zip(trial.examples, tried, strict=True)
            if name in texts and not _same(texts[name], example.reference, trial.schema)
        ]
        scores = clerk.scores(asked, f"trick {name}")
        tried_on = zip(asked, scores, strict=True)
        decided = [(_cluster(example), score) for (example, _), score in tried_on if score is not None]
        if decided:
            value = sum(score.value for _, score in decided) / len(decided)
            passed = share([(key, score.passed) for key, score in decided])
            earned[name] = Exploit(value=value, passed=passed, answer=asked[0][1][:300])
    return earned


def _compared(
    examples: Sequence[Example],
    variants: Sequence[Mapping[str, str]],
    right: Sequence[Score | None],
    clerk: Clerk,
    holds: Callable[[float, float], bool],
) -> dict[str, Share]:
    """Kind of variant → the share for which the values of the reference and of the variant are as they should."""
    rows = [
        (kind, example, score, text)
        for example, score, texts in zip(examples, right, variants, strict=True)
        if score is not None
        for kind, text in texts.items()
    ]
    scores = clerk.scores([(example, text) for _, example, _, text in rows], "changes")
    by_kind: dict[str, list[tuple[str, bool]]] = {}
    for (kind, example, before, _), after in zip(rows, scores, strict=True):
        if after is not None:
            by_kind.setdefault(kind, []).append((_cluster(example), holds(before.value, after.value)))
    return {kind: share(verdicts) for kind, verdicts in by_kind.items()}


def _same(text: str, reference: str, schema: Mapping[str, Any]) -> bool:
    try:
        return read(text, schema) == read(reference, schema)
    except NotAnAnswer:
        return text.strip() == reference.strip()
