"""The decision rule: which rung next, by how much, and what rules the others out. Pure: evidence in, a choice out.

A rung qualifies when it can be made at all (imitation wants answers that can be written, a reward a scorer that can be
trusted, other methods what they learn from), when it is expected to gain (or to be as good at a lower price), and when
it pays before the task has moved on. Of those that qualify the one that gains most is advised, a cheaper one where it
gains as much; where a point's worth is known, gains are less what they cost. What learns from a trained rung's own
answers starts where imitation ends. What nobody measured is said and rules nothing out, except that nothing learns from
a scorer or a judge without measured errors.
"""

from components.advice import between, measured
from components.advice.at_hand import Rung
from components.advice.between import PAYS
from components.advice.evidence import Evidence
from components.advice.gates import NOTHING, Option, scorable, writable
from components.params import AdviceParams
from components.records import Interval, Record

# All ways, the cheapest first. People's work comes last: it is advised where nothing else gains.
WAYS = (
    between.shown, measured.prompt, between.searched, measured.imitation, between.relabelled, between.shortened,
    between.taught, between.distilled, between.weighted, between.preferred, between.thumbed, between.invented,
    between.sampled, measured.reward, between.judged, measured.labels,
)  # fmt: skip


class Choice(Record):
    """What is advised, and all that was weighed, the cheapest first."""

    rung: Rung
    gain: Interval
    options: tuple[Option, ...]


def choose(evidence: Evidence, params: AdviceParams) -> Choice:
    """The next rung."""
    options = tuple(way(evidence, params) for way in WAYS)
    if not (writable(evidence, params) or scorable(evidence, params)):
        return Choice(rung="define", gain=NOTHING, options=options)
    net = {one.rung: _net(one, evidence) for one in options if not one.out and one.gain}
    # People's work competes where a point is worth dollars; elsewhere it is advised where nothing else gains.
    priced = evidence.at_hand.usd_per_point is not None
    competing = {rung: gain for rung, gain in net.items() if priced or rung != "label" or len(net) == 1}
    most = max(competing.values(), default=0.0)
    enough = [one for one in options if one.rung in competing and competing[one.rung] >= most - params.min_gain]
    if not enough or enough[0].gain is None or (priced and most < 0):
        return Choice(rung="stay", gain=NOTHING, options=options)
    return Choice(rung=enough[0].rung, gain=enough[0].gain, options=options)


def _net(option: Option, evidence: Evidence) -> float:
    """An expected gain less what its rung costs and with what it saves, in accuracy, where a point's worth is known."""
    gain, worth = 0.0 if option.gain is None else option.gain.value, evidence.at_hand.usd_per_point
    if not worth:
        return gain
    takes, pays = evidence.at_hand.takes.get(option.rung), PAYS.get(option.rung)
    usd, saves = 0.0 if takes is None else takes.usd, evidence.paying.get(pays) if pays else None
    if saves is not None and not evidence.standing.trained:  # then it is the first of one's own
        usd -= max(0.0, saves.saved_usd_per_year) * saves.horizon_years
    return gain - usd / worth / 100
