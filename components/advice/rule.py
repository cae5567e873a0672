"""The decision rule: which rung next, by how much, and what rules the others out. Pure: evidence in, a choice out.

A rung qualifies when it can be made at all (imitation wants answers that can be written, a reward a scorer that can be
trusted), when it is expected to gain (or, by imitation, to be as good at a lower price), and when it pays before the
task has moved on. Of those that qualify the one that gains most is advised, a cheaper one where it gains as much; RL
starts where imitation ends. What nobody measured is said and rules nothing out, except that RL wants a measured scorer.
"""

from statistics import NormalDist

from components.advice.evidence import Evidence, Rung, Scoring, above
from components.params import AdviceParams
from components.records import Interval, Record

NOTHING = Interval(value=0.0, low=0.0, high=0.0)


class Option(Record):
    """A rung that may come next: its expected gain in accuracy on dev, and why it is out (empty: it qualifies)."""

    rung: Rung
    gain: Interval | None
    out: str = ""


class Choice(Record):
    """What is advised, and all that was weighed, the cheapest first."""

    rung: Rung
    gain: Interval
    options: tuple[Option, ...]


def choose(evidence: Evidence, params: AdviceParams) -> Choice:
    """The next rung."""
    options = (_prompt(evidence, params), _sft(evidence, params), _rl(evidence, params), _label(evidence, params))
    if not (writable(evidence, params) or scorable(evidence, params)):
        return Choice(rung="define", gain=NOTHING, options=options)
    *automatic, label = options
    gains: dict[Rung, Interval] = {one.rung: one.gain for one in automatic if not one.out and one.gain}
    if gains:
        most = max(gain.value for gain in gains.values())
        enough: list[Rung] = [rung for rung, gain in gains.items() if gain.value >= most - params.min_gain]
        return Choice(rung=enough[0], gain=gains[enough[0]], options=options)
    if not label.out and label.gain:
        return Choice(rung="label", gain=label.gain, options=options)
    return Choice(rung="stay", gain=NOTHING, options=options)


def writable(evidence: Evidence, params: AdviceParams) -> bool:
    """Whether right answers can be written: there are some, and people do not agree too rarely on them."""
    known = evidence.writing
    return known.examples > 0 and (known.agreement is None or known.agreement.value >= params.min_agreement)


def scorable(evidence: Evidence, params: AdviceParams) -> bool:
    """Whether the scorer's errors are surely few enough; one that reads references is no better than they are."""
    known = evidence.scoring
    if known is None or (known.reads_reference and not writable(evidence, params)):
        return False
    return trusted(known, params)


def trusted(known: Scoring, params: AdviceParams) -> bool:
    """Whether a scorer's errors, at the upper ends of their intervals, are as few as RL needs."""
    few = known.false_positives.high <= params.max_false_positives
    return few and known.false_negatives.high <= params.max_false_negatives


def horizon_years(evidence: Evidence, params: AdviceParams) -> float:
    """Years that a training has to pay in: the declared ones, or until the task will have moved."""
    declared = min((one.horizon_years for one in evidence.paying.values()), default=float("inf"))
    moved = evidence.movement
    return declared if moved is None else min(declared, moved.stable_years(params.most_movement))


def _part(closed: tuple[float, float, float], gap: Interval, most: float) -> Interval:
    """A share of a gap that is at least 0, up to `most`; the errors of both taken as independent."""
    low, share, high = closed
    room = max(0.0, gap.value)
    below = ((share - low) ** 2 * room**2 + share**2 * (gap.value - gap.low) ** 2) ** 0.5
    over = ((high - share) ** 2 * room**2 + share**2 * (gap.high - gap.value) ** 2) ** 0.5
    value = share * room
    return Interval(value=value, low=max(0.0, value - below), high=max(value, min(most, value + over)))


def _prompt(evidence: Evidence, params: AdviceParams) -> Option:
    """One more version, drawn from the same spread as those that were tried."""
    if len(evidence.prompts) < 2:
        return Option(rung="prompt", gain=None, out="Fewer than two prompts were tried: nothing tells how they spread.")
    gain = _next_version(evidence)
    return Option(rung="prompt", gain=gain, out=_too_little(gain, params))


def _next_version(evidence: Evidence) -> Interval:
    """By how much a version from a normal distribution beats the standing rung: E[max(0, X − best)].

    The versions' variance holds that of a finite dev split as well, which is taken off. The ends are those of a
    prediction interval (Student's), which a few versions leave wide.
    """
    shares, stands = [one.value for one in evidence.prompts.values()], evidence.standing.accuracy
    mean, n = sum(shares) / len(shares), len(shares)
    variance = sum((one - mean) ** 2 for one in shares) / (n - 1)
    noise = sum(one * (1 - one) for one in shares) / n / max(1, evidence.prompt_examples)
    deviation, best = max(0.0, variance - noise) ** 0.5, stands.value
    if deviation < 1e-9:
        return NOTHING
    z = (mean - best) / deviation
    expected = (mean - best) * NormalDist().cdf(z) + deviation * NormalDist().pdf(z)
    highest = mean + _student(n - 1) * deviation * (1 + 1 / n) ** 0.5
    value, room = min(expected, 1.0 - best), stands.high - best
    high = max(0.0, highest - best) + room if highest < 1.0 else 1.0 - stands.low
    return Interval(value=value, low=0.0, high=max(high, value))


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def _sft(evidence: Evidence, params: AdviceParams) -> Option:
    """Training on the demonstrations there are; once trained, they are used up."""
    if not writable(evidence, params):
        return Option(rung="imitate", gain=None, out=_unwritable(evidence))
    if evidence.standing.trained:
        return Option(rung="imitate", gain=None, out="The demonstrations are in its weights already.")
    if evidence.learning is None:
        return Option(rung="imitate", gain=None, out="No training on subsets was tried.")
    gain = above(evidence.learning.full, evidence.standing.accuracy)
    little = "" if _saves(gain, evidence, params) else _too_little(gain, params)
    return Option(rung="imitate", gain=gain, out=little or _too_dear(evidence, "imitate", params))


def _saves(gain: Interval, evidence: Evidence, params: AdviceParams) -> bool:
    """Whether an owned model that answers about as well as the incumbent is worth it for its price alone."""
    paying = evidence.paying.get("imitate")
    return paying is not None and paying.saved_usd_per_year > 0 and gain.value > -params.min_gain


def _rl(evidence: Evidence, params: AdviceParams) -> Option:
    """RL closes a share of the gap from what stands to pass@k."""
    known, room, stands = evidence.scoring, evidence.headroom, evidence.standing.accuracy
    gain = None
    if room is not None and known is not None:
        gain = _part(params.closed_by_rl, room.gap, 1.0 - stands.low)
    if not scorable(evidence, params):
        return Option(rung="reward", gain=None, out=_unscorable(evidence, params))
    if writable(evidence, params) and not evidence.standing.trained and not _sft(evidence, params).out:
        return Option(rung="reward", gain=gain, out="RL starts where SFT ends, and SFT has something to gain.")
    if gain is None:
        return Option(rung="reward", gain=None, out="Nobody drew several answers to one prompt.")
    return Option(rung="reward", gain=gain, out=_too_little(gain, params) or _too_dear(evidence, "reward", params))


def _label(evidence: Evidence, params: AdviceParams) -> Option:
    """Correcting demonstrations that a trained rung has learnt the errors of, or as many again."""
    if not writable(evidence, params):
        return Option(rung="label", gain=None, out=_unwritable(evidence))
    if not evidence.standing.trained:
        return Option(rung="label", gain=None, out="Nothing that stands was trained on the demonstrations there are.")
    found = [one for one in (_unlearnt(evidence), _doubled(evidence)) if one]
    if not found:
        return Option(rung="label", gain=None, out="Nobody measured what more or better demonstrations bring.")
    gain = Interval(**{end: max(getattr(one, end) for one in found) for end in ("value", "low", "high")})
    return Option(rung="label", gain=gain, out=_too_little(gain, params) or _too_dear(evidence, "imitate", params))


def _doubled(evidence: Evidence) -> Interval | None:
    """What as many demonstrations again bring; over a rung trained by RL only what imitation would be above it."""
    learnt = evidence.learning
    if learnt is None or evidence.standing.imitates:
        return learnt and learnt.doubling
    gain = above(learnt.doubled, evidence.standing.accuracy)
    return gain.model_copy(update={"value": max(0.0, gain.value), "low": max(0.0, gain.low)})


def _unlearnt(evidence: Evidence) -> Interval | None:
    """What correcting demonstrations brings: at least the errors that were learnt, at most all errors there are."""
    known = evidence.writing
    if known.learnt_errors is None or known.errors is None:
        return None
    learnt = known.learnt_errors
    return Interval(value=learnt.value, low=learnt.low, high=max(learnt.high, known.errors.high))


def _too_little(gain: Interval, params: AdviceParams) -> str:
    if gain.value >= params.min_gain:
        return ""
    return f"Its expected gain of {100 * gain.value:.1f} points is below {100 * params.min_gain:.1f}."


def _too_dear(evidence: Evidence, rung: str, params: AdviceParams) -> str:
    """Why a training does not pay; nothing where it does, or where nobody knows."""
    paying = evidence.paying.get(rung)  # pyright: ignore[reportArgumentType, reportCallIssue]
    if paying is None:
        return ""
    years, most = paying.years, horizon_years(evidence, params)
    if years is not None and years <= most:
        return ""
    when = "never" if years is None else f"after {years:.1f} years"
    before = f"the {most:.1f} years that it has to" if most == paying.horizon_years else (
        f"{most:.1f} years, in which the task will have moved on"
    )  # fmt: skip
    return f"At this volume it pays back {when}, not within {before}."


def _unwritable(evidence: Evidence) -> str:
    agreement = evidence.writing.agreement
    if agreement is None:
        return "There are no demonstrations."
    return f"People agree on the answer in {agreement.value:.0%} of cases: it cannot be written yet."


def _unscorable(evidence: Evidence, params: AdviceParams) -> str:
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
