"""Splits rows into train, dev (for selection), test (for reporting) and sealed (for the gate).

Decides sizes, and keeps rows that belong together (groups and near-duplicates) in one split. Such rows that the source
itself has put into different splits are found here and quarantined by the contract.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from components.data.shares import drawn
from components.data.sources import Part, Row
from components.errors import ConfigError, DataError
from components.params import SPLITS, FileSource, GeneratedSource, HuggingFaceSource, SplitName, Workload
from components.records import Example

# Filled in this order, so that a larger train split does not change the others.
EVALUATION: tuple[SplitName, ...] = ("sealed", "test", "dev")
_HOLDING = 0.5  # share of the rows from which a bundle is the reason for an empty split
Places = dict[SplitName, list[int]]


class TooFewRowsError(DataError):
    """A generated source has too few usable rows for its sizes."""


def straddling(rows: Sequence[Row], alike: Sequence[int], left_out: Collection[int] = ()) -> dict[int, str]:
    """Rows to refuse because the source itself has similar ones in an evaluation split: index → reason.

    The row in the evaluation split is kept; sealed takes precedence over test, and test over dev. `alike` has, for each
    row, the first one that it resembles, directly or through others. Rows that are `left_out` anyway take none along.
    """
    ranks = [_rank(row.part) for row in rows]
    reasons: dict[int, str] = {}
    for keys, why in (([row.example.group for row in rows], "of the group of"), (alike, "near-duplicate of")):
        strictest: dict[str | int, int] = {}
        for place, key in enumerate(keys):
            if place not in left_out:
                best = strictest.get(key, place)
                strictest[key] = place if ranks[place] < ranks[best] else best
        for place, key in enumerate(keys):
            winner = strictest.get(key, place)
            if ranks[winner] < ranks[place]:
                reasons.setdefault(place, f"{why} {_name(rows[winner])}")
    return reasons


def leaked(rows: Sequence[Row], alike: Sequence[int]) -> dict[SplitName, int]:
    """Evaluation split → the number of its rows with a similar row, or their group, in a less strict part."""
    ranks = [_rank(row.part) for row in rows]
    loosest: dict[tuple[str, str | int], int] = {}
    keys = [(("group", row.example.group), ("like", first)) for row, first in zip(rows, alike, strict=True)]
    for rank, own in zip(ranks, keys, strict=True):
        for key in own:
            loosest[key] = max(rank, loosest.get(key, 0))
    reached = [max(loosest[key] for key in own) for own in keys]
    counts = Counter(row.part for row, rank, far in zip(rows, ranks, reached, strict=True) if far > rank)
    return {split: counts[split] for split in EVALUATION if counts[split]}


def _rank(part: Part) -> int:
    return EVALUATION.index(part) if part in EVALUATION else len(EVALUATION)


def _name(row: Row) -> str:
    return f"{row.example.id} in {row.part}"


def assign(rows: Sequence[Row], alike: Sequence[int], workload: Workload) -> Places:
    """Assign a split to each row, as ascending indices into `rows`. Rows with the same number in `alike` stay together.

    A generated source gets exactly its sizes, in the order of generation; surplus rows are left out. For others, rows
    keep the split of their file, and evaluation splits without a file get their share of the rows of `all` (or of train
    if there is no `all`), in an order that the source's seed and the rows draw by themselves, wherever they stand.

    Raises:
        ConfigError: A generated source has no size for a split.
        DataError: A split is empty, or a generated source has too few rows.
    """
    source = workload.source
    bundles = _bundles(rows, alike)
    if isinstance(source, GeneratedSource):
        return _exactly(bundles, source)
    splits = _by_shares(rows, bundles, source)
    for split, indices in splits.items():
        if not indices:
            raise DataError(
                f"expected rows in every split, found none for {split}: {_cause(rows, alike, bundles, workload)}"
            )
    return splits


def _cause(rows: Sequence[Row], alike: Sequence[int], bundles: list[list[int]], workload: Workload) -> str:
    """Why a split is empty, and what to do."""
    largest = max(bundles, key=len, default=[])
    share = len(largest) / max(1, len(rows))
    if share < _HOLDING:
        return "give it a file, a share or more rows"
    start = (
        f"{len(largest):,} of {len(rows):,} rows ({share:.0%}) belong together and go into one split, since they are"
    )
    groups = Counter(rows[place].example.group for place in largest).most_common(1)
    name, count = groups[0]
    if count >= _HOLDING * len(largest):
        return (
            f"{start} of the group `{name}`; choose another column for source.columns.group or none, "
            f"give {_words(workload)} a file, or bring rows of more groups"
        )
    _, count = Counter(alike[place] for place in largest).most_common(1)[0]
    if count >= _HOLDING * len(largest):
        limit = workload.validation.near_duplicate_similarity
        return (
            f"{start} near-duplicates, such as {rows[largest[0]].example.id} and {rows[largest[-1]].example.id}; raise "
            f"validation.near_duplicate_similarity, now {limit:g}, or give {_words(workload)} a file"
        )
    return f"{start} linked by their groups and by near-duplicates among them; give {_words(workload)} a file"


def _words(workload: Workload) -> str:
    """The evaluation splits that are drawn from the rows."""
    source = workload.source
    given = set[str](source.files if isinstance(source, FileSource) else getattr(source, "splits", ()))
    return " and ".join(split for split in ("dev", "test", "sealed") if split not in given)


def _exactly(bundles: list[list[int]], source: GeneratedSource) -> Places:
    for split in SPLITS:
        if split not in source.sizes:
            raise ConfigError(f"source.sizes must name train, dev, test and sealed, found no {split}")
    room: dict[SplitName, int] = {split: source.sizes[split] for split in (*EVALUATION, "train")}
    splits, missing = _fill(bundles, room)
    for split, n in missing.items():
        if n:
            available = source.sizes[split] - n
            raise TooFewRowsError(
                f"expected {source.sizes[split]:,} rows for {split}, found {available:,} ({source.generator})"
            )
    return {split: splits[split] for split in SPLITS}


def _by_shares(rows: Sequence[Row], bundles: list[list[int]], source: FileSource | HuggingFaceSource) -> Places:
    given = set[str](source.files if isinstance(source, FileSource) else source.splits)
    pool: Part = "all" if "all" in given else "train"
    free = [bundle for bundle in bundles if all(rows[index].part == pool for index in bundle)]
    free.sort(key=lambda bundle: _draw([rows[place] for place in bundle], source.shares.seed))
    n = sum(row.part == pool for row in rows)
    room: dict[SplitName, int] = {}
    for split in EVALUATION:
        if split not in given:
            share: float = getattr(source.shares, split)
            room[split] = max(1, round(share * n)) if share else 0
    cut, _ = _fill(free, room)
    taken = {index for indices in cut.values() for index in indices}
    splits: Places = {split: [index for index, row in enumerate(rows) if row.part == split] for split in SPLITS}
    splits |= cut
    splits["train"] = [index for index, row in enumerate(rows) if row.part in (pool, "train") and index not in taken]
    return splits


def _draw(bundle: Iterable[Row], seed: int) -> int:
    """What a bundle draws for its split, by the name of the row that leads it.

    Other bundles, ids and places in the file have no say. So data that grow or shrink leave nearly all rows in their
    splits, and the gate does not ask what a champion has learnt from. A row that joins a bundle of k names takes the
    lead, and draws anew for all of it, with probability 1/(k + 1); not if its name, as its group, is among them.
    """
    # Who leads is drawn apart from the split: by the least draw for the split large bundles would get into sealed.
    leader = min({_called(row) for row in bundle}, key=lambda name: drawn(f"first/{seed}", name))
    return drawn(f"split/{seed}", leader)


def _called(row: Row) -> str:
    """The name by which a row draws: its group, else what it asks."""
    example = row.example
    return example.group if example.group not in ("", example.id) else "\n".join(row.asked)


def _fill(bundles: Iterable[list[int]], room: dict[SplitName, int]) -> tuple[Places, dict[SplitName, int]]:
    """Put each bundle into the first split with room for all of it; return the splits and the remaining room."""
    left = dict(room)
    splits: Places = {split: [] for split in room}
    for bundle in bundles:
        for split, n in left.items():
            if len(bundle) <= n:
                splits[split] += bundle
                left[split] = n - len(bundle)
                break
    return {split: sorted(indices) for split, indices in splits.items()}, left


def joined(rows: Sequence[Row], alike: Sequence[int], indices: Sequence[int], split: SplitName) -> list[Example]:
    """The examples at these indices; in an evaluation split, near-duplicates are made one group.

    Evaluation accounts for groups: similar examples tend to be right or wrong together.
    """
    examples = [rows[index].example for index in indices]
    if split not in EVALUATION:
        return examples
    bundles = _bundles([rows[index] for index in indices], [alike[index] for index in indices])
    groups = {index: examples[bundle[0]].group for bundle in bundles for index in bundle}
    return [
        example if example.group == groups[index] else example.model_copy(update={"group": groups[index]})
        for index, example in enumerate(examples)
    ]


def _bundles(rows: Sequence[Row], alike: Sequence[int]) -> list[list[int]]:
    """Bundles of rows that share a group or are near-duplicates, directly or through others, in order of first rows."""
    if not rows:
        return []
    edges: list[tuple[int, int]] = []
    for keys in ([row.example.group for row in rows], alike):
        first: dict[str | int, int] = {}
        edges += [(first.setdefault(key, place), place) for place, key in enumerate(keys)]
    pairs = np.array(edges)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(rows), len(rows)))
    labels = connected_components(graph, directed=False)[1]
    bundles: dict[int, list[int]] = {}
    for place, label in enumerate(labels.tolist()):
        bundles.setdefault(label, []).append(place)
    return list(bundles.values())
