"""The record of an advice, and later whether it was right."""

from collections.abc import Iterable
from typing import Literal

from components.advice.evidence import Evidence
from components.advice.rule import Choice, choose
from components.advice.ways import BETWEEN, Way, ways
from components.advice.words import Line, changes, headline, points, table, to_define
from components.methods import advised_as
from components.params import AdviceParams
from components.records import Interval, Record, RungResult


def _follows(choice: str, made: RungResult) -> bool:
    """Whether a rung follows the advice, by its method or by what it was made from."""
    name = advised_as(made)
    if {name, choice} & BETWEEN:
        return name == choice
    if choice == "prompt" or made.makes == "prompt":
        return choice == "prompt" and made.makes == "prompt"
    trained = made.makes == "model"
    return trained and (choice == "label" or ("reward" in made.needs) == (choice == "reward"))


class Outcome(Record):
    """The outcome of an advice: the rung that was made next, its gain on test, and whether the advice was right."""

    rung: str
    gain: Interval
    right: bool
    sentence: str


class Advice(Record):
    """`artifacts/<run>/advice/advice.json`: what was advised and when, the evidence, and the outcome."""

    workload: str
    profile: str
    at: str
    data_version: str
    headline: str
    choice: Choice
    table: tuple[Line, ...]
    changes: tuple[str, ...]
    define: tuple[str, ...]
    evidence: Evidence
    ways: tuple[Way, ...] = ()
    mlflow_run_id: str | None = None
    outcome: Outcome | None = None


class Asked(Record):
    """Where and when advice was asked for."""

    workload: str
    profile: str
    at: str
    data_version: str
    mlflow_run_id: str | None


def advise(evidence: Evidence, params: AdviceParams, asked: Asked) -> Advice:
    """The advice that follows from the evidence."""
    choice = choose(evidence, params)
    return Advice(
        **asked.model_dump(),
        headline=headline(choice),
        choice=choice,
        table=table(evidence, params),
        changes=changes(evidence, params),
        define=to_define(evidence, params),
        evidence=evidence,
        ways=ways(evidence, choice),
    )


def outcome(advice: Advice, rungs: Iterable[RungResult], min_gain: float) -> Outcome | None:
    """Whether the advice was right, by later measurements on test; None while there are none.

    A rung was well advised if its gain over the rung that stood lies in the forecast interval; if that rung is not
    among `rungs`, this is unknown; where none stood, all that it answers right is gained. Advice to stay was right
    unless the whole interval of a later rung's gain is above `min_gain`.
    """
    known = {rung.name: rung for rung in rungs}
    before = known.get(advice.evidence.standing.name)
    if before is None and advice.evidence.standing.makes is not None:
        return None
    later = list(known.values())[list(known).index(before.name) + 1 :] if before else list(known.values())
    if advice.choice.rung in ("stay", "define"):
        return _stayed(later, before, min_gain)
    made = [rung_made for rung_made in later if _follows(advice.choice.rung, rung_made)]
    if not made:
        return None
    rung, gain = made[-1], _gain(made[-1], before)
    foretold = advice.choice.gain
    right = foretold.low <= gain.value <= foretold.high
    return Outcome(
        rung=rung.name, gain=gain, right=right,
        sentence=f"{rung.name} gained {points(gain)} points on test, {'within' if right else 'outside'} the "
        f"{points(foretold)} that were foretold.",
    )  # fmt: skip


def _gain(rung: RungResult, before: RungResult | None) -> Interval:
    """A rung's gain on test over the one that stood, by the paired interval where they were compared."""
    if rung.vs_parent is not None and before is not None and rung.parent == before.name:
        versus = rung.vs_parent
        return Interval(value=versus.delta, low=versus.low, high=versus.high)
    base = before.accuracy if before else Interval(value=0.0, low=0.0, high=0.0)
    return Interval(
        value=rung.accuracy.value - base.value,
        low=rung.accuracy.low - base.high,
        high=rung.accuracy.high - base.low,
    )


def _stayed(later: list[RungResult], before: RungResult | None, min_gain: float) -> Outcome | None:
    """Whether it was right to stay, by the later rung that surely gained most."""
    gains = {rung.name: _gain(rung, before) for rung in later}
    if not gains:
        return None
    name, gain = max(gains.items(), key=lambda item: item[1].low)
    right = gain.low < min_gain
    verb = "gained no more than chance allows" if right else "was worth it"
    return Outcome(rung=name, gain=gain, right=right, sentence=f"{name} {verb}: {points(gain)} points on test.")


Rated = Literal["right", "wrong", "open"]


def rated(advice: Advice) -> Rated:
    """The outcome of an advice in a word."""
    return "open" if advice.outcome is None else "right" if advice.outcome.right else "wrong"
