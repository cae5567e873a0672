"""The decision: a challenger replaces the champion only if it is significantly better on the sealed split.

Decides, and says why in sentences with the numbers; loads, registers and deploys nothing.
"""

from dataclasses import dataclass

from components.evaluation.compare import Scores, compare
from components.evaluation.metrics import accuracy, wilson
from components.params import GateParams
from components.records import Verdict

NO_CHAMPION = "none"


@dataclass(frozen=True)
class Contender:
    """A rung on the sealed split: example id → score, and how many of its answers the schema allows."""

    name: str
    scores: Scores
    valid: int


def decide(params: GateParams, challenger: Contender, champion: Contender | None, seed: int = 0) -> Verdict:
    """Promote or keep; without a champion the bounds on validity and examples decide alone.

    Raises:
        DataError: There are no sealed scores, or the two contenders were scored on different examples.
    """
    checks = [_enough_examples(params, challenger), _valid_enough(params, challenger)]
    checks += _first(challenger) if champion is None else _better(params, challenger, champion, seed)
    return Verdict(
        champion=champion.name if champion else NO_CHAMPION,
        challenger=challenger.name,
        decision="promoted" if all(passed for passed, _ in checks) else "kept",
        reasons=tuple(reason for _, reason in checks),
    )


Check = tuple[bool, str]


def _enough_examples(params: GateParams, challenger: Contender) -> Check:
    n, least = len(challenger.scores), params.min_examples
    passed = n >= least
    return passed, f"{n:,} sealed examples, {_at_least(passed)} the {least:,} that the gate asks for."


def _valid_enough(params: GateParams, challenger: Contender) -> Check:
    share = wilson(challenger.valid, len(challenger.scores)).value
    passed = share >= params.min_validity
    return passed, (
        f"{share:.1%} of {challenger.name}'s answers are valid, {_at_least(passed)} the {params.min_validity:.1%} "
        "that the gate asks for."
    )


def _first(challenger: Contender) -> list[Check]:
    found = accuracy(challenger.scores.values())
    return [
        (
            True,
            f"{challenger.name} is right on {found.value:.1%} (95 % interval {found.low:.1%} to {found.high:.1%}), "
            "and there is no champion to compare it with.",
        )
    ]


def _better(params: GateParams, challenger: Contender, champion: Contender, seed: int) -> list[Check]:
    found = compare(champion.scores, challenger.scores, seed)
    before, after = (accuracy(contender.scores.values()).value for contender in (champion, challenger))
    gains = found.delta >= params.min_delta
    significant = found.p_value < params.alpha and found.fixed > found.broken
    return [
        (
            gains,
            f"{challenger.name} is right on {after:.1%}, {champion.name} on {before:.1%}: {_points(found.delta)} "
            f"points (95 % interval {_points(found.low)} to {_points(found.high)}), {_at_least(gains)} the "
            f"{_points(params.min_delta)} that the gate asks for.",
        ),
        (
            significant,
            f"{found.fixed:,} examples fixed and {found.broken:,} broken: McNemar's exact p = {found.p_value:.2g} "
            f"at alpha {params.alpha:g}, so {challenger.name} is {_outcome(found.delta, found.p_value, params.alpha)}.",
        ),
    ]


def _outcome(delta: float, p_value: float, alpha: float) -> str:
    if p_value >= alpha:
        return "not significantly different"
    return "significantly better" if delta > 0 else "significantly worse"


def _at_least(passed: bool) -> str:
    return "at least" if passed else "below"


def _points(delta: float) -> str:
    return f"{100 * delta:+.1f}"
