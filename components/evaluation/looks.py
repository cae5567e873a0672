"""The gate's significance levels: for a look at a sealed split, and for each comparison in a climb. Pure.

Decides how the risk of a false promotion is spent over all challenges on a sealed split.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from components.params import GateParams
from components.records import Example, Verdict

NO_CHAMPION = "none"
SKETCH = 128  # hashes per kind: a sketch fits into a tag, and a shared half is estimated to within 4 points
COLUMNS = 3  # input columns by which a split is recognised: those with few values are not distinctive


def alpha_of_look(params: GateParams, look: int) -> float:
    """The two-sided level of the look-th challenge on a sealed split; 0 once the split is used up.

    A two-sided test at alpha promotes an equal challenger with probability alpha / 2. The first look spends that half,
    later looks share the other half equally: over all looks, an equal challenger is promoted with probability alpha at
    most, and the first look has the power of a single one.
    """
    if look == 1:
        return params.alpha
    return params.alpha / (params.looks - 1) if look <= params.looks else 0.0


def retires(params: GateParams, look: int) -> bool:
    """Whether a sealed split is not asked again after this look, so that everything may be told of it."""
    return look >= params.looks


def holm_climb(alpha: float, comparisons: int, walk: Callable[[float], Sequence[Verdict]]) -> Sequence[Verdict]:
    """Climb with Holm's correction (1979): at alpha / comparisons, then with a comparison less for each one won.

    `walk` climbs at a level. It is repeated as long as more comparisons are won than before, so that the level rises to
    alpha / (comparisons − won): a different champion on the way changes later comparisons.
    """
    won = 0
    while True:
        verdicts = walk(alpha / max(1, comparisons - won))
        now = sum(verdict.decision == "promoted" and verdict.champion != NO_CHAMPION for verdict in verdicts)
        if now <= won:
            return verdicts
        won = now


def sketch(examples: Iterable[Example]) -> tuple[str, ...]:
    """A sketch by which a split is recognised: the smallest hashes of its examples' contents, ids and inputs.

    At most SKETCH of each kind, in order. Hashes of contents have no prefix; ids have `i`, and the COLUMNS input
    columns with the most distinct values (at least half of them distinct) have `c`, `d` and `e`. A split with reworded
    references or another column is still recognised by the rest.
    """
    rows = list(examples)
    kinds = {"": [f"{example.input}\n{example.reference}" for example in rows], "i": [example.id for example in rows]}
    columns = {
        name: [example.input[name] for example in rows if name in example.input]
        for example in rows[:1]
        for name in example.input
    }
    telling = [name for name, texts in columns.items() if len(set(texts)) >= len(texts) / 2]
    widest = sorted(telling, key=lambda name: (-len(set(columns[name])), name))[:COLUMNS]
    kinds |= dict(zip("cde", (columns[name] for name in widest), strict=False))
    return tuple(f"{kind}{hashed}" for kind, texts in kinds.items() for hashed in _least(texts))


def _least(texts: Iterable[str]) -> list[str]:
    return sorted({hashlib.sha256(text.encode()).hexdigest()[:8] for text in texts})[:SKETCH]


def shared(today: Sequence[str], earlier: Sequence[str]) -> float:
    """The share of today's examples that an earlier split also had, estimated from both sketches, in [0, 1].

    The maximum over kinds of hashes: contents with contents, ids with ids, any column with any.
    """
    now, then = _kinds(today), _kinds(earlier)
    pairs = [
        (kind, earlier_kind)
        for kind in now
        for earlier_kind in then
        if kind == earlier_kind or {kind, earlier_kind} <= set("cde")
    ]
    return max((_shared(now[kind], then[earlier_kind]) for kind, earlier_kind in pairs), default=0.0)


def _kinds(sketched: Sequence[str]) -> dict[str, list[str]]:
    """A sketch's hashes by kind."""
    kinds: dict[str, list[str]] = {}
    for hashed in sketched:
        kinds.setdefault(hashed[:-8], []).append(hashed[-8:])
    return kinds


def _shared(today: Sequence[str], earlier: Sequence[str]) -> float:
    """The same for one kind. Sketches are compared up to the largest hash to which both are complete."""
    reach = min(max(part) if len(part) == SKETCH else "~" for part in (today, earlier))
    comparable = [hashed for hashed in today if hashed <= reach]
    return len(set(comparable) & set(earlier)) / len(comparable) if comparable else 0.0
