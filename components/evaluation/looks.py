"""How sure the gate has to be: the level of a look at a sealed split, and of each comparison of a climb. Pure.

Decides how the chance of a false promotion is spent over all challenges that one sealed split decides.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from components.params import GateParams
from components.records import Example, Verdict

NO_CHAMPION = "none"
SKETCH = 128  # hashes of a kind: any split fits into a tag, and a half that is shared is known to within 4 points
COLUMNS = 3  # of the inputs by which a split is recognised: of low numbers of values nothing can be told


def alpha_of_look(params: GateParams, look: int) -> float:
    """The two-sided level of the look-th challenge on one sealed split; 0 when the split is used up.

    A two-sided test at alpha promotes an equal challenger with a chance of alpha / 2. The first look spends that half
    of alpha, the looks after it share the other half equally: over all of them together at most alpha of equal
    challengers is promoted, and the first look is as sharp as if it were the only one.
    """
    if look == 1:
        return params.alpha
    return params.alpha / (params.looks - 1) if look <= params.looks else 0.0


def holm_climb(alpha: float, comparisons: int, walk: Callable[[float], Sequence[Verdict]]) -> Sequence[Verdict]:
    """Climb with Holm's correction (1979): at alpha / comparisons, then with one comparison less for each that was won.

    `walk` climbs at a level. It is called again as long as more comparisons were won than before, so that the level
    grows to alpha / (comparisons − won): who stands may change on the way, and with it who is compared.
    """
    won = 0
    while True:
        verdicts = walk(alpha / max(1, comparisons - won))
        now = sum(one.decision == "promoted" and one.champion != NO_CHAMPION for one in verdicts)
        if now <= won:
            return verdicts
        won = now


def sketch(examples: Iterable[Example]) -> tuple[str, ...]:
    """What a split is recognised by: the least hashes of its examples' contents, ids and inputs.

    At most SKETCH of each kind, in order. Contents are bare hashes, the others have a letter before: ids `i`, and the
    COLUMNS input columns with the most different values `c`, `d`, `e`, where at least half of them differ. A split
    whose references are written otherwise, or that has another column, is recognised by what stayed.
    """
    rows = list(examples)
    kinds = {"": [f"{one.input}\n{one.reference}" for one in rows], "i": [one.id for one in rows]}
    columns = {name: [one.input[name] for one in rows if name in one.input] for one in rows[:1] for name in one.input}
    telling = [name for name, texts in columns.items() if len(set(texts)) >= len(texts) / 2]
    widest = sorted(telling, key=lambda name: (-len(set(columns[name])), name))[:COLUMNS]
    kinds |= dict(zip("cde", (columns[name] for name in widest), strict=False))
    return tuple(f"{kind}{one}" for kind, texts in kinds.items() for one in _least(texts))


def _least(texts: Iterable[str]) -> list[str]:
    return sorted({hashlib.sha256(text.encode()).hexdigest()[:8] for text in texts})[:SKETCH]


def shared(today: Sequence[str], earlier: Sequence[str]) -> float:
    """The share of today's examples that an earlier split held too, by the sketches of both, in [0, 1].

    By whichever kind of hash says most: contents with contents, ids with ids, any column with any.
    """
    now, then = _kinds(today), _kinds(earlier)
    pairs = [(one, other) for one in now for other in then if one == other or {one, other} <= set("cde")]
    return max((_shared(now[one], then[other]) for one, other in pairs), default=0.0)


def _kinds(sketched: Sequence[str]) -> dict[str, list[str]]:
    """The hashes of a sketch by their kind."""
    kinds: dict[str, list[str]] = {}
    for one in sketched:
        kinds.setdefault(one[:-8], []).append(one[-8:])
    return kinds


def _shared(today: Sequence[str], earlier: Sequence[str]) -> float:
    """The same of one kind. Below the largest hash that both reach each is complete; there they are compared."""
    reach = min(max(part) if len(part) == SKETCH else "~" for part in (today, earlier))
    comparable = [one for one in today if one <= reach]
    return len(set(comparable) & set(earlier)) / len(comparable) if comparable else 0.0
