"""The ways between prompting and RL: what each may gain by what is at hand, and why it is out. Pure.

Their gains are shares of something measured: of the gap to pass@k, of the audit's errors, of what logs promise. The
shares are assumed (`AdviceParams`), and their intervals are as wide as that leaves them.
"""

from typing import Literal

from components.advice.at_hand import Feedback, Rung
from components.advice.evidence import Evidence, Training, above
from components.advice.gates import Option, part, scorable, too_dear, too_little, unscorable, unwritable, writable
from components.advice.measured import saves, starts_too_early
from components.params import AdviceParams
from components.records import Interval

LEAST = 100  # opinions, below which a training on them is noise
MOST_UNEVEN = 20
TRAINED = "What stands is trained: it answers by its weights."
# What pays for a way that trains: the same money as for imitation, or for a rung after it.
PAYS: dict[Rung, Training] = {
    "imitate": "imitate", "relabel": "imitate", "synthetic": "imitate", "teacher_answers": "imitate",
    "on_policy_distillation": "imitate", "prompt_distillation": "prompt_distillation", "rejection_sampling": "reward",
    "reward": "reward", "judged_grpo": "reward", "weighted_sft": "reward", "pairs": "reward", "thumbs": "reward",
}  # fmt: skip
ANEW = "It trains the base model anew, and what a reward has taught would be lost."


def shown(evidence: Evidence, params: AdviceParams) -> Option:
    """Answered examples in the prompt: tried, not assumed."""
    out = unwritten(evidence, params) or (TRAINED if evidence.standing.trained else "")
    if out or evidence.at_hand.shown is None:
        return Option(rung="few_shot", gain=None, out=out or "Nobody tried the prompt with examples in it.")
    gain = above(evidence.at_hand.shown.accuracy, evidence.standing.accuracy)
    return _weighed(Option(rung="few_shot", gain=gain), evidence, params)


def searched(evidence: Evidence, params: AdviceParams) -> Option:
    """A prompt reworded by what the scorer says: a share of what its answers reach when drawn several times."""
    missing = "" if evidence.at_hand.reflects else "No model is at hand that could reword it."
    out = (TRAINED if evidence.standing.trained else "") or missing
    return _closing("gepa", params.closed_by_search, out, evidence, params)


def sampled(evidence: Evidence, params: AdviceParams) -> Option:
    """Training on own answers that pass: once, where RL does so at every step."""
    early = starts_too_early(evidence, params)
    return _closing("rejection_sampling", params.closed_by_sampling, early, evidence, params)


def judged(evidence: Evidence, params: AdviceParams) -> Option:
    """RL on a judge that was tried on people's pairs, within what a certified scorer lets pass."""
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
    """Demonstrations whose suspects were answered anew: above what imitation reaches, a share of the audit's errors."""
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
    """What mending brings above imitation: of the audit's errors those that dev's references do not contradict.

    At most all errors of imitation; of what the audit doubts without reason half is taken to get wrong, at worst all.
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
    """What a long prompt makes a model of one's own do, learnt by it: as good, and cheaper by its tokens."""
    rung: Literal["prompt_distillation"] = "prompt_distillation"
    if evidence.standing.trained or rung not in evidence.paying:
        return Option(rung=rung, gain=None, out="No long prompt of a model of one's own stands.")
    gain = _taught(evidence.standing.accuracy, evidence.standing.accuracy, params)
    saved = evidence.paying[rung].saved_usd_per_year > 0 and gain.value > -params.min_gain
    little = "" if saved else too_little(gain, params)
    return Option(rung=rung, gain=gain, out=little or too_dear(evidence, rung, params))


def taught(evidence: Evidence, params: AdviceParams) -> Option:
    """A teacher's answers to inputs."""
    here = "Its weights are here: they tell more than its answers." if _weights_here(evidence) else ""
    return _by_teacher("teacher_answers", here, evidence, params)


def distilled(evidence: Evidence, params: AdviceParams) -> Option:
    """A teacher's distributions over the pupil's own answers."""
    away = "" if _weights_here(evidence) else "No teacher's weights with the same vocabulary are here."
    return _by_teacher("on_policy_distillation", away, evidence, params)


def weighted(evidence: Evidence, params: AdviceParams) -> Option:
    """Logged answers, the better ones heavier: a share of what logs promise off-policy."""
    known = evidence.feedback or Feedback()
    out = _logs(known, scorable(evidence, params)) or _untrained(evidence)
    if out or known.leans is None or known.logged is None:
        return Option(rung="weighted_sft", gain=None, out=out or "Nobody weighed the logs.")
    promised = above(known.leans, known.logged)
    gain = part(params.closed_by_logs, promised, 1.0 - evidence.standing.accuracy.low)
    return _weighed(Option(rung="weighted_sft", gain=gain), evidence, params)


def preferred(evidence: Evidence, params: AdviceParams) -> Option:
    """Pairs of a better and a worse answer: a share of the errors, the larger the more pairs there are."""
    known = evidence.feedback or Feedback()
    out = "" if known.pairs >= LEAST else f"{known.pairs:,} pairs are there, where {LEAST} are the least."
    return _by_feedback("pairs", known.pairs, out, evidence, params)


def thumbed(evidence: Evidence, params: AdviceParams) -> Option:
    """Thumbs on single answers: as pairs, of which each bad one tells half."""
    known = evidence.feedback or Feedback()
    return _by_feedback("thumbs", known.bad / 2, _thumbs(known), evidence, params)


def invented(evidence: Evidence, params: AdviceParams) -> Option:
    """New examples of slices that train has little of: a share of how far those are behind, by their share of dev."""
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
    """Why answers cannot be imitated; empty where they can."""
    return "" if writable(evidence, params) else unwritable(evidence)


def _weighed(option: Option, evidence: Evidence, params: AdviceParams) -> Option:
    """A way with its gain: out for a reason of its own, for gaining too little, or for not paying."""
    if option.out or option.gain is None:
        return option
    rung = PAYS.get(option.rung)
    out = too_little(option.gain, params) or (too_dear(evidence, rung, params) if rung else "")
    return option.model_copy(update={"out": out})


def _closing(
    rung: Rung, closed: tuple[float, float, float], out: str, evidence: Evidence, params: AdviceParams
) -> Option:
    """A way that closes a share of the gap from what stands to pass@k, as a trusted scorer sees it."""
    if not scorable(evidence, params):
        return Option(rung=rung, gain=None, out=unscorable(evidence, params))
    if evidence.headroom is None:
        return Option(rung=rung, gain=None, out=out or "Nobody drew several answers to one prompt.")
    gain = part(closed, evidence.headroom.gap, 1.0 - evidence.standing.accuracy.low)
    return _weighed(Option(rung=rung, gain=gain, out=out), evidence, params)


def _by_teacher(rung: Rung, out: str, evidence: Evidence, params: AdviceParams) -> Option:
    """A pupil of the teacher: nearly as good, and worth it for its price alone where the teacher is what stands."""
    teacher, stands = evidence.at_hand.teacher, evidence.standing
    if teacher is None or teacher.inputs < LEAST:
        return Option(rung=rung, gain=None, out="No teacher is at hand with inputs that it could answer.")
    gain = _taught(teacher.accuracy, stands.accuracy, params)
    if not teacher.stands and above(teacher.accuracy, stands.accuracy).low < 0:
        return Option(rung=rung, gain=gain, out="The teacher is not surely better than what stands.")
    cheaper = not stands.trained and saves(gain, evidence, params)
    little = "" if cheaper else too_little(gain, params)
    return Option(rung=rung, gain=gain, out=out or little or too_dear(evidence, "imitate", params))


def _taught(teacher: Interval, stands: Interval, params: AdviceParams) -> Interval:
    """A share of the teacher's accuracy, above what stands; the teacher is what stands where both are the same."""
    low, share, high = params.taught
    value = share * teacher.value - stands.value
    noise = above(teacher, stands) if teacher != stands else Interval(value=0.0, low=0.0, high=0.0)
    below = (((share - low) * teacher.value) ** 2 + (noise.value - noise.low) ** 2) ** 0.5
    over = (((high - share) * teacher.value) ** 2 + (noise.high - noise.value) ** 2) ** 0.5
    return Interval(value=value, low=value - below, high=value + over)


def _by_feedback(rung: Rung, telling: float, out: str, evidence: Evidence, params: AdviceParams) -> Option:
    """A share of the errors of what stands, as much of it as so many opinions tell."""
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
        return f"{known.logs:,} answers have scores, where {LEAST} are the least."
    if not known.uneven_logs:
        return "All logged answers scored alike."
    if known.silent:
        return f"Logs cannot tell: {known.silent}."
    return "A scorer that can be trusted draws better ones than logs have." if scored else ""


def _thumbs(known: Feedback) -> str:
    if known.good + known.bad < LEAST:
        return f"{known.good + known.bad:,} thumbs are there, where {LEAST} are the least."
    if min(known.good, known.bad) * MOST_UNEVEN < max(known.good, known.bad):
        return f"{known.good:,} good and {known.bad:,} bad: more than {MOST_UNEVEN} of one kind for one of the other."
    return "" if known.pairs < LEAST else "There are pairs, which say more."
