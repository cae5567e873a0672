"""All ways to a better rung, the cheapest first: what of the evidence speaks for each, and what against it.

Beside the choice of the next kind of rung, which expects a gain; here nothing is expected, only said what is at hand.
Decides, as the rule does, that nothing learns from a scorer or a judge whose errors nobody has measured to be few.
"""

from components.advice.evidence import Evidence, Feedback
from components.advice.rule import scorable, writable
from components.params import AdviceParams
from components.records import Record

LEAST = 100  # opinions, below which a training on them is noise
MOST_UNEVEN = 20
CALLS, TRAINING, DRAWS, ROLLOUTS = (
    "calls alone, nothing is trained",
    "one training",
    "answers drawn once, and one training",
    "answers drawn at every step",
)


class Way(Record):
    """One way: what it costs in kind, and why it is at hand or why not, one of the two empty."""

    label: str
    costs: str
    speaks: str = ""
    against: str = ""


def ways(evidence: Evidence, params: AdviceParams) -> tuple[Way, ...]:
    """What may be tried next, by what is known today."""
    known = evidence.feedback or Feedback()
    written, scored = writable(evidence, params), scorable(evidence, params)
    trained, n = evidence.standing.trained, evidence.writing.examples
    room = evidence.headroom is not None and evidence.headroom.gap.value >= params.min_gain
    prompted = "" if not trained else "What stands is trained: it answers by its weights."
    unwritten = "" if written else "Right answers cannot be written yet."
    taught = "" if scored else "Nobody has measured that the scorer's errors are few enough to learn from."
    roomless = taught or ("" if room else "Drawn several times, it answers no more right than it does now.")
    return (
        _way("Examples in the prompt", CALLS, f"{n:,} demonstrations may be shown.", unwritten or prompted),
        _way("Searched prompt", CALLS, "Its instructions can be reworded by what the scorer says.", prompted),
        _way(
            "Training on demonstrations",
            TRAINING,
            f"{n:,} demonstrations can be imitated.",
            unwritten or _used_up(evidence),
        ),
        _way("Training on weighted logs", TRAINING, f"{known.logs:,} answers have scores.", _logs(known, scored)),
        _way("Pairs (DPO)", TRAINING, f"{known.pairs:,} pairs of a better and a worse answer.", _pairs(known)),
        _way("Thumbs (KTO)", TRAINING, f"{known.good:,} good and {known.bad:,} bad answers.", _thumbs(known)),
        _way("Rejection sampling", DRAWS, "It answers right at times what it gets wrong now.", roomless),
        _way("RL", ROLLOUTS, "Drawn answers differ, and the scorer tells them apart.", roomless),
        _way("RL on a judge", ROLLOUTS, "The judge was measured against people's labels.", taught),
    )


def _way(label: str, costs: str, speaks: str, against: str) -> Way:
    return Way(label=label, costs=costs, speaks="" if against else speaks, against=against)


def _used_up(evidence: Evidence) -> str:
    return "The demonstrations are in its weights already." if evidence.standing.trained else ""


def _logs(known: Feedback, scored: bool) -> str:
    if known.logs < LEAST:
        return f"{known.logs:,} answers have scores, where {LEAST} are the least."
    if not known.uneven_logs:
        return "All logged answers scored alike."
    return "A scorer that can be trusted draws better ones than logs have." if scored else ""


def _pairs(known: Feedback) -> str:
    return "" if known.pairs >= LEAST else f"{known.pairs:,} pairs are there, where {LEAST} are the least."


def _thumbs(known: Feedback) -> str:
    if known.good + known.bad < LEAST:
        return f"{known.good + known.bad:,} thumbs are there, where {LEAST} are the least."
    if min(known.good, known.bad) * MOST_UNEVEN < max(known.good, known.bad):
        return f"{known.good:,} good and {known.bad:,} bad: more than {MOST_UNEVEN} of one kind for one of the other."
    return "" if known.pairs < LEAST else "There are pairs, which say more."
