"""All options in words, the cheapest first: what each costs, gains and learns from, or why it is out. Pure."""

from components.advice.at_hand import Feedback, Rung, Takes
from components.advice.evidence import Evidence
from components.advice.gates import Option
from components.advice.rule import Choice
from components.records import Interval, Record

CALLS, TRAINING, DRAWS, ROLLOUTS, PEOPLE = (
    "calls alone, nothing is trained",
    "one training",
    "answers drawn once, and one training",
    "answers drawn at every step",
    "people's work, and one training",
)
COSTS: dict[Rung, tuple[str, str]] = {
    "few_shot": ("Examples in the prompt", CALLS),
    "prompt": ("Another written prompt", CALLS),
    "gepa": ("Searched prompt", CALLS),
    "imitate": ("Training on demonstrations", TRAINING),
    "relabel": ("Relabelled demonstrations", TRAINING),
    "prompt_distillation": ("Prompt distilled", DRAWS),
    "teacher_answers": ("Teacher's answers", DRAWS),
    "on_policy_distillation": ("Teacher's distributions", ROLLOUTS),
    "weighted_sft": ("Training on weighted logs", TRAINING),
    "pairs": ("Pairs (DPO)", TRAINING),
    "thumbs": ("Thumbs (KTO)", TRAINING),
    "synthetic": ("Synthetic examples", TRAINING),
    "rejection_sampling": ("Rejection sampling", DRAWS),
    "reward": ("RL", ROLLOUTS),
    "judged_grpo": ("RL on a judge", ROLLOUTS),
    "label": ("Better demonstrations", PEOPLE),
}
BETWEEN = frozenset(COSTS) - {"prompt", "imitate", "reward", "label"}  # each of one method


class Way(Record):
    """An option: its costs, and what speaks for or against it, one of the two empty.

    `costs` is the kind of work, `takes` its seconds and US dollars; `ladder` names one that has it.
    """

    label: str
    costs: str
    speaks: str = ""
    against: str = ""
    rung: Rung | None = None
    gain: Interval | None = None
    takes: Takes | None = None
    ladder: str = ""


def ways(evidence: Evidence, choice: Choice) -> tuple[Way, ...]:
    """All options that were considered, in words."""
    return tuple(_way(option, evidence) for option in choice.options)


def _way(option: Option, evidence: Evidence) -> Way:
    label, costs = COSTS[option.rung]
    return Way(
        label=label, costs=costs, speaks="" if option.out else speaks(option.rung, evidence), against=option.out,
        rung=option.rung, gain=option.gain, takes=evidence.at_hand.takes.get(option.rung),
        ladder=evidence.at_hand.ladders.get(option.rung, ""),
    )  # fmt: skip


def speaks(rung: Rung, evidence: Evidence) -> str:
    """The evidence in favour of an option."""
    feedback, n, teacher = evidence.feedback or Feedback(), evidence.writing.examples, evidence.at_hand.teacher
    judge, thin = evidence.at_hand.judge, ", ".join(slice_of_train.name for slice_of_train in evidence.thin)
    reasons: dict[Rung, str] = {
        "few_shot": "Tried on dev, it answers better with examples.",
        "prompt": "The prompts that were tried differ.",
        "gepa": "Its answers are right at times, and the scorer says what is wrong.",
        "imitate": f"{n:,} demonstrations can be imitated.",
        "relabel": f"By the audit {1 - (evidence.writing.audited_ceiling or 1):.1%} of {n:,} demonstrations are wrong.",
        "prompt_distillation": "Its tokens are paid for with every call.",
        "teacher_answers": f"{teacher.name} can answer {teacher.inputs:,} inputs." if teacher else "",
        "on_policy_distillation": f"{teacher.name} has the same vocabulary." if teacher else "",
        "weighted_sft": f"{feedback.logs:,} scored answers say as much as {feedback.effective:,.0f} of better ones.",
        "pairs": f"{feedback.pairs:,} pairs of a better and a worse answer.",
        "thumbs": f"{feedback.good:,} good and {feedback.bad:,} bad answers.",
        "synthetic": f"Train has little of {thin}, and it is behind there.",
        "rejection_sampling": "It answers right at times what it gets wrong now.",
        "reward": "Drawn answers differ, and the scorer tells them apart.",
        "judged_grpo": f"The judge agrees with people in {judge.agreement.value:.0%} of pairs." if judge else "",
        "label": "It has learnt what is wrong in its demonstrations, or more of them would bring more.",
    }
    return reasons[rung]
