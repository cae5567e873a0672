"""The harvest: which of production's answers join a workload's data, and which split each of them serves.

Decides what is kept: right answers only, corrected ones before those that were merely scored, none that the data has
already in other words, and no more than a cap of each kind and of each sender. Models are judged by requests that were
drawn before anybody knew how they were answered, and that reviewers labelled in full: what feedback brings is selected
by whether the champion was right, and whoever is judged by it looks better than the champion. It is learnt from, and
fills dev; what was drawn is never learnt from. An agent's tries train alone: to be judged by a task, a model has to try
it, and how its environment began in production nobody knows. Where the answers come from is the caller's business.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Literal

from components.data.masking import mask
from components.data.shares import falls_in
from components.data.similarity import near_duplicates
from components.params import HarvestParams, SplitName, SplitShares
from components.records import Example, Record
from components.tasks import heard_in

HARVESTED = "P-"  # before the id of an answer in the id of its example
HARVEST = "harvest"  # the folder under data/<workload>/
SPLIT = "split"  # the purpose of the draw: the same answer serves the same split in every harvest
ORIGIN = "origin"  # the slice that tells harvested examples from others
MOST_SEALED = 0.9  # of what was drawn to judge by, whatever a gate asks for
Source = Literal["corrected", "scored"]


class Candidate(Record):
    """An answer of production that is known to be right: as people corrected it, or as it was scored.

    `sender` says by whose word, as records name it, None of a scorer's or a judge's; `reviewed` whether that is a
    reviewer's; `drawn` whether it was set aside for labelling before it was answered, and so may judge models. Of an
    agent's try, `answer` is the try as a demonstration, and `heard` what it was told on its way; None of an answer.
    """

    trace_id: str
    input: dict[str, str]
    answer: str
    source: Source
    moved: bool = False
    sender: str | None = ""
    reviewed: bool = False
    drawn: bool = False
    heard: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The id of the example that it becomes, the same in every harvest."""
        return f"{HARVESTED}{self.trace_id}"

    @property
    def asked(self) -> str:
        """What tells it from others."""
        return "\n".join((*self.input.values(), *(self.heard or ())))


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
    of a known example does: neither is anything learnt from them, nor may an evaluation split be trained on. Those that
    were drawn come first, as they came, and have no cap: a choice among them would be one by how they were answered.
    Under a cap, those of the slices that moved come first.
    """
    names = {example.id for example in known}  # what the data have uses up no sender's cap
    ranked = sorted((candidate for candidate in candidates if candidate.name not in names), key=_rank)
    fresh = _without_repeats(_of_each_sender(ranked, params.most_by_sender), known, similarity)
    caps = {"corrected": params.most_corrected, "scored": params.most_scored}
    free = [candidate for candidate in fresh if not candidate.drawn]
    kept = {
        candidate.trace_id
        for source, most in caps.items()
        for candidate in [x for x in free if x.source == source][:most]
    }
    kept |= {candidate.trace_id for candidate in fresh if candidate.drawn}
    return [_example(candidate, params) for candidate in candidates if candidate.trace_id in kept]


def answering(params: HarvestParams, asked: int, candidates: int) -> HarvestParams:
    """Settings under which the sealed split gets as many examples as a gate asked for, at the cost of test.

    `candidates` counts those that were drawn to judge by. The share of sealed examples only grows; an answer that
    joined the data before is in it already, so that no example changes its split.
    """
    splits = params.splits
    judging = splits.sealed + splits.test
    sealed = max(splits.sealed, judging * min(MOST_SEALED, asked / max(1, candidates)))
    changed = splits.model_copy(update={"sealed": sealed, "test": judging - sealed})
    return params.model_copy(update={"splits": changed})


def _rank(candidate: Candidate) -> tuple[bool, ...]:
    """Which of two near-duplicates, or under a cap, comes first."""
    return () if candidate.drawn else (not candidate.reviewed, candidate.source != "corrected", not candidate.moved)


def _of_each_sender(ranked: Sequence[Candidate], most: int) -> list[Candidate]:
    """The first of each sender; the anonymous are one. Reviewers, scorers, judges and what was drawn have no cap."""
    counts: Counter[str | None] = Counter()
    kept: list[Candidate] = []
    for candidate in ranked:
        free = candidate.reviewed or candidate.drawn or candidate.sender is None
        counts[candidate.sender] += not free
        if free or counts[candidate.sender] <= most:
            kept.append(candidate)
    return kept


def _without_repeats(ranked: Sequence[Candidate], known: Collection[Example], similarity: float) -> list[Candidate]:
    """The candidates that no known example is or resembles, and no candidate before them."""
    tries = any(candidate.heard is not None for candidate in ranked)
    texts = as_production_keeps(known, [candidate.input for candidate in ranked], tries=tries)
    alike = near_duplicates([*texts, *(candidate.asked for candidate in ranked)], similarity)
    taken, fresh = set(alike[: len(texts)]), list[Candidate]()
    for candidate, bundle in zip(ranked, alike[len(texts) :], strict=True):
        if bundle not in taken:
            fresh.append(candidate)
        taken.add(bundle)
    return fresh


def as_production_keeps(
    known: Collection[Example], inputs: Iterable[Mapping[str, str]], *, tries: bool = False
) -> list[str]:
    """Known examples as texts to compare with production's: masked, and for each set of columns that `inputs` have.

    Versions may ask for different columns. With `tries`, what was heard in a try is part of it.
    """
    texts: list[str] = []
    masked = cache(mask)
    for columns in dict.fromkeys(map(tuple, inputs)):
        for example in known:
            asked = [example.input[name] for name in columns if name in example.input]
            texts.append("\n".join(map(masked, (*asked, *(heard_in(example.demonstration) if tries else ())))))
    return texts


def _example(candidate: Candidate, params: HarvestParams) -> Harvested:
    """What becomes of a candidate. A try has no reference, because nobody knows how its environment began."""
    example = Example(
        id=candidate.name, input=candidate.input, demonstration=candidate.answer,
        reference=candidate.answer if candidate.heard is None else "",
        group=candidate.name, slices={ORIGIN: "production"},
    )  # fmt: skip
    if candidate.heard is not None:
        split: SplitName = "train"
    else:
        split = (
            _judging(candidate.trace_id, params.splits)
            if candidate.drawn else _teaching(candidate.trace_id, params.splits)
        )  # fmt: skip
    sender = candidate.sender or ""
    return Harvested(example=example, split=split, source=candidate.source, sender=sender, reviewed=candidate.reviewed)


def _judging(name: str, shares: SplitShares) -> SplitName:
    """Sealed or test, in proportion to their shares."""
    judging = shares.sealed + shares.test
    return "sealed" if not judging or falls_in(shares.sealed / judging, SPLIT, name) else "test"


def _teaching(name: str, shares: SplitShares) -> SplitName:
    """Dev or train, in proportion to their shares."""
    return "dev" if falls_in(shares.dev / (1 - shares.sealed - shares.test), SPLIT, name) else "train"
