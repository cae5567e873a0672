"""How likely the value of an enumerated field is wrong, according to models that have not seen it.

There are two models, each cross-validated on the demonstrations themselves: a linear model of the text, and trees over
indicative words and the answer's other fields, which can learn rules between fields. Both are calibrated, and the one
to which the demonstrations are less surprising counts. Values that it finds unlikely are doubtful, as in confident
learning (Northcutt et al. 2021, arXiv 1911.00068). References are not used.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluation.classical import fit_features, has_terms
from components.records import to_json

WORDS = 250  # the most indicative of a field, for the trees
TREES = 30  # 100 find no more on triage (79.5 % of planted errors instead of 79.2 %) and take twice as long
MOST_WORDS = 20_000
MOST_FITTED = 20_000  # rows to fit the linear model: more change few doubts and take minutes
MOST_GROWN = 10_000  # rows to grow the trees; their cost grows faster than linearly: see `_by_fields`
MOST_LABELS = 40  # with more, trees take minutes, and the linear model alone is as good
_FLOOR = 1e-4  # of a probability: trees give 0 to what they have not seen
_LARGEST = float(np.finfo(np.float32).max)

Answers = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Opinion:
    """P(value) for each example (n × labels), in the order of `labels`, which are JSON texts."""

    labels: list[str]
    probabilities: NDArray[Any]

    def of(self, values: Sequence[str]) -> tuple[NDArray[Any], list[str]]:
        """The probability of each example's value, and the most likely value."""
        chosen = _numbered(values, self.labels)
        likeliest = [self.labels[place] for place in self.probabilities.argmax(axis=1)]
        return self.probabilities[np.arange(len(values)), chosen], likeliest


@dataclass(frozen=True)
class Texts:
    """Features of texts, computed once for all fields: those of the classical rung, and the presence of words."""

    texts: Sequence[str]

    @cached_property
    def weighted(self) -> Any:
        """TF-IDF over words and characters.

        Raises:
            DataError: All texts are blank.
        """
        return fit_features(self.texts)[1]

    @cached_property
    def words(self) -> Any:
        """The presence of the most common words and pairs of words; no columns where no text has a word."""
        from scipy.sparse import csr_array
        from sklearn.feature_extraction.text import CountVectorizer

        words = CountVectorizer(ngram_range=(1, 2), max_features=MOST_WORDS, binary=True)
        return words.fit_transform(self.texts) if has_terms(words, self.texts) else csr_array((len(self.texts), 0))


def judge(field: str, texts: Texts, answers: Answers, folds: int, seed: int) -> dict[str, Opinion]:
    """Model → its opinion of the field; the last one counts. A field with a single value gives none.

    Values that occur less often than there are folds cannot be learnt and are not doubted.
    """
    from sklearn.model_selection import StratifiedKFold

    values = [to_json(answer.get(field)) for answer in answers]
    labels = sorted(set(values))
    codes = _numbered(values, labels)
    frequent = np.bincount(codes)[codes] >= folds
    if len(set(codes[frequent])) < 2:
        return {}
    frequent_labels, inner = np.unique(codes[frequent], return_inverse=True)
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    logits = {"text": _by_text(texts.weighted[frequent], inner, splits)}
    others = _other_fields(field, answers)
    if others.shape[1] and len(frequent_labels) <= MOST_LABELS:
        logits["fields"] = _by_fields(texts.words[frequent], others[frequent], inner, splits)
    calibrated = {way: calibrate(scores, inner) for way, scores in logits.items()}
    by_surprise = sorted(calibrated, key=lambda way: -surprise(calibrated[way], inner))
    undoubted = np.eye(len(labels))[codes]

    def opinion(log_p: NDArray[Any]) -> Opinion:
        probabilities = undoubted.copy()
        probabilities[np.ix_(frequent, frequent_labels)] = np.exp(log_p)
        return Opinion(labels, probabilities)

    return {way: opinion(calibrated[way]) for way in by_surprise}


def calibrate(logits: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    """Log-probabilities (n × labels) at the temperature at which the given values are most likely.

    Guo et al. 2017, arXiv 1706.04599.
    """
    from scipy.optimize import minimize_scalar

    optimum: Any = minimize_scalar(
        lambda log_scale: surprise(_log_softmax(logits * math.exp(log_scale)), codes), bounds=(-4, 4), method="bounded"
    )
    return _log_softmax(logits * math.exp(optimum.x))


def surprise(log_p: NDArray[Any], codes: NDArray[Any]) -> float:
    """The mean of −log P of the given values, in nats."""
    return float(-log_p[np.arange(len(codes)), codes].mean())


def _by_text(rows: Any, codes: NDArray[Any], splits: Any) -> NDArray[Any]:
    """Margins of the classical rung's linear model."""
    from sklearn.svm import LinearSVC

    margins = _unseen(LinearSVC(random_state=0), rows, codes, splits, MOST_FITTED)
    return np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins


def _by_fields(words: Any, others: NDArray[Any], codes: NDArray[Any], splits: Any) -> NDArray[Any]:
    """Log-probabilities from trees over indicative words and the other fields.

    On rare words a tree is hundreds of splits deep, so that its cost grows with rows times depth: MOST_GROWN limits it.
    """
    from joblib import parallel_config
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_selection import SelectKBest, chi2

    telling: Any = words
    if words.shape[1]:
        telling = SelectKBest(chi2, k=min(WORDS, words.shape[1])).fit_transform(words, codes)
    rows = np.hstack([telling.astype(np.float32).toarray(), others.astype(np.float32)])  # the type that trees use
    share: Any = 0.3  # of the columns, as candidates for a split
    # Threads within a forest add its trees' votes as they come to end, and the last bit of a sum hangs on the order.
    trees = RandomForestClassifier(TREES, min_samples_leaf=2, max_features=share, random_state=0, n_jobs=1)
    with parallel_config(backend="threading", n_jobs=-1):  # so a thread takes a fold
        return np.log(_unseen(trees, rows, codes, splits, MOST_GROWN) + _FLOOR)


def _unseen(model: Any, rows: Any, codes: NDArray[Any], splits: Any, most: int) -> NDArray[Any]:
    """The model's prediction for each row, fitted on a sample of at most `most` rows from the other folds.

    Predictions are P(label) if the model has probabilities, else margins.
    """
    from sklearn.model_selection import cross_val_predict, train_test_split

    method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    if len(codes) <= most:
        return np.asarray(cross_val_predict(model, rows, codes, cv=splits, method=method))
    parts: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for fitted, held_out in splits.split(codes, codes):
        first = np.unique(codes[fitted], return_index=True)[1]  # a row of each label, however rare
        drawn = fitted
        if len(fitted) > most:
            drawn, _ = train_test_split(fitted, train_size=most, random_state=0)
        parts.append((np.union1d(drawn, fitted[first]), held_out))
    return np.asarray(cross_val_predict(model, rows, codes, cv=parts, method=method))


def _other_fields(field: str, answers: Answers) -> NDArray[Any]:
    """The other fields as columns: numbers as they are, a column per value if there are few, else their presence."""
    names = [name for name in dict.fromkeys(key for answer in answers for key in answer) if name != field]
    columns: list[NDArray[Any]] = [np.zeros((len(answers), 0))]
    for name in names:
        values = [answer.get(name) for answer in answers]
        present = [value for value in values if value is not None]
        if present and all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
            columns.append(np.array([[-1.0 if value is None else _bounded(value)] for value in values]))
            continue
        if kinds := _few_kinds(values):
            columns.append(np.eye(len(kinds))[_numbered(map(to_json, values), kinds)])
        else:
            columns.append(np.array([[float(value is not None)] for value in values]))
    return np.hstack(columns)


def _few_kinds(values: Iterable[Any]) -> list[str]:
    """The values as JSON texts, each once, in order; none if there are more than MOST_LABELS."""
    kinds = set[str]()
    for value in values:
        kinds.add(to_json(value))
        if len(kinds) > MOST_LABELS:
            return []
    return sorted(kinds)


def _numbered(values: Iterable[str], labels: Sequence[str]) -> NDArray[Any]:
    """Each value's place among the labels. As an array, the texts would all take as much as the longest."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[value] for value in values], dtype=int)


def _bounded(number: float) -> float:
    """A number, or the bound next to it that float32 has: trees compute in it, and an integer may be any size."""
    return float(max(-_LARGEST, min(number, _LARGEST)))


def _log_softmax(logits: Any) -> NDArray[Any]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
