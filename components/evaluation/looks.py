"""How sure the gate has to be: the level of a look at a sealed split, and of each comparison of a climb. Pure.

Decides how the chance of a false promotion is spent over all challenges that one sealed split decides.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from components.params import GateParams
from components.records import Example, Verdict

NO_CHAMPION = "none"
SKETCH = 128  # hashes: a split of any size fits into a tag, and a half that is shared is known to within 4 points


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
    """What a split is recognised by: the least hashes of its examples, at most SKETCH of them, in order."""
    hashes = {hashlib.sha256(f"{one.input}\n{one.reference}".encode()).hexdigest()[:8] for one in examples}
    return tuple(sorted(hashes)[:SKETCH])


def shared(today: Sequence[str], earlier: Sequence[str]) -> float:
    """The share of today's examples that an earlier split held too, by the sketches of both, in [0, 1].

    Below the largest hash that both sketches reach each of them is complete; there they are compared.
    """
    reach = min(max(part) if len(part) == SKETCH else "~" for part in (today, earlier))
    comparable = [one for one in today if one <= reach]
    return len(set(comparable) & set(earlier)) / len(comparable) if comparable else 0.0
