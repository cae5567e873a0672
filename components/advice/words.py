"""The advice in words: the evidence as a table, what would change the advice, and what to define first. Pure."""

from collections.abc import Iterator

from components.advice.at_hand import Rung, Takes
from components.advice.evidence import Evidence, Headroom, Learning, Movement, Paying, Scoring, Training, Writing
from components.advice.gates import NOTHING, counted, scorable, writable
from components.advice.rule import Choice, choose
from components.params import AdviceParams
from components.records import Interval, Record

NAMES: dict[Rung, str] = {
    "define": "define what a right answer is",
    "prompt": "another prompt",
    "imitate": "SFT on the demonstrations",
    "reward": "RL on the scorer",
    "label": "better demonstrations",
    "stay": "stay where you are",
    "few_shot": "examples in the prompt",
    "gepa": "a searched prompt",
    "relabel": "training on relabelled demonstrations",
    "prompt_distillation": "distilling the long prompt",
    "teacher_answers": "a teacher's answers",
    "on_policy_distillation": "a teacher's distributions",
    "weighted_sft": "training on weighted logs",
    "pairs": "pairs (DPO)",
    "thumbs": "thumbs (KTO)",
    "synthetic": "synthetic examples of thin slices",
    "rejection_sampling": "rejection sampling",
    "judged_grpo": "RL on a judge",
}
UNKNOWN = "not measured"


class Line(Record):
    """A line of the evidence: the question, the finding, and what follows from it."""

    question: str
    finding: str
    reading: str


def headline(choice: Choice) -> str:
    """The advice in a sentence."""
    if choice.rung in ("define", "stay"):
        return f"Advice: {NAMES[choice.rung]}."
    return f"Advice: {NAMES[choice.rung]}, expected to gain {points(choice.gain)} points of accuracy."


def table(evidence: Evidence, params: AdviceParams) -> tuple[Line, ...]:
    """The evidence, a line for each question of the decision rule."""
    return (
        _writing(evidence.writing, writable(evidence, params), params),
        _scoring(evidence.scoring, scorable(evidence, params), params),
        _prompts(evidence),
        _learning(evidence.learning, evidence.writing),
        _headroom(evidence.headroom),
        *(_paying(rung, paying, _counted(rung, evidence, params)) for rung, paying in evidence.paying.items()),
        _movement(evidence.movement, evidence.watch, params),
    )


def share(interval: Interval) -> str:
    """A share with its interval."""
    return f"{100 * interval.value:.1f}% ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def points(interval: Interval) -> str:
    """A gain in points with its interval."""
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def taking(takes: Takes | None) -> str:
    """What a rung would take, in minutes and US dollars."""
    return "–" if takes is None else f"{takes.seconds / 60:,.0f} min, ${takes.usd:,.2f}"


def changes(evidence: Evidence, params: AdviceParams) -> tuple[str, ...]:
    """What would change the advice: the rule's choice with one piece of evidence changed."""
    now = choose(evidence, params).rung
    alternatives = ((words, choose(other, params)) for words, other in _otherwise(evidence))
    return tuple(f"{words}: then {NAMES[then.rung]}." for words, then in alternatives if then.rung != now)


def to_define(evidence: Evidence, params: AdviceParams) -> tuple[str, ...]:
    """What to define first, if answers can neither be written nor scored."""
    if writable(evidence, params) or scorable(evidence, params):
        return ()
    known, advice = evidence.writing, list[str]()
    if known.examples == 0:
        advice.append(
            "Have 200 inputs answered by somebody who knows, each by two people who do not talk to each other."
        )
    if known.agreement is not None:
        worst = [field for field, agreed in known.by_field.items() if agreed < params.min_agreement][:3]
        named = f" of {', '.join(worst)}" if worst else ""
        advice.append(
            f"Write a rule for the value{named}: settle ten cases where two people differ, add them to it, and "
            f"go on until two people agree on at least {params.min_agreement:.0%} of 200 new inputs."
        )
    scoring = evidence.scoring
    if scoring is None:
        advice.append(
            "Write a scorer that needs no reference (tests, a query's result, rules): 200 labelled answers try it."
        )
    elif scoring.reads_reference:
        advice.append("The scorer compares with references, so it can be no better than the agreement on them.")
    elif scoring.unseen:
        advice.append(f"Let the scorer look at {', '.join(scoring.unseen)}: it does not notice when they are wrong.")
    else:
        advice.append("Label 200 answers as right or wrong, and change the scorer until it agrees with them.")
    return tuple(advice)


def _writing(known: Writing, yes: bool, params: AdviceParams) -> Line:
    agreed = "nobody answered an input twice" if known.agreement is None else (
        f"second answers agree in {share(known.agreement)} of {known.pairs:,}"
    )  # fmt: skip
    taught = (
        "" if known.demonstrations is None else f"; demonstrations are right in {share(known.demonstrations)} of dev"
    )
    reading = "yes" if yes else f"no: below {params.min_agreement:.0%}, or no demonstrations"
    return Line(
        question="Can the answer be written?",
        finding=f"{known.examples:,} demonstrations, {agreed}{taught}",
        reading=reading,
    )


def _scoring(known: Scoring | None, yes: bool, params: AdviceParams) -> Line:
    if known is None:
        return Line(question="Can it be scored?", finding=UNKNOWN, reading="no, until it is tried")
    finding = (
        f"wrong answers pass in {share(known.false_positives)}, right ones are refused in "
        f"{share(known.false_negatives)} of {known.n:,} tries ({known.source})"
    )
    unseen = f"; it does not see {', '.join(known.unseen)}" if known.unseen else ""
    return Line(question="Can it be scored?", finding=finding + unseen, reading="yes" if yes else "not for RL")


def _prompts(evidence: Evidence) -> Line:
    question = "Is there headroom for prompts?"
    if not evidence.prompts:
        return Line(question=question, finding=UNKNOWN, reading="unknown")
    tried = ", ".join(f"{name} {100 * interval.value:.1f}%" for name, interval in evidence.prompts.items())
    values = [interval.value for interval in evidence.prompts.values()]
    return Line(
        question=question, finding=f"{tried} of {evidence.prompt_examples:,} dev examples",
        reading=f"{100 * (max(values) - min(values)):.1f} points between versions",
    )  # fmt: skip


def _learning(learning: Learning | None, known: Writing) -> Line:
    question = "Is there headroom for SFT?"
    ceiling = (
        "" if known.demonstrations is None else f"; the demonstrations' own ceiling is {share(known.demonstrations)}"
    )
    if known.audited_ceiling is not None:
        ceiling += f"; by the audit it is {known.audited_ceiling:.1%}"
    if known.learnt_errors is not None:
        ceiling += f"; {share(known.learnt_errors)} of dev is wrong as the demonstrations have it"
    if learning is None:
        return Line(question=question, finding=UNKNOWN + ceiling, reading="unknown")
    tried = ", ".join(f"{n:,}: {100 * interval.value:.1f}%" for n, interval in learning.points)
    return Line(
        question=question, finding=f"right after so many demonstrations: {tried}{ceiling}",
        reading=f"all of them: {share(learning.full)}; as many again: {points(learning.doubling)} points",
    )  # fmt: skip


def _headroom(headroom: Headroom | None) -> Line:
    question = "Is there headroom for RL?"
    if headroom is None:
        return Line(question=question, finding=UNKNOWN, reading="unknown")
    return Line(
        question=question,
        finding=f"pass@1 {share(headroom.pass_1)}, pass@{headroom.k} {share(headroom.pass_k)}, on "
        f"{headroom.n:,} dev examples; all {headroom.k} answers score the same in {share(headroom.zero_variance)}",
        reading=f"{points(headroom.gap)} points above what it answers now",
    )


def _counted(rung: Training, evidence: Evidence, params: AdviceParams) -> Interval:
    """What of a rung's gain counts in its payback; nothing where it is unknown."""
    gain = next(option.gain for option in choose(evidence, params).options if option.rung == rung)
    return counted(gain, evidence.paying[rung].horizon_years, evidence, params) if gain else NOTHING


def _paying(rung: Training, paying: Paying, gain: Interval) -> Line:
    """The years' interval is the throughput's, or the gain's where it saves what errors cost."""
    years, low, high, saved = paying.years, paying.low, paying.high, paying.gained_usd_per_year(gain.value)
    if saved:
        years, low, high = (paying.paid_back(accuracy) for accuracy in (gain.value, gain.high, gain.low))
    when = "never" if years is None else f"after {years:.2f} years ({_years(low)} to {_years(high)})"
    return Line(
        question=f"Does volume pay for {NAMES[rung].split()[0]}?",
        finding=f"${paying.investment_usd:,.2f} once, "
        f"${paying.saved_usd_per_year:,.2f} a year saved over the incumbent"
        + (f", ${saved:,.2f} by its gain" if saved else ""),
        reading=f"pays back {when}; it has {paying.horizon_years:g} years",
    )


def _movement(movement: Movement | None, watch: str, params: AdviceParams) -> Line:
    question = "Is the task still moving?"
    if movement is None:
        finding = "no dated examples (dated_by)" + (f"; {watch}" if watch else "")
        return Line(question=question, finding=finding, reading="look at the watch" if watch else "unknown")
    new = f"; new: {', '.join(movement.new_labels[:5])}" if movement.new_labels else ""
    finding = (
        f"{movement.field} moved by {movement.distance:.1%} in {movement.span_years:.1f} years "
        f"(p = {movement.p_value:.3f})"
    )
    years = movement.stable_years(params.most_movement)
    reading = "no" if years == float("inf") else f"yes: another task after about {years:.1f} years"
    return Line(question=question, finding=finding + new + (f"; {watch}" if watch else ""), reading=reading)


def _years(years: float | None) -> str:
    return "never" if years is None else f"{years:.2f}"


def _otherwise(evidence: Evidence) -> Iterator[tuple[str, Evidence]]:
    """The evidence with one thing changed: (the change in words, the changed evidence)."""
    known, scoring = evidence.writing, evidence.scoring
    sure, no_errors = Interval(value=1.0, low=1.0, high=1.0), Interval(value=0.0, low=0.0, high=0.0)
    if known.agreement is not None:
        yield (
            "If people agreed on the answers",
            evidence.model_copy(update={"writing": known.model_copy(update={"agreement": sure})}),
        )
    exact = Scoring(false_positives=no_errors, false_negatives=no_errors, n=0, source="assumed", reads_reference=False)
    yield "If the scorer made no errors", evidence.model_copy(update={"scoring": exact})
    if scoring is not None:
        blind = scoring.model_copy(update={"false_positives": sure})
        yield "If the scorer let wrong answers pass", evidence.model_copy(update={"scoring": blind})
    free, lost = (
        {rung: paying.model_copy(update={"years": years, "case": {}}) for rung, paying in evidence.paying.items()}
        for years in (0.0, None)
    )
    if free:
        yield "If volume paid for training at once", evidence.model_copy(update={"paying": free, "movement": None})
        yield "If volume never paid for training", evidence.model_copy(update={"paying": lost})
    if evidence.learning is not None:
        poor = evidence.learning.model_copy(update={"full": evidence.learning.points[0][1]})
        yield (
            "If training on demonstrations reached no more than on its smallest subset",
            evidence.model_copy(update={"learning": poor}),
        )
    if evidence.headroom is not None:
        wide = evidence.headroom.model_copy(update={"gap": Interval(value=0.1, low=0.1, high=0.1)})
        yield "If pass@k were 10 points above what stands", evidence.model_copy(update={"headroom": wide})
