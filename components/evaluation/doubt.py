"""How likely the value of an enumerated field is wrong, judged by models that have not seen it.

Two ways of looking, each cross-validated on the demonstrations themselves: a linear model of the text, and trees of the
telling words together with the answer's other fields, which see rules between fields. Both are calibrated, and the one
that finds the demonstrations less surprising counts. What it finds unlikely is in doubt, as in confident learning
(Northcutt et al. 2021, arXiv 1911.00068). No reference is read.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.records import to_json

WORDS = 250  # that tell most of a field, for the trees
TREES = 30  # 100 find no more on triage (79.5 % of planted errors instead of 79.2 %) and take twice as long
MOST_WORDS = 20_000
MOST_FITTED = 20_000  # rows that the linear model learns from: more change few doubts and take minutes
MOST_GROWN = 10_000  # rows that trees grow from, which costs more than in proportion: see `_by_fields`
MOST_LABELS = 40  # beyond, trees take minutes; the linear model alone has been as good there
_FLOOR = 1e-4  # of a probability: trees say 0 of what they have not seen

Answers = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Opinion:
    """P(value) of each example (n × labels), in the order of `labels`, which are JSON texts."""

    labels: list[str]
    probabilities: NDArray[Any]

    def of(self, values: Sequence[str]) -> tuple[NDArray[Any], list[str]]:
        """The probability of each example's value, and the value that is likeliest."""
        index = {label: place for place, label in enumerate(self.labels)}
        chosen = np.array([index[value] for value in values])
        likeliest = [self.labels[place] for place in self.probabilities.argmax(axis=1)]
        return self.probabilities[np.arange(len(values)), chosen], likeliest


@dataclass(frozen=True)
class Texts:
    """Texts as features, made once for all fields: those of the classical rung, and words that are there or not."""

    texts: Sequence[str]

    @cached_property
    def weighted(self) -> Any:
        """TF-IDF of words and characters."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        return make_union(words, characters).fit_transform(self.texts)

    @cached_property
    def words(self) -> Any:
        """Which of the commonest one and two words are there."""
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(ngram_range=(1, 2), max_features=MOST_WORDS, binary=True).fit_transform(self.texts)


def judge(field: str, texts: Texts, answers: Answers, folds: int, seed: int) -> dict[str, Opinion]:
    """Way of looking → what it thinks of the field, the one that counts last. One value alone gives no opinion.

    Of values that stand there fewer times than there are folds nothing can be learnt: they are not doubted.
    """
    from sklearn.model_selection import StratifiedKFold

    values = [to_json(answer.get(field)) for answer in answers]
    labels, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    known = counts[codes] >= folds
    if len(set(codes[known])) < 2:
        return {}
    kept, inner = np.unique(codes[known], return_inverse=True)
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    logits = {"text": _by_text(texts.weighted[known], inner, splits)}
    others = _other_fields(field, answers)
    if others.shape[1] and len(kept) <= MOST_LABELS:
        logits["fields"] = _by_fields(texts.words[known], others[known], inner, splits)
    calibrated = {way: calibrate(found, inner) for way, found in logits.items()}
    by_surprise = sorted(calibrated, key=lambda way: -surprise(calibrated[way], inner))
    undoubted = np.eye(len(labels))[codes]

    def opinion(log_p: NDArray[Any]) -> Opinion:
        probabilities = undoubted.copy()
        probabilities[np.ix_(known, kept)] = np.exp(log_p)
        return Opinion([str(label) for label in labels], probabilities)

    return {way: opinion(calibrated[way]) for way in by_surprise}


def calibrate(logits: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    """Log-probabilities (n × labels) at the temperature that makes the values that stand there most likely.

    Guo et al. 2017, arXiv 1706.04599.
    """
    from scipy.optimize import minimize_scalar

    found: Any = minimize_scalar(
        lambda log_scale: surprise(_log_softmax(logits * math.exp(log_scale)), codes), bounds=(-4, 4), method="bounded"
    )
    return _log_softmax(logits * math.exp(found.x))


def surprise(log_p: NDArray[Any], codes: NDArray[Any]) -> float:
    """The mean of −log P of the values that stand there, in nats."""
    return float(-log_p[np.arange(len(codes)), codes].mean())


def _by_text(rows: Any, codes: NDArray[Any], splits: Any) -> NDArray[Any]:
    """Margins of the classical rung's linear model."""
    from sklearn.svm import LinearSVC

    found = _unseen(LinearSVC(random_state=0), rows, codes, splits, MOST_FITTED)
    return np.stack([-found, found], axis=1) if found.ndim == 1 else found


def _by_fields(words: Any, others: NDArray[Any], codes: NDArray[Any], splits: Any) -> NDArray[Any]:
    """Log-probabilities of trees that see the telling words and the other fields.

    On words of which each is in few texts a tree is hundreds of splits deep, so that its cost grows with rows times
    depth: MOST_GROWN bounds it.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_selection import SelectKBest, chi2

    telling: Any = SelectKBest(chi2, k=min(WORDS, words.shape[1])).fit_transform(words, codes)
    rows = np.hstack([telling.astype(np.float32).toarray(), others.astype(np.float32)])  # as trees hold them
    share: Any = 0.3  # of the columns that a split may choose from
    trees = RandomForestClassifier(TREES, min_samples_leaf=2, max_features=share, random_state=0, n_jobs=-1)
    return np.log(_unseen(trees, rows, codes, splits, MOST_GROWN) + _FLOOR)


def _unseen(model: Any, rows: Any, codes: NDArray[Any], splits: Any, most: int) -> NDArray[Any]:
    """What the model says of each row, fitted on other folds: on at most `most` of their rows, drawn.

    What it says is P(label) where the model knows that, else its margins.
    """
    from sklearn.model_selection import cross_val_predict, train_test_split

    method = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    if len(codes) <= most:
        return np.asarray(cross_val_predict(model, rows, codes, cv=splits, method=method))
    parts: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for fitted, told in splits.split(codes, codes):
        first = np.unique(codes[fitted], return_index=True)[1]  # a row of each label, however rare
        drawn = fitted
        if len(fitted) > most:
            drawn, _ = train_test_split(fitted, train_size=most, random_state=0)
        parts.append((np.union1d(drawn, fitted[first]), told))
    return np.asarray(cross_val_predict(model, rows, codes, cv=parts, method=method))


def _other_fields(field: str, answers: Answers) -> NDArray[Any]:
    """The other fields as columns: numbers as they are, few-valued ones by value, others by whether they are there."""
    names = [name for name in dict.fromkeys(key for answer in answers for key in answer) if name != field]
    columns: list[NDArray[Any]] = [np.zeros((len(answers), 0))]
    for name in names:
        values = [answer.get(name) for answer in answers]
        known = [value for value in values if value is not None]
        if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
            columns.append(np.array([[-1.0 if value is None else float(value)] for value in values]))
            continue
        kinds, codes = np.unique([to_json(value) for value in values], return_inverse=True)
        if len(kinds) <= MOST_LABELS:
            columns.append(np.eye(len(kinds))[codes])
        else:
            columns.append(np.array([[float(value is not None)] for value in values]))
    return np.hstack(columns)


def _log_softmax(logits: Any) -> NDArray[Any]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
