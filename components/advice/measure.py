"""Measures the evidence: agreement, a scorer's errors, headroom, movement. Pure: takes answers and scores."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.advice.at_hand import Thin
from components.advice.evidence import Headroom, Movement, Scoring, Writing, above
from components.errors import DataError, ScorerError
from components.evaluation.clusters import design
from components.evaluation.labelled import parsed
from components.evaluation.metrics import share_of
from components.evaluation.paired import mean_of, tango
from components.evaluation.perturbations import mistakes
from components.records import Example, Interval, to_json
from components.scorers.answers import Answer, NotAnAnswer, read

# (examples, answers) → whether each passes, None where the scorer failed; raises ScorerError where it fails too often.
Judge = Callable[[Sequence[Example], Sequence[str]], Sequence[bool | None]]
Second = tuple[Example, str]  # an example, and another person's answer to the same input
_PERMUTATIONS = 200  # for each judged field


def writing(
    judge: Judge, train: Sequence[Example], dev: Sequence[Example], seconds: Sequence[Second], schema: Answer
) -> Writing:
    """How often people agree on the answer, and how often demonstrations are right; `schema` is that of an answer."""
    agreed = _passed(judge, [first for first, _ in seconds], [text for _, text in seconds])
    corrected = [each for each in dev if each.demonstration != each.reference]
    # If none is corrected, references just repeat the demonstrations.
    right = _passed(judge, dev, [each.demonstration for each in dev]) if corrected else []
    return Writing(
        examples=len(train),
        agreement=_share(agreed) if agreed else None,
        pairs=len(agreed),
        by_field=_by_field(seconds, schema),
        demonstrations=_share(right) if right else None,
    )


def groups_of(examples: Sequence[Example]) -> list[str]:
    """The group of each example; an example without one is a group of its own."""
    return [example.group or example.id for example in examples]


def decided(*verdicts: Sequence[bool | None]) -> list[int]:
    """The places where the scorer decided in every row of verdicts: its failures are left out of all shares."""
    return [at for at, row in enumerate(zip(*verdicts, strict=True)) if None not in row]


def same_answers(examples: Sequence[Example], answers: Sequence[str], schema: Answer) -> list[bool | None]:
    """A judge that only compares with the reference: the same answer by the schema, or the same text."""
    return [_same(answer, example.reference, schema) for example, answer in zip(examples, answers, strict=True)]


def errors(judge: Judge, dev: Sequence[Example], answers: Sequence[str], schema: Answer) -> tuple[Interval, Interval]:
    """The shares of dev examples that are answered wrong, and that repeat the demonstration's error."""
    verdicts = judge(dev, answers)
    known = decided(verdicts)
    wrong = [(dev[at], not verdicts[at]) for at in known]
    learnt = [
        (example, is_wrong and _is_learnt(example, answers[at], schema))
        for at, (example, is_wrong) in zip(known, wrong, strict=True)
    ]
    return _share(wrong), _share(learnt)


def _is_learnt(example: Example, answer: str, schema: Answer) -> bool:
    """Whether an answer is the demonstration's, where that is not the right one."""
    taught = example.demonstration
    return _same(answer, taught, schema) and not _same(taught, example.reference, schema)


def _passed(judge: Judge, examples: Sequence[Example], answers: Sequence[str]) -> list[tuple[Example, bool]]:
    """The examples that the scorer decides on, and whether their answers pass."""
    pairs = zip(examples, judge(examples, answers), strict=True)
    return [(example, passed) for example, passed in pairs if passed is not None]


def _share(outcomes: Sequence[tuple[Example, bool]]) -> Interval:
    return share_of([outcome for _, outcome in outcomes], groups_of([example for example, _ in outcomes]))


def scoring(judge: Judge, examples: Sequence[Example], schema: Answer, seed: int) -> Scoring | None:
    """A scorer's errors on references (right) and on references with one field wrong.

    None if there are no references to test it on.

    Raises:
        ScorerError: It fails too often.
    """
    donors = parsed(examples, schema)
    wrong = [wrong_answer for each in examples for wrong_answer in wrong_answers(each, donors, schema, seed)]
    if not wrong:
        return None
    refused = judge(examples, [each.reference for each in examples])
    passed = judge([each for each, _, _ in wrong], [text for _, _, text in wrong])
    seen = [(of, each) for of, each in zip(examples, refused, strict=True) if each is not None]
    tested = [(of, field, each) for (of, field, _), each in zip(wrong, passed, strict=True) if each is not None]
    if not seen or not tested:
        return None
    return Scoring(
        false_negatives=share_of((not each for _, each in seen), groups_of([of for of, _ in seen])),
        false_positives=share_of((each for *_, each in tested), groups_of([of for of, *_ in tested])),
        n=len(seen) + len(tested),
        source="references, and references with one field exchanged",
        reads_reference=_reads_reference(judge, wrong, sum(each for _, each in seen) / len(seen)),
        unseen=_unseen([(field, each) for _, field, each in tested]),
        failures=1 - (len(seen) + len(tested)) / (len(refused) + len(passed)),
    )


def _reads_reference(judge: Judge, wrong: Sequence[tuple[Example, str, str]], usual: float) -> bool:
    """Whether right answers with a wrong reference pass less than half as often as usual, or cannot be decided."""
    exchanged = [each.model_copy(update={"reference": text}) for each, _, text in wrong]
    try:
        passed = judge(exchanged, [each.reference for each, _, _ in wrong])
    except ScorerError:  # no such reference can be read, as a query on tables that are not there
        return True
    return sum(map(bool, passed)) / len(passed) < usual / 2


def wrong_answers(
    example: Example, donors: Sequence[Answer], schema: Answer, seed: int
) -> list[tuple[Example, str, str]]:
    """(example, field, answer), where the answer is the reference with that field another label's or a donor's."""
    by_field = mistakes(example.reference, schema, donors, random.Random(f"{seed} {example.id}"))
    return [(example, field, text) for field, text in by_field.items()]


def headroom(
    passed_P_K: NDArray[Any], stands: Interval | NDArray[Any], groups: Sequence[str] | None = None
) -> Headroom:
    """Headroom from k right or wrong answers to each of P prompts; `groups` names the group of each prompt.

    pass@1 has the score interval for bounded means, pass@k Wilson's, both widened for groups. `stands` is the rung's
    greedy result: right or wrong for each of the P prompts, or its accuracy on other prompts.

    Raises:
        DataError: The array is not P × K with at least two of each.
    """
    if passed_P_K.ndim != 2 or min(passed_P_K.shape) < 2:
        raise DataError(f"expected several answers to several prompts, found shape {passed_P_K.shape}")
    n, k = passed_P_K.shape
    ever = np.asarray(passed_P_K.any(axis=1))
    alike = passed_P_K.min(axis=1) == passed_P_K.max(axis=1)
    pass_k = share_of(ever.tolist(), groups)
    gap = above(pass_k, stands) if isinstance(stands, Interval) else _gap(ever, stands, groups)
    return Headroom(
        k=k,
        n=n,
        pass_1=mean_of(passed_P_K.mean(axis=1), groups, (0.0, 1.0)),
        pass_k=pass_k,
        gap=gap,
        zero_variance=share_of(alike.tolist(), groups),
    )


def thin(
    train: Sequence[Example], dev: Sequence[Example], right_P: NDArray[Any], names: Sequence[str], share: float
) -> tuple[Thin, ...]:
    """Values of slices that less than `share` of train has and that are answered worse than the rest of dev.

    The most harmful first; `right_P` says which dev examples are answered right. Needs ten dev examples on either side.
    """
    groups, slices = np.array(groups_of(dev), dtype=object), list[Thin]()
    for name in names:
        had = np.array([each.slices.get(name) for each in dev], dtype=object)
        train_counts = Counter(each.slices.get(name) for each in train)
        for value in sorted({each for each in had if each is not None}):
            inside, of_train = had == value, train_counts[value] / max(1, len(train))
            if of_train >= share or min(inside.sum(), (~inside).sum()) < 10:
                continue
            rest, own = (share_of(right_P[part].tolist(), groups[part].tolist()) for part in (~inside, inside))
            behind = above(rest, own)
            if behind.value > 0:
                wrong = Interval(value=1 - own.value, low=1 - own.high, high=1 - own.low)
                slices.append(Thin(name=f"{name} {value}", train_share=of_train, dev_share=float(inside.mean()),
                                  wrong=wrong, behind=behind))  # fmt: skip
    return tuple(sorted(slices, key=lambda each: -each.dev_share * each.behind.value))


def _gap(ever: NDArray[Any], stands: NDArray[Any], groups: Sequence[str] | None) -> Interval:
    """pass@k less the rung's accuracy on the same prompts."""
    change = ever.astype(float) - stands.astype(float)
    of_groups = design(change, groups, (-1.0, 1.0))
    return tango(int((change > 0).sum()), int((change < 0).sum()), len(change), design=of_groups)


def movement(examples: Sequence[Example], dated_by: str, schema: Answer, seed: int) -> Movement | None:
    """How far labels moved between the earlier and the later half of dated examples, for the field that moved most.

    Fields of free text, where nearly every value is different, are not judged. The p-value is from permuting dates,
    corrected for the number of judged fields (Bonferroni). None if fewer than 40 examples have a date.
    """
    dated = sorted(
        ((when, _read(each.reference, schema) or {}) for each in examples if (when := _date(each, dated_by))),
        key=lambda row: row[0],
    )
    if len(dated) < 40 or dated[0][0] == dated[-1][0]:
        return None
    rng, span = np.random.default_rng(seed), (dated[-1][0] - dated[0][0]).days / 365.25
    by_field = {field: [to_json(answer.get(field)) for _, answer in dated] for field in schema["properties"]}
    judged = {field: values for field, values in by_field.items() if len(set(values)) <= len(values) / 5}
    movements = [
        Movement(field=field, span_years=span, **_moved(values, len(judged), rng)) for field, values in judged.items()
    ]
    return max(movements, key=lambda each: (-each.p_value, each.distance), default=None)


def _moved(values: Sequence[str], judged: int, rng: np.random.Generator) -> dict[str, Any]:
    """How far a field's values moved between their halves, with the p-value and the labels that are new.

    Permutations are drawn in proportion to the number of judged fields, so that the correction for it leaves the least
    p-value where it is. Of a permutation only the labels' counts in its first half matter.
    """
    half, codes = len(values) // 2, np.unique(values, return_inverse=True)[1]
    both = np.bincount(codes)
    distance = _distance(np.bincount(codes[:half], minlength=len(both)), both)
    drawn = (rng.multivariate_hypergeometric(both, half, size=_PERMUTATIONS) for _ in range(judged))
    beyond = sum(int((_distance(early, both) >= distance).sum()) for early in drawn)
    p_value = min(1.0, judged * (beyond + 1) / (judged * _PERMUTATIONS + 1))
    new = tuple(sorted(set(values[half:]) - set(values[:half])))
    return {"distance": float(distance), "p_value": p_value, "new_labels": new}


def _distance(early: NDArray[Any], both: NDArray[Any]) -> Any:
    """Total variation between the label shares of the halves, from the labels' counts in the first and in both.

    The shares a / h and (c − a) / (n − h) differ by (a n − h c) / (h (n − h)): whole numbers, so that ties are exact.
    """
    n, half = int(both.sum()), int(both.sum()) // 2
    return np.abs(early * n - half * both).sum(axis=-1) / (2 * half * (n - half))


def _by_field(seconds: Sequence[Second], schema: Answer) -> dict[str, float]:
    """How often two people wrote the same value, by field, the least agreed first."""
    same: dict[str, list[bool]] = {}
    for first, second in seconds:
        mine, theirs = _read(first.reference, schema) or {}, _read(second, schema) or {}
        for field in mine:
            same.setdefault(field, []).append(field in theirs and mine[field] == theirs[field])
    shares = {field: sum(agreed) / len(agreed) for field, agreed in same.items()}
    return dict(sorted(shares.items(), key=lambda item: item[1]))


def _unseen(tested: Sequence[tuple[str, bool]]) -> tuple[str, ...]:
    """Fields whose change passed the scorer in more than half of the tests."""
    tries, passes = Counter(field for field, _ in tested), Counter(field for field, passed in tested if passed)
    return tuple(field for field, n in tries.items() if passes[field] > n / 2)


def _same(text: str, other: str, schema: Answer) -> bool:
    answer = _read(text, schema)
    return text == other or (answer is not None and answer == _read(other, schema))


def _read(text: str, schema: Answer) -> Answer | None:
    """The answer in a text; None if it has none."""
    try:
        return read(text, schema)
    except NotAnAnswer:
        return None


def _date(example: Example, name: str) -> date | None:
    text = example.input.get(name) or example.slices.get(name, "")
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
