"""The options between prompting and RL: what each may gain, and why it is out. Pure.

Their gains are shares of a measured quantity: the gap to pass@k, the audit's errors, what logs promise. The shares are
assumed (`AdviceParams`), and the intervals include that uncertainty.
"""

from typing import Literal

from components.advice.at_hand import Feedback, Rung
from components.advice.evidence import Evidence, Training, above
from components.advice.gates import Option, part, scorable, too_dear, too_little, unscorable, unwritable, writable
from components.advice.measured import saves, starts_too_early
from components.params import AdviceParams
from components.records import Interval

LEAST = 100  # opinions; trained on fewer, a result would be noise
MOST_UNEVEN = 20
TRAINED = "What stands is trained: it answers by its weights."
# Whose payback applies to an option that trains: imitation's, or that of a rung after it.
PAYS: dict[Rung, Training] = {
    "imitate": "imitate", "relabel": "imitate", "synthetic": "imitate", "teacher_answers": "imitate",
    "on_policy_distillation": "imitate", "prompt_distillation": "prompt_distillation", "rejection_sampling": "reward",
    "reward": "reward", "judged_grpo": "reward", "weighted_sft": "reward", "pairs": "reward", "thumbs": "reward",
}  # fmt: skip
ANEW = "It trains the base model from the start again, and what a reward has taught would be lost."


def shown(evidence: Evidence, params: AdviceParams) -> Option:
    """Answered examples in the prompt; the gain is measured, not assumed."""
    out = unwritten(evidence, params) or (TRAINED if evidence.standing.trained else "")
    if out or evidence.at_hand.shown is None:
        return Option(rung="few_shot", gain=None, out=out or "Nobody tried the prompt with examples in it.")
    gain = above(evidence.at_hand.shown.accuracy, evidence.standing.accuracy)
    return _weighed(Option(rung="few_shot", gain=gain), evidence, params)


def searched(evidence: Evidence, params: AdviceParams) -> Option:
    """A prompt reworded by the scorer's reasons: closes a share of the gap to pass@k."""
    missing = "" if evidence.at_hand.reflects else "No model is at hand that could reword it."
    out = (TRAINED if evidence.standing.trained else "") or missing
    return _closing("gepa", params.closed_by_search, out, evidence, params)


def sampled(evidence: Evidence, params: AdviceParams) -> Option:
    """Training on the model's own answers that pass: once, where RL does so at every step."""
    early = starts_too_early(evidence, params)
    return _closing("rejection_sampling", params.closed_by_sampling, early, evidence, params)


def judged(evidence: Evidence, params: AdviceParams) -> Option:
    """RL on a judge that was tested on people's pairs, behind a trusted scorer as gate."""
    trial = evidence.at_hand.judge
    if not scorable(evidence, params):
        return Option(rung="judged_grpo", gain=None, out=unscorable(evidence, params))
    if trial is None:
        return Option(rung="judged_grpo", gain=None, out="No judge was tried on pairs that people have compared.")
    if trial.pairs < params.min_judged_pairs or trial.agreement.low < params.min_judge_agreement:
        return Option(
            rung="judged_grpo", gain=None,
            out=f"The judge prefers what people do in surely {trial.agreement.low:.0%} of {trial.pairs:,} pairs, where "
            f"{params.min_judge_agreement:.0%} of {params.min_judged_pairs:,} are the least.",
        )  # fmt: skip
    gain = part(params.closed_by_rl, trial.room, 1.0 - evidence.standing.accuracy.low)
    early = starts_too_early(evidence, params)
    return _weighed(Option(rung="judged_grpo", gain=gain, out=early), evidence, params)


def relabelled(evidence: Evidence, params: AdviceParams) -> Option:
    """Relabelled demonstrations: gain a share of the audit's errors over imitation."""
    known, stands = evidence.writing, evidence.standing
    if out := unwritten(evidence, params):
        return Option(rung="relabel", gain=None, out=out)
    if known.audited_ceiling is None:
        return Option(rung="relabel", gain=None, out="No label audit has looked at the demonstrations.")
    mended = _mended(evidence, 1.0 - known.audited_ceiling, params)
    if stands.imitates:
        return _weighed(Option(rung="relabel", gain=mended), evidence, params)
    if evidence.learning is None:
        return Option(rung="relabel", gain=None, out="No training on subsets was tried.")
    reached = above(evidence.learning.full, stands.accuracy)
    gain = Interval(**{end: getattr(reached, end) + getattr(mended, end) for end in ("value", "low", "high")})
    worth = "" if mended.value >= params.min_gain else "Training on the demonstrations as they are gains as much."
    return _weighed(Option(rung="relabel", gain=gain, out=worth), evidence, params)


def _mended(evidence: Evidence, doubted: float, params: AdviceParams) -> Interval:
    """What relabelling gains over imitation: a share of the audit's errors, bounded by what dev's references show.

    At most all errors of imitation. Of the demonstrations that are doubted without reason, half are expected to become
    wrong, at worst all.
    """
    known, learnt = evidence.writing, evidence.learning
    bounds = [known.learnt_errors.value] if known.learnt_errors else []
    bounds += [1.0 - known.demonstrations.value] if known.demonstrations else []
    wrong = min([doubted, *bounds])
    low, share, high = params.mended_by_relabelling
    errors = known.errors.high if known.errors else 1.0 - learnt.full.low if learnt else wrong
    unreasoned = doubted - wrong
    value = share * wrong - unreasoned / 2
    return Interval(value=value, low=low * wrong - unreasoned, high=max(value, high * wrong, errors))


def shortened(evidence: Evidence, params: AdviceParams) -> Option:
    """An owned model that learns what its long prompt says: as good, and cheaper by the prompt's tokens."""
    rung: Literal["prompt_distillation"] = "prompt_distillation"
    if evidence.standing.trained or rung not in evidence.paying:
        return Option(rung=rung, gain=None, out="No long prompt of a model of one's own stands.")
    gain = _taught(evidence.standing.accuracy, evidence.standing.accuracy, params)
    saved = evidence.paying[rung].saved_usd_per_year > 0 and gain.value > -params.min_gain
    little = "" if saved else too_little(gain, params)
    return Option(rung=rung, gain=gain, out=little or too_dear(evidence, rung, gain, params))


def taught(evidence: Evidence, params: AdviceParams) -> Option:
    """Training on a teacher's answers."""
    here = "Its weights are here: they tell more than its answers." if _weights_here(evidence) else ""
    return _by_teacher("teacher_answers", here, evidence, params)


def distilled(evidence: Evidence, params: AdviceParams) -> Option:
    """Training towards a teacher's distributions on the pupil's own answers."""
    away = "" if _weights_here(evidence) else "No teacher's weights with the same vocabulary are here."
    return _by_teacher("on_policy_distillation", away, evidence, params)


def weighted(evidence: Evidence, params: AdviceParams) -> Option:
    """Training on logged answers, weighted by score: a share of what off-policy evaluation promises."""
    known = evidence.feedback or Feedback()
    out = _logs(known, scorable(evidence, params)) or _untrained(evidence)
    if out or known.leans is None or known.logged is None:
        return Option(rung="weighted_sft", gain=None, out=out or "Nobody weighed the logs.")
    promised = above(known.leans, known.logged)
    gain = part(params.closed_by_logs, promised, 1.0 - evidence.standing.accuracy.low)
    return _weighed(Option(rung="weighted_sft", gain=gain), evidence, params)


def preferred(evidence: Evidence, params: AdviceParams) -> Option:
    """Pairs of a better and a worse answer: a share of the errors that grows with the number of pairs."""
    known = evidence.feedback or Feedback()
    out = "" if known.pairs >= LEAST else f"{known.pairs:,} pairs, where at least {LEAST} are needed."
    return _by_feedback("pairs", known.pairs, out, evidence, params)


def thumbed(evidence: Evidence, params: AdviceParams) -> Option:
    """Thumbs on single answers: as pairs, where a bad one counts half a pair."""
    known = evidence.feedback or Feedback()
    return _by_feedback("thumbs", known.bad / 2, _thumbs(known), evidence, params)


def invented(evidence: Evidence, params: AdviceParams) -> Option:
    """New examples of thin slices: a share of how far these are behind, weighted by their share of dev."""
    stands = evidence.standing
    out = unwritten(evidence, params) or _untrained(evidence) or ("" if stands.imitates else ANEW)
    out = out or ("" if evidence.thin else f"No slice has less than {params.thin_share:.0%} of train and is behind.")
    out = out or ("" if evidence.at_hand.invents else "Nothing at hand makes new examples.")
    if out:
        return Option(rung="synthetic", gain=None, out=out)
    each = [(thin.dev_share, part(params.filled, thin.behind, 1.0), thin.wrong) for thin in evidence.thin]
    gain = Interval(
        value=sum(share * filled.value for share, filled, _ in each),
        low=sum(share * filled.low for share, filled, _ in each),
        high=sum(share * max(filled.high, wrong.high) for share, filled, wrong in each),
    )
    return _weighed(Option(rung="synthetic", gain=gain), evidence, params)


def unwritten(evidence: Evidence, params: AdviceParams) -> str:
    """Why answers cannot be imitated; empty if they can."""
    return "" if writable(evidence, params) else unwritable(evidence)


def _weighed(option: Option, evidence: Evidence, params: AdviceParams) -> Option:
    """An option with a gain, ruled out if it gains too little or does not pay, unless it is out already."""
    if option.out or option.gain is None:
        return option
    rung = PAYS.get(option.rung)
    out = too_little(option.gain, params) or (too_dear(evidence, rung, option.gain, params) if rung else "")
    return option.model_copy(update={"out": out})


def _closing(
    rung: Rung, closed: tuple[float, float, float], out: str, evidence: Evidence, params: AdviceParams
) -> Option:
    """An option that closes a share of the gap from the standing rung to pass@k; it needs a trusted scorer."""
    if not scorable(evidence, params):
        return Option(rung=rung, gain=None, out=unscorable(evidence, params))
    if evidence.headroom is None:
        return Option(rung=rung, gain=None, out=out or "Nobody drew several answers to one prompt.")
    gain = part(closed, evidence.headroom.gap, 1.0 - evidence.standing.accuracy.low)
    return _weighed(Option(rung=rung, gain=gain, out=out), evidence, params)


def _by_teacher(rung: Rung, out: str, evidence: Evidence, params: AdviceParams) -> Option:
    """A pupil that is nearly as good as its teacher; if no model stands, a lower price alone can be worth it."""
    teacher, stands = evidence.at_hand.teacher, evidence.standing
    if teacher is None or teacher.inputs < LEAST:
        return Option(rung=rung, gain=None, out="No teacher is at hand with inputs that it could answer.")
    gain = _taught(teacher.accuracy, stands.accuracy, params)
    if not teacher.stands and above(teacher.accuracy, stands.accuracy).low < 0:
        return Option(rung=rung, gain=gain, out="The teacher is not surely better than what stands.")
    cheaper = not stands.trained and saves(gain, evidence, params)
    little = "" if cheaper else too_little(gain, params)
    return Option(rung=rung, gain=gain, out=out or little or too_dear(evidence, "imitate", gain, params))


def _taught(teacher: Interval, stands: Interval, params: AdviceParams) -> Interval:
    """The gain of reaching a share of the teacher's accuracy; without noise if the teacher itself stands."""
    low, share, high = params.taught
    value = share * teacher.value - stands.value
    noise = above(teacher, stands) if teacher != stands else Interval(value=0.0, low=0.0, high=0.0)
    below = (((share - low) * teacher.value) ** 2 + (noise.value - noise.low) ** 2) ** 0.5
    over = (((high - share) * teacher.value) ** 2 + (noise.high - noise.value) ** 2) ** 0.5
    return Interval(value=value, low=value - below, high=value + over)


def _by_feedback(rung: Rung, telling: float, out: str, evidence: Evidence, params: AdviceParams) -> Option:
    """The gain of closing a share of the standing rung's errors, which grows with the number of opinions."""
    out = out or _untrained(evidence)
    if out:
        return Option(rung=rung, gain=None, out=out)
    reach = telling / (telling + params.telling_opinions)
    stands = evidence.standing.accuracy
    wrong = Interval(value=1 - stands.value, low=1 - stands.high, high=1 - stands.low)
    closed = params.closed_by_feedback
    gain = part((reach * closed[0], reach * closed[1], closed[2]), wrong, 1.0)
    return _weighed(Option(rung=rung, gain=gain), evidence, params)


def _untrained(evidence: Evidence) -> str:
    return "" if evidence.standing.trained else "It starts from a trained rung, and none stands."


def _weights_here(evidence: Evidence) -> bool:
    return evidence.at_hand.teacher is not None and evidence.at_hand.teacher.weights


def _logs(known: Feedback, scored: bool) -> str:
    if known.logs < LEAST:
        return f"{known.logs:,} answers have scores, where at least {LEAST} are needed."
    if not known.uneven_logs:
        return "All logged answers have the same score."
    if known.silent:
        return f"The logs are inconclusive: {known.silent}."
    return "A scorer that can be trusted draws better ones than logs have." if scored else ""


def _thumbs(known: Feedback) -> str:
    if known.good + known.bad < LEAST:
        return f"{known.good + known.bad:,} thumbs, where at least {LEAST} are needed."
    if min(known.good, known.bad) * MOST_UNEVEN < max(known.good, known.bad):
        return f"{known.good:,} good and {known.bad:,} bad: more than {MOST_UNEVEN} of one kind for one of the other."
    return "" if known.pairs < LEAST else "There are pairs, which say more."
