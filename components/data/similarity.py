"""Near-duplicates: pairs of texts whose sets of character 5-grams overlap, found exactly and without all pairs.

Decides what counts as similar; what happens to similar rows is decided elsewhere.

Texts are compared case-folded, with runs of white space as one space. Two sets with a Jaccard index of at least t
share at least ⌈t·n⌉ of the n members of either, so each pair shares one of the n − ⌈t·n⌉ + 1 rarest members
(prefix filtering: Bayardo, Ma, Srikant, "Scaling up all pairs similarity search", WWW 2007). Only such pairs are
compared in full. 13,000 banking questions take 1 s on one core, 6,500 tickets of 217 characters as well.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

GRAM_CHARACTERS = 5
# Grams are hashed to columns; two of 200 grams each share one by accident once in 100 pairs of texts.
COLUMN_BITS = 22
BLOCK_ROWS = 512
BLOCK_PAIRS = 20_000
PROGRESS_FROM_ROWS = 20_000


class Link(NamedTuple):
    """Texts `first` < `second` (positions) and their Jaccard index in (0, 1]."""

    first: int
    second: int
    similarity: float


def near_duplicates(texts: Sequence[str], threshold: float) -> list[Link]:
    """All pairs with a Jaccard index of at least `threshold` in (0, 1], in order."""
    if len(texts) < 2:
        return []
    grams, sizes = _gram_matrix(texts)
    rare = _rarest(grams, sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1)
    return [link for block in _candidates(rare, sizes, threshold) for link in _similar(grams, sizes, block, threshold)]


def _gram_matrix(texts: Sequence[str]) -> tuple[csr_matrix, NDArray[np.int64]]:
    """Texts × hashed 5-grams, the rarest gram in the first column, and the number of grams of each text."""
    from tqdm import tqdm

    hidden = len(texts) < PROGRESS_FROM_ROWS
    rows = [_grams(text) for text in tqdm(texts, desc="near-duplicates", unit="text", disable=hidden)]
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    grams = np.concatenate(rows)
    frequency = np.bincount(grams, minlength=1 << COLUMN_BITS)
    used = np.flatnonzero(frequency)
    rank = np.empty(1 << COLUMN_BITS, dtype=np.int32)
    rank[used[np.argsort(frequency[used], kind="stable")]] = np.arange(len(used), dtype=np.int32)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    ones = np.ones(len(grams), dtype=np.int32)
    matrix = csr_matrix((ones, rank[grams], indptr), shape=(len(rows), len(used)))
    matrix.sort_indices()
    return matrix, sizes


def _grams(text: str) -> NDArray[np.int32]:
    """The set of a text's 5-grams as sorted columns; a shorter text is one gram."""
    normal = " ".join(text.casefold().split())
    characters = np.frombuffer(normal.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    characters = np.pad(characters, (0, max(0, GRAM_CHARACTERS - len(characters))))
    count = len(characters) - GRAM_CHARACTERS + 1
    hashed = np.zeros(count, dtype=np.uint64)
    for offset in range(GRAM_CHARACTERS):  # unsigned arithmetic wraps: a polynomial hash modulo 2^64
        hashed = hashed * np.uint64(0x9E3779B97F4A7C15) + characters[offset : offset + count]
    columns = (hashed * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(64 - COLUMN_BITS)
    return np.unique(columns.astype(np.int32))


def _rarest(grams: csr_matrix, counts: NDArray[np.int64]) -> csr_matrix:
    """The first `counts[i]` grams of each row i, in a matrix without empty columns."""
    starts: Any = grams.indptr
    place = np.arange(grams.nnz) - np.repeat(starts[:-1], np.diff(starts))
    kept = place < np.repeat(counts, np.diff(starts))
    used, columns = np.unique(grams.indices[kept], return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return csr_matrix((grams.data[kept], columns, indptr), shape=(len(counts), len(used)))


def _candidates(rare: csr_matrix, sizes: NDArray[np.int64], threshold: float) -> Iterator[tuple[Any, Any]]:
    """Blocks of pairs (first, second) that share a rare gram and whose sizes allow the threshold."""
    transposed = rare.T.tocsr()
    for start in range(0, len(sizes), BLOCK_ROWS):
        shared = (rare[start : start + BLOCK_ROWS] @ transposed).tocoo()
        first, second = shared.row + start, shared.col
        shorter, longer = np.minimum(sizes[first], sizes[second]), np.maximum(sizes[first], sizes[second])
        kept = (first < second) & (shorter >= threshold * longer - 1e-9)
        first, second = first[kept], second[kept]
        for place in range(0, len(first), BLOCK_PAIRS):
            yield first[place : place + BLOCK_PAIRS], second[place : place + BLOCK_PAIRS]


def _similar(grams: csr_matrix, sizes: NDArray[np.int64], pairs: tuple[Any, Any], threshold: float) -> Iterator[Link]:
    """The pairs whose Jaccard index reaches the threshold."""
    first, second = pairs
    common = np.asarray(grams[first].multiply(grams[second]).sum(axis=1)).ravel()
    similarity = common / (sizes[first] + sizes[second] - common)
    for place in np.lexsort((second, first)):
        if similarity[place] >= threshold - 1e-9:
            yield Link(int(first[place]), int(second[place]), float(similarity[place]))
