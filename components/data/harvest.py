"""The harvest: which of production's answers join a workload's data, and which split each of them serves.

Decides what is kept: right answers only, corrected ones before those that were merely scored, none that the data has
already in other words, and no more than a cap of each kind and of each sender. Models are judged by what reviewers
said alone: anybody's word may be learnt from, but neither test nor the sealed split takes it. Where the answers come
from is the caller's business.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

from components.data.similarity import near_duplicates
from components.params import HarvestParams, SplitName, SplitShares
from components.records import Example, Record

HARVEST = "harvest"  # the folder under data/<workload>/
ORIGIN = "origin"  # the slice that tells harvested examples from others
MOST_SEALED, LEAST_TRAIN = 0.5, 0.1  # shares of a harvest, whatever a gate asks for
JUDGING = ("test", "sealed")  # the splits that models are judged by
Source = Literal["corrected", "scored"]


class Candidate(Record):
    """An answer of production that is known to be right: as people corrected it, or as it was scored.

    `sender` says by whose word, as records name it; `reviewed` whether that is a reviewer's.
    """

    trace_id: str
    input: dict[str, str]
    answer: str
    source: Source
    moved: bool = False
    sender: str = ""
    reviewed: bool = False


class Harvested(Record):
    """An example from production, the split that it serves, and whose word it is."""

    example: Example
    split: SplitName
    source: Source
    sender: str = ""
    reviewed: bool = False


def harvest(
    candidates: Sequence[Candidate], known: Collection[Example], similarity: float, params: HarvestParams
) -> list[Harvested]:
    """The candidates to keep, in their order. `known` are the examples of all splits.

    Of near-duplicates (a Jaccard index of at least `similarity`, or others between them) the first one stays, and none
    of a known example does: neither is anything learnt from them, nor may an evaluation split be trained on. Under a
    cap, those of the slices that moved come first.
    """
    ranked = sorted(candidates, key=lambda one: (not one.reviewed, one.source != "corrected", not one.moved))
    fresh = _without_repeats(_of_each_sender(ranked, params.most_by_sender), known, similarity)
    caps = {"corrected": params.most_corrected, "scored": params.most_scored}
    kept = {one.trace_id for source, most in caps.items() for one in [x for x in fresh if x.source == source][:most]}
    return [_example(one, params) for one in candidates if one.trace_id in kept]


def answering(params: HarvestParams, asked: int, candidates: int) -> HarvestParams:
    """Settings under which the sealed split gets as many examples as a gate asked for, but no more than half of them.

    `candidates` counts those by a reviewer's word, which alone are sealed.

    The share of sealed examples only grows, at the cost of test, dev and train in this order; an answer that joined
    the data before is in it already, so that no example changes its split.
    """
    splits = params.splits
    most = max(splits.sealed, min(MOST_SEALED, 1 - LEAST_TRAIN - splits.dev - splits.test))
    sealed = min(most, max(splits.sealed, asked / max(1, candidates)))
    return params.model_copy(update={"splits": splits.model_copy(update={"sealed": sealed})})


def _of_each_sender(ranked: Sequence[Candidate], most: int) -> list[Candidate]:
    """The first of each sender; reviewers have no cap, and the anonymous are one sender."""
    counts: Counter[str] = Counter()
    kept: list[Candidate] = []
    for one in ranked:
        counts[one.sender] += not one.reviewed
        if one.reviewed or counts[one.sender] <= most:
            kept.append(one)
    return kept


def _without_repeats(ranked: Sequence[Candidate], known: Collection[Example], similarity: float) -> list[Candidate]:
    """The candidates that no known example and no candidate before them resembles."""
    texts = ["\n".join(example.input[name] for name in _columns(ranked, example)) for example in known]
    alike = near_duplicates([*texts, *("\n".join(one.input.values()) for one in ranked)], similarity)
    taken, fresh = set(alike[: len(texts)]), list[Candidate]()
    for one, bundle in zip(ranked, alike[len(texts) :], strict=True):
        if bundle not in taken:
            fresh.append(one)
        taken.add(bundle)
    return fresh


def _columns(ranked: Sequence[Candidate], example: Example) -> list[str]:
    """The columns of an example that production's answers name."""
    named = set(ranked[0].input) if ranked else set[str]()
    return [name for name in example.input if name in named]


def _example(one: Candidate, params: HarvestParams) -> Harvested:
    example = Example(
        id=f"P-{one.trace_id}", input=one.input, demonstration=one.answer, reference=one.answer,
        group=f"P-{one.trace_id}", slices={ORIGIN: "production"},
    )  # fmt: skip
    split = _split(one.trace_id, params.splits)
    if split in JUDGING and not one.reviewed:
        split = "train"
    return Harvested(example=example, split=split, source=one.source, sender=one.sender, reviewed=one.reviewed)


def _split(name: str, shares: SplitShares) -> SplitName:
    """By a hash of the name: the same answer serves the same split in every harvest."""
    drawn = int.from_bytes(hashlib.sha256(f"split {name}".encode()).digest()[:8]) / 2**64
    if drawn < shares.sealed:
        return "sealed"
    if drawn < shares.sealed + shares.test:
        return "test"
    return "dev" if drawn < shares.sealed + shares.test + shares.dev else "train"
