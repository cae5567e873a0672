"""What a verdict tells of a sealed split that is still in use: the decision, and what is needed to act on it. Pure.

A kept challenger is told apart from others by nothing that says which way answers changed, so that none can be put
together from what earlier looks told. Then ten equal challengers are as good as fixed in advance, however they were
made, and their chances of promotion add up to alpha at most. By how much contenders differ, their levels and their
slices are told when the split retires.
"""

from dataclasses import replace

from components.evaluation import checks
from components.evaluation import slices as sliced
from components.evaluation.checks import Check, Level
from components.params import GateParams
from components.records import GateNumbers

_SEALED = "stays sealed until the split retires, so that no challenger is fitted to it; the test split shows its own"


def sealed(numbers: GateNumbers) -> GateNumbers:
    """The numbers without anything that says how the contenders answered: shares in whole percent, sizes, bounds."""
    return GateNumbers(
        n=numbers.n,
        validity=round(numbers.validity, 2),
        groups=numbers.groups,
        undecided=round(round(numbers.undecided / numbers.n, 2) * numbers.n),
        failed_cases=numbers.failed_cases,
        latency_ms_p95=numbers.latency_ms_p95,
        usd_per_1k_calls=numbers.usd_per_1k_calls,
    )


def bounds(params: GateParams, numbers: GateNumbers, challenger: str) -> list[Check]:
    """The hard bounds, with validity in whole percent."""
    validity, *others = checks.bounds(params, numbers, challenger)
    end = "at least" if validity.passed else "below"
    reason = (
        f"About {numbers.validity:.0%} of {challenger}'s answers are valid, the lower end of their 95 % interval is "
        f"{end} the {params.min_validity:.1%} that the gate asks for."
    )
    return [replace(validity, reason=reason), *others]


def first(challenger: str) -> Check:
    """A challenger without a champion passes."""
    return Check(True, f"There is no champion to compare {challenger} with. On how many it is right {_SEALED}.")


def better(params: GateParams, numbers: GateNumbers, names: tuple[str, str], level: Level) -> list[Check]:
    """The declared test on all examples: whether it was passed, at which level."""
    versus = numbers.versus
    if versus is None or numbers.p_value is None or numbers.champion_level is None:
        return []
    (challenger, champion), proven = names, checks.shown_better(params, numbers, level)
    passed = proven and versus.delta >= checks.least_delta(params)
    if params.test == "non_inferiority":
        by = checks.points(params.margin)
        outcome = f"{'not worse' if proven else 'not shown to be not worse'} than {champion} by {by}"
    else:
        short = "" if passed or not proven else f", but not by the {checks.points(params.min_delta)} that are asked for"
        outcome = f"{checks.outcome_of(versus.delta, numbers.p_value, level.alpha)} {_than(proven)} {champion}{short}"
    reason = (
        f"{challenger} is {outcome} ({checks.test_in_words(params, numbers)} at {checks.level_in_words(params, level)}"
        f"{_undecided(numbers, challenger)}). By how much they differ {_SEALED}."
    )
    return [Check(passed, reason, checks.lacking(params, numbers, level))]


def slices(params: GateParams, numbers: GateNumbers, challenger: str, *, proven: bool) -> list[Check]:
    """Whether slices speak against a challenger; told only if the whole is better, because otherwise it is kept."""
    tally = numbers.sliced or sliced.findings(params, numbers)
    if tally is None:
        return []
    if not proven:
        return [Check(True, f"{tally.n} slices are judged if the whole is better{checks.shown(tally)}.")]
    if not tally.against:
        return [Check(True, f"None of {tally.n} slices speaks against {challenger}{checks.shown(tally)}.")]
    why = "the next examples may rule them out" if tally.needed else "one is significantly worse or cannot gain enough"
    return [
        Check(False, f"Slices speak against {challenger}: of {tally.n}, losses are not ruled out on all, and {why}"
                     f"{checks.shown(tally)}. Which ones {_SEALED}.", tally.needed)
    ]  # fmt: skip


def _than(proven: bool) -> str:
    return "than" if proven else "from"


def _undecided(numbers: GateNumbers, challenger: str) -> str:
    """How far the bounds of the difference are apart if the scorer left answers undecided, in whole points."""
    if not numbers.undecided or numbers.best_delta is None:
        return ""
    apart = 2 * checks.undecided_part(numbers)
    return (
        f"; about {numbers.undecided / numbers.n:.0%} of the examples, which the scorer could not decide, count "
        f"against {challenger} and hide up to {100 * apart:.0f} points of a gain"
    )
