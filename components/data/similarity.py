"""Near-duplicates: exact bundling of texts whose sets of character 5-grams overlap, without comparing all pairs.

Decides what counts as similar; other modules decide what happens to similar rows. Texts are compared in the form of
`forms.folded`: composed, without invisible characters, case-folded, with single spaces.

Two sets with a Jaccard index of at least t have their rarest common member among the n − ⌈t·n⌉ + 1 rarest of the
larger one and the n − ⌈2t·n ∕ (1 + t)⌉ + 1 rarest of the smaller (prefix filtering: Bayardo, Ma, Srikant, WWW 2007;
Xiao, Wang, Lin, Yu, "Efficient similarity joins for near duplicate detection", WWW 2008). Only such pairs are compared
in full, unless they are already bundled: 20,000 texts from one template take 4 s and 200 MB.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.data.forms import folded

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

GRAM_CHARACTERS = 5
# Grams are hashed to columns; texts of 200 grams share one by accident in one of 100 pairs.
COLUMN_BITS = 22
BLOCK_PRODUCTS = 2_000_000  # multiplications at once, to limit memory
BLOCK_PAIRS = 20_000
DENSE = 200  # texts that share a rare gram: from this number on, they are bundled as a family first
MOST_LEADERS, MOST_FRUITLESS = 300, 3
PROGRESS_FROM_ROWS = 20_000

Ints = NDArray[np.int64]


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int]:
    """For each text, the first one in its bundle of texts with a Jaccard index of at least `threshold`, in (0, 1].

    Texts that resemble each other through others are in one bundle; a text that resembles none is its own first.
    """
    if len(texts) < 2:
        return list(range(len(texts)))
    grams, sizes = _gram_matrix([folded(text) for text in texts])
    bundles = _Bundles(grams, sizes, threshold, np.arange(len(texts)))
    distinct = bundles.join_equal()
    probed = _rarest(grams, _in(distinct, sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1))
    least = np.ceil(2 * threshold / (1 + threshold) * sizes - 1e-9).astype(np.int64)
    indexed = _rarest(grams, _in(distinct, sizes - least + 1))
    _join_families(bundles, indexed)
    for left, right in _without_known(probed, indexed, bundles.labels):
        for first, second in _candidates(left, right, bundles):
            bundles.join_similar(first, second)
    _, first, inverse = np.unique(bundles.labels, return_index=True, return_inverse=True)
    return first[inverse].tolist()


@dataclass
class _Bundles:
    """The texts that belong together so far: those with the same label."""

    grams: "csr_matrix"
    sizes: Ints
    threshold: float
    labels: Ints

    def join(self, first: Ints, second: Ints) -> None:
        """Bundle pairs of texts."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        n = len(self.labels)
        edges = (np.ones(len(first), dtype=np.int8), (self.labels[first], self.labels[second]))
        self.labels = connected_components(coo_matrix(edges, shape=(n, n)), directed=False)[1][self.labels]

    def join_equal(self) -> Ints:
        """Bundle texts with identical grams; return the first text of each such bundle."""
        starts: Any = self.grams.indptr
        first: dict[bytes, int] = {}
        same = [
            first.setdefault(self.grams.indices[starts[row] : starts[row + 1]].tobytes(), row)
            for row in range(len(self.labels))
        ]
        self.join(np.arange(len(same)), np.array(same))
        return np.unique(np.array(same))

    def join_similar(self, first: Ints, second: Ints) -> None:
        """Bundle those of these pairs that reach the threshold, skipping pairs that are already bundled."""
        for start in range(0, len(first), BLOCK_PAIRS):
            left, right = first[start : start + BLOCK_PAIRS], second[start : start + BLOCK_PAIRS]
            unknown = self.labels[left] != self.labels[right]
            left, right = left[unknown], right[unknown]
            if len(left):
                common = np.asarray(self.grams[left].multiply(self.grams[right]).sum(axis=1)).ravel()
                alike = self._reaches(common, left, right)
                if alike.any():
                    self.join(left[alike], right[alike])

    def join_alike(self, leader: int) -> int:
        """Bundle all texts similar to this one; return by how much the number of bundles falls."""
        row: Any = self.grams[leader]
        grams = np.zeros(row.shape[1], dtype=np.int32)
        grams[row.indices] = 1
        everyone = np.arange(len(self.labels))
        alike = np.flatnonzero(self._reaches(self.grams @ grams, everyone, np.full_like(everyone, leader)))
        gained = len(np.unique(self.labels[alike])) - 1
        if gained:
            self.join(alike, np.full_like(alike, leader))
        return gained

    def _reaches(self, common: Any, first: Ints, second: Ints) -> NDArray[np.bool_]:
        return common / (self.sizes[first] + self.sizes[second] - common) >= self.threshold - 1e-9


def _gram_matrix(texts: Sequence[str]) -> "tuple[csr_matrix, Ints]":
    """Texts × hashed 5-grams, with the rarest gram in the first column, and each text's number of grams."""
    from scipy.sparse import csr_matrix
    from tqdm import tqdm

    hidden = len(texts) < PROGRESS_FROM_ROWS
    rows = [_grams(text) for text in tqdm(texts, desc="near-duplicates", unit="text", disable=hidden)]
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    n, grams = len(rows), np.concatenate(rows)
    del rows
    frequency = np.bincount(grams, minlength=1 << COLUMN_BITS)
    used = np.flatnonzero(frequency)
    rank = np.empty(1 << COLUMN_BITS, dtype=np.int32)
    rank[used[np.argsort(frequency[used], kind="stable")]] = np.arange(len(used), dtype=np.int32)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    matrix = csr_matrix((np.ones(len(grams), dtype=np.int32), rank[grams], indptr), shape=(n, len(used)))
    matrix.sort_indices()
    return matrix, sizes


def _grams(text: str) -> NDArray[np.int32]:
    """A text's set of 5-grams, as sorted columns; a shorter text is a single gram."""
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    characters = np.pad(characters, (0, max(0, GRAM_CHARACTERS - len(characters))))
    count = len(characters) - GRAM_CHARACTERS + 1
    hashed = np.zeros(count, dtype=np.uint64)
    for offset in range(GRAM_CHARACTERS):  # unsigned arithmetic wraps: a polynomial hash modulo 2^64
        hashed = hashed * np.uint64(0x9E3779B97F4A7C15) + characters[offset : offset + count]
    columns = (hashed * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(64 - COLUMN_BITS)
    return np.unique(columns.astype(np.int32))


def _in(rows: Ints, counts: Ints) -> Ints:
    """The counts of these rows, and 0 for the others."""
    selected = np.zeros_like(counts)
    selected[rows] = counts[rows]
    return selected


def _rarest(grams: "csr_matrix", counts: Ints) -> "csr_matrix":
    """The first `counts[i]` grams of each row i."""
    starts: Any = grams.indptr
    lengths = np.diff(starts)
    first = np.arange(grams.nnz) - np.repeat(starts[:-1], lengths) < np.repeat(counts, lengths)
    indptr = np.concatenate([[0], np.cumsum(np.minimum(counts, lengths))])
    return type(grams)((grams.data[first], grams.indices[first], indptr), shape=grams.shape)


def _join_families(bundles: _Bundles, indexed: "csr_matrix") -> None:
    """Bundle texts around leaders where many share a rare gram, so that their pairs need no comparison."""
    by_gram = indexed.tocsc()
    starts: Any = by_gram.indptr
    lengths, left = np.diff(starts), MOST_LEADERS
    for column in np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths >= DENSE)]:
        members = by_gram.indices[starts[column] : starts[column + 1]]
        fruitless, tried = 0, set[int]()
        while left and fruitless < MOST_FRUITLESS:
            labels, sizes = np.unique(bundles.labels[members], return_counts=True)
            outside = members[bundles.labels[members] != labels[sizes.argmax()]] if sizes.max() > 1 else members
            leader = next((int(row) for row in outside if int(row) not in tried), None)
            if len(outside) < DENSE or leader is None:
                break
            left, fruitless = left - 1, 0 if bundles.join_alike(leader) >= DENSE // 10 else fruitless + 1
            tried.add(leader)


def _without_known(
    probed: "csr_matrix", indexed: "csr_matrix", labels: Ints
) -> "Iterator[tuple[csr_matrix, csr_matrix]]":
    """Pairs of matrices whose products are the candidates, without those within a gram's largest bundle."""
    major = _major(indexed, labels)
    known_probed, known_indexed = (_of_bundle(side, labels) == major[side.indices] for side in (probed, indexed))
    yield _filtered(probed, ~known_probed), indexed
    if known_probed.any() and not known_indexed.all():
        yield _filtered(probed, known_probed), _filtered(indexed, ~known_indexed)


def _major(indexed: "csr_matrix", labels: Ints) -> Ints:
    """For each gram, the bundle of most of its texts; -1 if all are in bundles of their own."""
    shape: Any = indexed.shape
    largest = np.full(shape[1], -1, dtype=np.int64)
    keys, counts = np.unique(
        indexed.indices.astype(np.int64) * len(labels) + _of_bundle(indexed, labels), return_counts=True
    )
    keys, counts = keys[counts > 1], counts[counts > 1]
    order = np.argsort(counts, kind="stable")  # the largest is assigned last
    largest[keys[order] // len(labels)] = keys[order] % len(labels)
    return largest


def _of_bundle(side: "csr_matrix", labels: Ints) -> Ints:
    """Each entry's bundle, that of its text."""
    return np.repeat(labels, np.diff(side.indptr))


def _filtered(side: "csr_matrix", mask: NDArray[np.bool_]) -> "csr_matrix":
    counts = np.concatenate([[0], np.cumsum(mask)])
    return type(side)((side.data[mask], side.indices[mask], counts[side.indptr]), shape=side.shape)


def _candidates(probed: "csr_matrix", indexed: "csr_matrix", bundles: _Bundles) -> Iterator[tuple[Ints, Ints]]:
    """Blocks of pairs, the larger text first, that share a rare gram and whose sizes can reach the threshold."""
    transposed = indexed.T.tocsr()
    postings = np.diff(transposed.indptr)
    work = np.concatenate([[0], np.cumsum(postings[probed.indices])])[probed.indptr]
    start, sizes = 0, bundles.sizes
    while start < len(sizes):
        end = max(start + 1, int(np.searchsorted(work, work[start] + BLOCK_PRODUCTS, side="right")) - 1)
        shared = (probed[start:end] @ transposed).tocoo()
        first, second = shared.row.astype(np.int64) + start, shared.col.astype(np.int64)
        larger, smaller = sizes[first], sizes[second]
        once = (smaller < larger) | ((smaller == larger) & (second < first))
        valid = once & (smaller >= bundles.threshold * larger - 1e-9)
        valid &= bundles.labels[first] != bundles.labels[second]
        yield first[valid], second[valid]
        start = end
