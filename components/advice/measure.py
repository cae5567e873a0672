"""How the evidence is measured: agreement, a scorer's errors, headroom, movement. Pure: answers and scores in."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.advice.at_hand import Thin
from components.advice.evidence import Headroom, Movement, Scoring, Writing, above
from components.errors import DataError
from components.evaluation.clusters import design
from components.evaluation.metrics import share_of
from components.evaluation.paired import mean_of, tango
from components.evaluation.perturbations import mistakes
from components.records import Example, Interval, to_json

# (examples, answers) → whether each passes, None where the scorer could not decide.
Judge = Callable[[Sequence[Example], Sequence[str]], Sequence[bool | None]]
Second = tuple[Example, str]  # an example, and another person's answer to the same input


def writing(judge: Judge, train: Sequence[Example], dev: Sequence[Example], seconds: Sequence[Second]) -> Writing:
    """How far people agree on the answer, and how often demonstrations are right where a reference says so."""
    agreed = [bool(one) for one in judge([first for first, _ in seconds], [text for _, text in seconds])]
    told = [one for one in dev if one.demonstration != one.reference]
    right = None
    if told:  # somebody else than the demonstrator says what is right
        passed = judge(dev, [one.demonstration for one in dev])
        right = share_of(map(bool, passed), groups_of(dev))
    return Writing(
        examples=len(train),
        agreement=share_of(agreed, groups_of([first for first, _ in seconds])) if agreed else None,
        pairs=len(agreed),
        by_field=_by_field(seconds),
        demonstrations=right,
    )


def groups_of(examples: Sequence[Example]) -> list[str]:
    """The group of each example; one without is a group of its own."""
    return [one.group or one.id for one in examples]


def same_answers(examples: Sequence[Example], answers: Sequence[str]) -> list[bool | None]:
    """A judge that trusts the reference alone: the same object, or the same text."""
    return [_same(answer, one.reference) for one, answer in zip(examples, answers, strict=True)]


def errors(judge: Judge, dev: Sequence[Example], answers: Sequence[str]) -> tuple[Interval, Interval]:
    """The shares of dev examples that are answered wrong, and wrong exactly as the demonstration has it."""
    wrong = [not one for one in judge(dev, answers)]
    learnt = [
        odd and _same(answer, one.demonstration) and not _same(one.demonstration, one.reference)
        for one, answer, odd in zip(dev, answers, wrong, strict=True)
    ]
    return share_of(wrong, groups_of(dev)), share_of(map(bool, learnt), groups_of(dev))


def scoring(judge: Judge, examples: Sequence[Example], seed: int) -> Scoring | None:
    """A scorer's errors on references (which are right) and on references with one field of another example (wrong).

    None where there are no references to try it on.
    """
    donors = [_object(one.reference) for one in examples]
    wrong = [found for one in examples for found in wrong_answers(one, donors, seed)]
    if not wrong:
        return None
    refused = judge(examples, [one.reference for one in examples])
    passed = judge([one for one, _, _ in wrong], [text for _, _, text in wrong])
    # The right answers again, beside a reference that is none: a scorer that reads it now refuses them.
    exchanged = [one.model_copy(update={"reference": text}) for one, _, text in wrong]
    blind = judge(exchanged, [one.reference for one, _, _ in wrong])
    seen = [(of, one) for of, one in zip(examples, refused, strict=True) if one is not None]
    told = [(of, field, one) for (of, field, _), one in zip(wrong, passed, strict=True) if one is not None]
    if not seen or not told:
        return None
    return Scoring(
        false_negatives=share_of((not one for _, one in seen), groups_of([of for of, _ in seen])),
        false_positives=share_of((one for *_, one in told), groups_of([of for of, *_ in told])),
        n=len(seen) + len(told),
        source="references, and references with one field exchanged",
        reads_reference=sum(map(bool, blind)) / len(blind) < sum(one for _, one in seen) / len(seen) / 2,
        unseen=_unseen([(field, one) for _, field, one in told]),
        failures=1 - (len(seen) + len(told)) / (len(refused) + len(passed)),
    )


def wrong_answers(example: Example, donors: Sequence[Mapping[str, Any]], seed: int) -> list[tuple[Example, str, str]]:
    """(example, field, answer) with one field of the reference exchanged for a donor's, each field in turn."""
    described: dict[str, Any] = {"properties": {field: {} for field in _object(example.reference)}}
    found = mistakes(example.reference, described, donors, random.Random(f"{seed} {example.id}"))
    return [(example, field, text) for field, text in found.items()]


def headroom(
    passed_P_K: NDArray[Any], stands: Interval | NDArray[Any], groups: Sequence[str] | None = None
) -> Headroom:
    """What k answers to each of P prompts say, right or wrong; `groups` names the group of each prompt.

    pass@1 has the score interval for bounded means, pass@k Wilson's, both as wide as groups make them. `stands` is what
    the rung answers greedily: right or wrong for each of the P prompts, or its accuracy elsewhere.

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

    The most harmful first; `right_P` says which dev examples are answered right. Ten of dev are the least that tell.
    """
    groups, found = np.array(groups_of(dev)), list[Thin]()
    for name in names:
        had = np.array([one.slices.get(name) for one in dev], dtype=object)
        known = Counter(one.slices.get(name) for one in train)
        for value in sorted({one for one in had if one is not None}):
            inside, of_train = had == value, known[value] / max(1, len(train))
            if of_train >= share or min(inside.sum(), (~inside).sum()) < 10:
                continue
            rest, own = (share_of(right_P[part].tolist(), groups[part].tolist()) for part in (~inside, inside))
            behind = above(rest, own)
            if behind.value > 0:
                wrong = Interval(value=1 - own.value, low=1 - own.high, high=1 - own.low)
                found.append(Thin(name=f"{name} {value}", train_share=of_train, dev_share=float(inside.mean()),
                                  wrong=wrong, behind=behind))  # fmt: skip
    return tuple(sorted(found, key=lambda one: -one.dev_share * one.behind.value))


def _gap(ever: NDArray[Any], stands: NDArray[Any], groups: Sequence[str] | None) -> Interval:
    """By how much pass@k is above what the rung answers to the same prompts."""
    change = ever.astype(float) - stands.astype(float)
    of_groups = design(change, groups, (-1.0, 1.0))
    return tango(int((change > 0).sum()), int((change < 0).sum()), len(change), design=of_groups)


def movement(examples: Sequence[Example], dated_by: str, fields: Sequence[str], seed: int) -> Movement | None:
    """How far the labels of dated examples moved between the earlier and the later half; the field that moved most.

    The p-value is that of a permutation of dates, corrected for the number of fields (Bonferroni). None where fewer
    than 40 examples have a date.
    """
    dated = sorted(
        ((when, _object(one.reference)) for one in examples if (when := _date(one, dated_by))), key=lambda row: row[0]
    )
    if len(dated) < 40 or dated[0][0] == dated[-1][0]:
        return None
    rng, span = np.random.default_rng(seed), (dated[-1][0] - dated[0][0]).days / 365.25
    found: list[Movement] = []
    for field in fields:
        values = [to_json(answer.get(field)) for _, answer in dated]
        if len(set(values)) > len(values) / 5:  # free values, each almost of its own
            continue
        codes = np.unique(values, return_inverse=True)[1]
        distance, beyond = _moved(codes), 0
        for _ in range(200):
            beyond += _moved(rng.permutation(codes)) >= distance
        p_value = min(1.0, len(fields) * (beyond + 1) / 201)
        half = len(values) // 2
        new = tuple(sorted(set(values[half:]) - set(values[:half])))
        found.append(Movement(field=field, distance=distance, p_value=p_value, span_years=span, new_labels=new))
    return max(found, key=lambda one: (-one.p_value, one.distance), default=None)


def _moved(codes: NDArray[Any]) -> float:
    """Total variation between the label shares of the first and the second half."""
    half, n = len(codes) // 2, codes.max() + 1
    before, after = (np.bincount(part, minlength=n) / len(part) for part in (codes[:half], codes[half:]))
    return float(np.abs(before - after).sum() / 2)


def _by_field(seconds: Sequence[Second]) -> dict[str, float]:
    """How often two people wrote the same value, by field, the least agreed first."""
    same: dict[str, list[bool]] = {}
    for first, second in seconds:
        one, other = _object(first.reference), _object(second)
        for field in one:
            same.setdefault(field, []).append(field in other and one[field] == other[field])
    shares = {field: sum(found) / len(found) for field, found in same.items()}
    return dict(sorted(shares.items(), key=lambda item: item[1]))


def _unseen(told: Sequence[tuple[str, bool]]) -> tuple[str, ...]:
    """Fields whose change passed in more than half of the tries."""
    tries, passes = Counter(field for field, _ in told), Counter(field for field, passed in told if passed)
    return tuple(field for field, n in tries.items() if passes[field] > n / 2)


def _same(one: str, other: str) -> bool:
    return one == other or (_json(one) is not None and _json(one) == _json(other))


def _object(text: str) -> Mapping[str, Any]:
    """The JSON object that a text is, an empty one where it is none."""
    found = _json(text)
    return found if isinstance(found, dict) else {}


def _json(text: str) -> Any:
    """The value that a text is, None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _date(example: Example, name: str) -> date | None:
    text = example.input.get(name) or example.slices.get(name, "")
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
