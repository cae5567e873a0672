"""Splits: which row serves training (train), choice (dev), reporting (test) and the gate (sealed).

Decides sizes and keeps rows that belong together in one split: rows of one group, and near-duplicates. Rows that a
source put on two sides itself are found here and quarantined by the contract.
"""

import random
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from components.data.similarity import Link
from components.data.sources import Part, Row
from components.errors import ConfigError, DataError
from components.params import FileSource, GeneratedSource, HuggingFaceSource, SplitName, Workload

SPLITS: tuple[SplitName, ...] = ("train", "dev", "test", "sealed")
# Filled in this order, so that a larger train split leaves the others as they are.
EVALUATION: tuple[SplitName, ...] = ("sealed", "test", "dev")
Places = dict[SplitName, list[int]]


class TooFewRowsError(DataError):
    """A generated source has too few rows that may be used for its sizes."""


def straddling(rows: Sequence[Row], links: Iterable[Link]) -> dict[int, str]:
    """Rows to keep out since the source itself put their like into an evaluation split: position → reason.

    The row of the evaluation split stays; between two of them, sealed comes before test, and test before dev.
    """
    ranks = [_rank(row.part) for row in rows]
    strictest: dict[str, int] = {}
    for place, row in enumerate(rows):
        best = strictest.get(row.example.group, place)
        strictest[row.example.group] = place if ranks[place] < ranks[best] else best
    found: dict[int, str] = {}
    for place, row in enumerate(rows):
        kept = strictest[row.example.group]
        if ranks[kept] < ranks[place]:
            found[place] = f"of the group of {_name(rows[kept])}"
    for link in links:
        kept, dropped = sorted((link.first, link.second), key=lambda place: (ranks[place], place))
        if ranks[kept] < ranks[dropped]:
            found.setdefault(dropped, f"near-duplicate of {_name(rows[kept])}")
    return found


def leaked(rows: Sequence[Row], links: Iterable[Link]) -> dict[SplitName, int]:
    """Evaluation split → how many of its rows have their like, or their group, in a less strict part of the source."""
    loosest: dict[str, int] = {}
    for row in rows:
        loosest[row.example.group] = max(_rank(row.part), loosest.get(row.example.group, 0))
    reached = [loosest[row.example.group] for row in rows]
    for link in links:
        for one, other in ((link.first, link.second), (link.second, link.first)):
            reached[one] = max(reached[one], _rank(rows[other].part))
    counts: dict[SplitName, int] = dict.fromkeys(EVALUATION, 0)
    for row, rank in zip(rows, reached, strict=True):
        if row.part in counts and rank > _rank(row.part):
            counts[row.part] += 1
    return {split: n for split, n in counts.items() if n}


def _rank(part: Part) -> int:
    return EVALUATION.index(part) if part in EVALUATION else len(EVALUATION)


def _name(row: Row) -> str:
    return f"{row.example.id} in {row.part}"


def assign(rows: Sequence[Row], links: Iterable[Link], workload: Workload) -> Places:
    """Give each row a split: positions in `rows`, in their order.

    A generated source gets exactly its sizes, in the order of generation; rows beyond them are left out. For others,
    rows keep the split of their file, and the evaluation splits without a file get their share of the rows of `all`,
    or of train where there is no `all`, drawn with the source's seed.

    Raises:
        ConfigError: A generated source has no size for a split.
        DataError: A split stays without rows, or a generated source has too few.
    """
    source = workload.source
    bundles = _bundles(rows, links)
    if isinstance(source, GeneratedSource):
        return _exactly(bundles, source)
    return _by_shares(rows, bundles, source)


def _exactly(bundles: list[list[int]], source: GeneratedSource) -> Places:
    for split in SPLITS:
        if split not in source.sizes:
            raise ConfigError(f"source.sizes must name train, dev, test and sealed, found no {split}")
    room: dict[SplitName, int] = {split: source.sizes[split] for split in (*EVALUATION, "train")}
    splits, missing = _fill(bundles, room)
    for split, n in missing.items():
        if n:
            found = source.sizes[split] - n
            raise TooFewRowsError(
                f"expected {source.sizes[split]:,} rows for {split}, found {found:,} ({source.generator})"
            )
    return {split: splits[split] for split in SPLITS}


def _by_shares(rows: Sequence[Row], bundles: list[list[int]], source: FileSource | HuggingFaceSource) -> Places:
    given = set[str](source.files if isinstance(source, FileSource) else source.splits)
    pool: Part = "all" if "all" in given else "train"
    free = [bundle for bundle in bundles if all(rows[place].part == pool for place in bundle)]
    random.Random(f"split/{source.shares.seed}").shuffle(free)
    n = sum(row.part == pool for row in rows)
    room: dict[SplitName, int] = {}
    for split in EVALUATION:
        if split not in given:
            share: float = getattr(source.shares, split)
            room[split] = max(1, round(share * n)) if share else 0
    cut, _ = _fill(free, room)
    taken = {place for places in cut.values() for place in places}
    splits: Places = {split: [place for place, row in enumerate(rows) if row.part == split] for split in SPLITS}
    splits |= cut
    splits["train"] = [place for place, row in enumerate(rows) if row.part in (pool, "train") and place not in taken]
    for split, places in splits.items():
        if not places:
            found = f"none for {split}: give it a file, a share or more rows"
            raise DataError(f"expected rows in every split, found {found}")
    return splits


def _fill(bundles: Iterable[list[int]], room: dict[SplitName, int]) -> tuple[Places, dict[SplitName, int]]:
    """Put each bundle into the first split with room for all of it; returns the splits and the room that is left."""
    left = dict(room)
    splits: Places = {split: [] for split in room}
    for bundle in bundles:
        for split, n in left.items():
            if len(bundle) <= n:
                splits[split] += bundle
                left[split] = n - len(bundle)
                break
    return {split: sorted(places) for split, places in splits.items()}, left


def _bundles(rows: Sequence[Row], links: Iterable[Link]) -> list[list[int]]:
    """Rows that share a group or are near-duplicates, directly or through others, by the first row of each bundle."""
    if not rows:
        return []
    first: dict[str, int] = {}
    pairs = [(first.setdefault(row.example.group, place), place) for place, row in enumerate(rows)]
    pairs += [(link.first, link.second) for link in links]
    edges = np.array(pairs)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(rows), len(rows)))
    labels = connected_components(graph, directed=False)[1]
    bundles: dict[int, list[int]] = {}
    for place, label in enumerate(labels.tolist()):
        bundles.setdefault(label, []).append(place)
    return list(bundles.values())
