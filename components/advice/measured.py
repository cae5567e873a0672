"""The options whose gain is measured beforehand: another prompt, imitation, a reward, better demonstrations. Pure."""

from statistics import NormalDist

from components.advice.evidence import Evidence, above
from components.advice.gates import (
    NOTHING,
    Option,
    part,
    scorable,
    too_dear,
    too_little,
    unscorable,
    unwritable,
    writable,
)
from components.params import AdviceParams
from components.records import Interval


def prompt(evidence: Evidence, params: AdviceParams) -> Option:
    """One more prompt version, drawn from the same distribution as those that were tried."""
    if len(evidence.prompts) < 2:
        return Option(rung="prompt", gain=None, out="Fewer than two prompts were tried: nothing tells how they spread.")
    gain = _next_version(evidence)
    return Option(rung="prompt", gain=gain, out=too_little(gain, params))


def _next_version(evidence: Evidence) -> Interval:
    """The expected gain of a new version from a normal distribution over the standing rung: E[max(0, X − best)].

    The variance from the finite dev split is subtracted from that of the versions. The ends are those of Student's
    prediction interval, which is wide for few versions.
    """
    shares, stands = [share.value for share in evidence.prompts.values()], evidence.standing.accuracy
    mean, n = sum(shares) / len(shares), len(shares)
    variance = sum((share - mean) ** 2 for share in shares) / (n - 1)
    noise = sum(share * (1 - share) for share in shares) / n / max(1, evidence.prompt_examples)
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


def imitation(evidence: Evidence, params: AdviceParams) -> Option:
    """Training on the demonstrations; a trained model has nothing more to gain from them."""
    if not writable(evidence, params):
        return Option(rung="imitate", gain=None, out=unwritable(evidence))
    if evidence.standing.trained:
        return Option(rung="imitate", gain=None, out="The demonstrations are in its weights already.")
    if evidence.learning is None:
        return Option(rung="imitate", gain=None, out="No training on subsets was tried.")
    gain = above(evidence.learning.full, evidence.standing.accuracy)
    little = "" if saves(gain, evidence, params) else too_little(gain, params)
    return Option(rung="imitate", gain=gain, out=little or too_dear(evidence, "imitate", gain, params))


def starts_too_early(evidence: Evidence, params: AdviceParams) -> str:
    """Why training the standing model has to wait: it is an API's, or imitation comes first."""
    if not evidence.standing.weights:
        return "What stands is an API's model: nobody can train it, and what it answers says nothing of another."
    if evidence.standing.trained or not writable(evidence, params) or imitation(evidence, params).out:
        return ""
    return "It starts where imitation ends, and that has something to gain."


def saves(gain: Interval, evidence: Evidence, params: AdviceParams) -> bool:
    """Whether an owned model that answers about as well as the incumbent is worth it for its lower price."""
    paying = evidence.paying.get("imitate")
    return paying is not None and paying.saved_usd_per_year > 0 and gain.value > -params.min_gain


def reward(evidence: Evidence, params: AdviceParams) -> Option:
    """RL, which closes a share of the gap from the standing rung to pass@k."""
    known, room, stands = evidence.scoring, evidence.headroom, evidence.standing.accuracy
    gain = None
    if room is not None and known is not None:
        gain = part(params.closed_by_rl, room.gap, 1.0 - stands.low)
    if not scorable(evidence, params):
        return Option(rung="reward", gain=None, out=unscorable(evidence, params))
    if early := starts_too_early(evidence, params):
        return Option(rung="reward", gain=gain, out=early)
    if gain is None:
        return Option(rung="reward", gain=None, out="Nobody drew several answers to one prompt.")
    out = too_little(gain, params) or too_dear(evidence, "reward", gain, params)
    return Option(rung="reward", gain=gain, out=out)


def labels(evidence: Evidence, params: AdviceParams) -> Option:
    """Corrected demonstrations for a trained rung that has learnt their errors, or twice as many of them."""
    if not writable(evidence, params):
        return Option(rung="label", gain=None, out=unwritable(evidence))
    if not evidence.standing.trained:
        return Option(rung="label", gain=None, out="Nothing that stands was trained on the demonstrations there are.")
    gains = [each for each in (_unlearnt(evidence), _doubled(evidence)) if each]
    if not gains:
        return Option(rung="label", gain=None, out="Nobody measured what more or better demonstrations bring.")
    gain = Interval(**{end: max(getattr(each, end) for each in gains) for end in ("value", "low", "high")})
    out = too_little(gain, params) or too_dear(evidence, "imitate", gain, params)
    return Option(rung="label", gain=gain, out=out)


def _doubled(evidence: Evidence) -> Interval | None:
    """The gain of doubling the demonstrations; for a rung trained by RL, what imitation would gain over it."""
    learnt = evidence.learning
    if learnt is None or evidence.standing.imitates:
        return learnt and learnt.doubling
    gain = above(learnt.doubled, evidence.standing.accuracy)
    return gain.model_copy(update={"value": max(0.0, gain.value), "low": max(0.0, gain.low)})


def _unlearnt(evidence: Evidence) -> Interval | None:
    """The gain of correcting demonstrations: at least the errors that were learnt, at most all errors."""
    known = evidence.writing
    if known.learnt_errors is None or known.errors is None:
        return None
    learnt = known.learnt_errors
    return Interval(value=learnt.value, low=learnt.low, high=max(learnt.high, known.errors.high))
