"""The conditions of a rung: answers that can be written or scored, a large enough gain, a price that pays. Pure."""

from components.advice.at_hand import Rung
from components.advice.evidence import Evidence, Scoring, Training
from components.params import AdviceParams
from components.records import Interval, Record

NOTHING = Interval(value=0.0, low=0.0, high=0.0)


class Option(Record):
    """A possible next rung: its expected gain in accuracy on dev, and why it is out (empty if it qualifies)."""

    rung: Rung
    gain: Interval | None
    out: str = ""


def writable(evidence: Evidence, params: AdviceParams) -> bool:
    """Whether right answers can be written: there are demonstrations, and people agree often enough."""
    known = evidence.writing
    return known.examples > 0 and (known.agreement is None or known.agreement.value >= params.min_agreement)


def scorable(evidence: Evidence, params: AdviceParams) -> bool:
    """Whether the scorer can be trusted; one that reads references is no better than they are."""
    known = evidence.scoring
    if known is None or (known.reads_reference and not writable(evidence, params)):
        return False
    return trusted(known, params)


def trusted(known: Scoring, params: AdviceParams) -> bool:
    """Whether the upper ends of a scorer's error rates are low enough for RL."""
    few = known.false_positives.high <= params.max_false_positives
    return few and known.false_negatives.high <= params.max_false_negatives


def horizon_years(evidence: Evidence, params: AdviceParams) -> float:
    """Years within which a training has to pay: the declared ones, or fewer if the task moves on before."""
    declared = min((paying.horizon_years for paying in evidence.paying.values()), default=float("inf"))
    moved = evidence.movement
    return declared if moved is None else min(declared, moved.stable_years(params.most_movement))


def part(closed: tuple[float, float, float], gap: Interval, most: float) -> Interval:
    """A share of a gap, between 0 and `most`; both errors are taken as independent."""
    low, share, high = closed
    room = max(0.0, gap.value)
    below = ((share - low) ** 2 * room**2 + share**2 * (gap.value - gap.low) ** 2) ** 0.5
    over = ((high - share) ** 2 * room**2 + share**2 * (gap.high - gap.value) ** 2) ** 0.5
    value = share * room
    return Interval(value=value, low=max(0.0, value - below), high=max(value, min(most, value + over)))


def too_little(gain: Interval, params: AdviceParams) -> str:
    """Why a gain is too small for a rung; empty if it is not."""
    if gain.value >= params.min_gain:
        return ""
    return f"Its expected gain of {100 * gain.value:.1f} points is below {100 * params.min_gain:.1f}."


def counted(gain: Interval, horizon: float, evidence: Evidence, params: AdviceParams) -> Interval:
    """What of a gain counts in a payback within a horizon in years: nothing where the task moves on within it.

    How far labels moved is the least that the task did.
    """
    return gain if horizon_years(evidence, params) >= horizon else NOTHING


def too_dear(evidence: Evidence, rung: Training, gain: Interval, params: AdviceParams) -> str:
    """Why a training does not pay by its price and its gain; empty if it does, or if that is unknown."""
    paying = evidence.paying.get(rung)
    if paying is None:
        return ""
    most = horizon_years(evidence, params)
    years = paying.paid_back(counted(gain, paying.horizon_years, evidence, params).value)
    if years is not None and years <= most:
        return ""
    when = "never" if years is None else f"after {years:.1f} years"
    before = f"the {most:.1f} years that it has to" if most == paying.horizon_years else (
        f"{most:.1f} years, in which the task will have moved on"
    )  # fmt: skip
    return f"At this volume it pays back {when}, not within {before}."


def unwritable(evidence: Evidence) -> str:
    """Why answers cannot be imitated."""
    agreement = evidence.writing.agreement
    if agreement is None:
        return "There are no demonstrations."
    return f"People agree on the answer in {agreement.value:.0%} of cases: it cannot be written yet."


def unscorable(evidence: Evidence, params: AdviceParams) -> str:
    """Why no method may learn from the scorer."""
    known = evidence.scoring
    if known is None:
        return "The scorer was never tried on answers that are known to be right or wrong."
    if known.reads_reference and not writable(evidence, params):
        return "The scorer compares with a reference on which people do not agree."
    return (
        f"The scorer lets up to {known.false_positives.high:.0%} of wrong answers pass and refuses up to "
        f"{known.false_negatives.high:.0%} of right ones, where {params.max_false_positives:.0%} and "
        f"{params.max_false_negatives:.0%} are allowed."
    )
