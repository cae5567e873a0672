"""The decision rule: which rung is next, what it may gain, and why others are out. Pure: evidence in, choice out.

A rung qualifies if it can be made at all (imitation needs answers that can be written, a reward a scorer that can be
trusted, other methods what they learn from), if it is expected to gain (or to be as good at a lower price), and if it
pays before the task has moved on, by its price and by the errors that it saves. Of those that qualify the one with the
largest gain is advised, or a cheaper one with as large a gain; where the value of a point is known, costs are
subtracted from gains. Methods that learn from a trained rung's own answers start where imitation ends. Missing
measurements are reported and rule nothing out, except that nothing learns from a scorer or a judge without measured
errors.
"""

from components.advice import between, measured
from components.advice.at_hand import Rung
from components.advice.between import PAYS
from components.advice.evidence import Evidence
from components.advice.gates import NOTHING, Option, scorable, writable
from components.params import AdviceParams
from components.records import Interval, Record

# All ways, the cheapest first. People's work comes last: it is advised if nothing else gains.
WAYS = (
    between.shown, measured.prompt, between.searched, measured.imitation, between.relabelled, between.shortened,
    between.taught, between.distilled, between.weighted, between.preferred, between.thumbed, between.invented,
    between.sampled, measured.reward, between.judged, measured.labels,
)  # fmt: skip


class Choice(Record):
    """The advised rung, and all options that were considered, the cheapest first."""

    rung: Rung
    gain: Interval
    options: tuple[Option, ...]


def choose(evidence: Evidence, params: AdviceParams) -> Choice:
    """The next rung."""
    options = tuple(way(evidence, params) for way in WAYS)
    if not (writable(evidence, params) or scorable(evidence, params)):
        return Choice(rung="define", gain=NOTHING, options=options)
    net = {option.rung: _net(option, evidence) for option in options if not option.out and option.gain}
    # People's work competes if a point has a price; otherwise it is advised only if nothing else gains.
    priced = evidence.at_hand.usd_per_point is not None
    competing = {rung: gain for rung, gain in net.items() if priced or rung != "label" or len(net) == 1}
    most = max(competing.values(), default=0.0)
    enough = [
        option for option in options if option.rung in competing and competing[option.rung] >= most - params.min_gain
    ]
    if not enough or enough[0].gain is None or (priced and most < 0):
        return Choice(rung="stay", gain=NOTHING, options=options)
    return Choice(rung=enough[0].rung, gain=enough[0].gain, options=options)


def _net(option: Option, evidence: Evidence) -> float:
    """The expected gain, less the rung's cost and plus its savings in points, if the value of a point is known."""
    gain, worth = 0.0 if option.gain is None else option.gain.value, evidence.at_hand.usd_per_point
    if not worth:
        return gain
    takes, pays = evidence.at_hand.takes.get(option.rung), PAYS.get(option.rung)
    usd, saves = 0.0 if takes is None else takes.usd, evidence.paying.get(pays) if pays else None
    if saves is not None and not evidence.standing.trained:  # then it is the first owned model
        usd -= saves.saved_usd_per_year * saves.horizon_years  # below 0 where it costs more than the incumbent
    return gain - usd / worth / 100
