"""What the gate says at the first look at a sealed split, and at the last, when everything may be told."""

from components.evaluation import NO_CHAMPION, Contender, Level, Split, judge, measure
from components.evaluation.gate import Slices
from components.params import GateParams
from components.records import Verdict


def decide(
    params: GateParams,
    challenger: Contender,
    champion: Contender | None,
    slices: Slices | None = None,
    groups: dict[str, str] | None = None,
) -> Verdict:
    """Measured and judged at once; without a champion the bounds and the must-pass cases decide alone."""
    return at_look(1, params, challenger, champion, Split(slices or {}, groups))


def opened(
    params: GateParams,
    challenger: Contender,
    champion: Contender | None,
    slices: Slices | None = None,
    groups: dict[str, str] | None = None,
) -> Verdict:
    """The same at the look at which the split retires, at the first look's level."""
    return at_look(params.looks, params, challenger, champion, Split(slices or {}, groups))


def at_look(look: int, params: GateParams, challenger: Contender, champion: Contender | None, split: Split) -> Verdict:
    """The verdict at a look, at the first one's level."""
    names = (challenger.name, champion.name if champion else NO_CHAMPION)
    return judge(params, names, measure(params, challenger, champion, split), Level(look, params.alpha))
