"""Whether a canary may become champion: only once it is shown not to be worse by the margin.

Decides by a confidence sequence, which holds at every look: the canary is promoted once a loss of the margin is ruled
out in every measure, and withdrawn once it is surely worse in any; else it waits, and says for what. Failures and
time-outs count as invalid answers. The release decides which version a customer gets and when one looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from components.params import ReleaseParams
from components.records import Record
from monitoring.sequence import Difference, Share, difference, share_of

MEASURES = 2  # valid and right: each withdraws a canary at its part of alpha (Bonferroni)
SILENT = 0.001  # probability of no requests by chance, below which a canary is withdrawn for its silence


Decision = Literal["promoted", "withdrawn", "waiting"]


class Judged(Record):
    """The decision on a canary, with its reasons."""

    decision: Decision
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """A version's results since the canary began, each with its customer.

    `valid` says for every request whether the answer was valid; `right` says for requests in the labelling sample
    whether it was right. `drawn` is the size of that sample, labelled or not. If a judge reads it (`read`), `right` has
    corrected values, `weight` is how many answers a person's label counts for, and `silent` why the judge is ignored.
    """

    valid: Sequence[tuple[str, bool]] = ()
    right: Sequence[tuple[str, float]] = ()
    drawn: int = 0
    weight: float = 1.0
    silent: str = ""
    read: bool = False


def judge(champion: Side, canary: Side, params: ReleaseParams, share: float, complete: float) -> Judged:
    """Compare both sides; `share` of the customers are the canary's, 0 while its silence has no meaning yet.

    At least `complete` of the labelling sample must be labelled before labels count.
    """
    if silent := _silence(champion, canary, share):
        return Judged(decision="withdrawn", reasons=(silent,))
    checks = [_compared("valid", champion.valid, canary.valid, params.canary_answers, params)]
    if params.judged_by == "right":
        checks.append(_right(champion, canary, params, complete))
    reasons = tuple(reason for _, reason in checks)
    outcomes = {outcome for outcome, _ in checks}
    if "withdrawn" in outcomes:
        return Judged(decision="withdrawn", reasons=reasons)
    return Judged(decision="waiting" if "waiting" in outcomes else "promoted", reasons=reasons)


def _silence(champion: Side, canary: Side, share: float) -> str | None:
    """Why a canary without requests is withdrawn, if that cannot be chance; else None."""
    others = share_of([good for _, good in champion.valid], [who for who, _ in champion.valid]).customers
    if canary.valid or not share or share == 1 or (1 - share) ** others >= SILENT:
        return None
    return (
        f"The canary got no request, while {others:,} customers asked the champion: {share:.0%} of all should be "
        "the canary's."
    )


def _right(champion: Side, canary: Side, params: ReleaseParams, complete: float) -> tuple[Decision, str]:
    """The comparison of right answers in the labelling sample; waits while too many have no label."""
    for name, side in (("canary", canary), ("champion", champion)):
        if side.silent:
            return "waiting", f"Of the {name}: {side.silent}"
        if len(side.right) < complete * side.drawn:
            lacking, command = ("verdict", "score") if side.read else ("label", "label")
            return "waiting", (
                f"Of the {side.drawn:,} answers of the {name} that were drawn for labelling {len(side.right):,} have a "
                f"{lacking}: waiting for {complete:.0%} of them (gradus {command})."
            )
    before, now = (_share(side.right, side.weight) for side in (champion, canary))
    return compared("right", before, now, params.canary_labelled, params)


def _compared(
    name: str, before: Sequence[tuple[str, bool]], now: Sequence[tuple[str, bool]], least: int, params: ReleaseParams
) -> tuple[Decision, str]:
    """The comparison of both sides by one measure."""
    return compared(name, _share(before), _share(now), least, params)


def _share(answers: Sequence[tuple[str, float]], weight: float = 1.0) -> Share:
    return share_of([good for _, good in answers], [who for who, _ in answers], weight)


def compared(name: str, champion: Share, canary: Share, least: int, params: ReleaseParams) -> tuple[Decision, str]:
    """The outcome of comparing two shares of good answers, with its reason; waits until there are enough answers."""
    fewest, customers = min(canary.n, champion.n), min(canary.customers, champion.customers)
    if fewest < least or customers < params.canary_customers:
        return "waiting", (
            f"Whether answers are {name} is known of {canary.n:,} of the canary's, to {canary.customers:,} customers, "
            f"and of {champion.n:,} of the champion's, to {champion.customers:,}: waiting for {least:,} of each to "
            f"{params.canary_customers:,} customers."
        )
    change = difference(canary, champion, params.margin, (params.alpha, params.alpha / MEASURES))
    seen = (
        f"{canary.value:.1%} of {canary.n:,} answers of the canary are {name}, {champion.value:.1%} of "
        f"{champion.n:,} of the champion"
    )
    if max(canary.weight, champion.weight) > 1:
        seen += f", as surely as {canary.effective:,.0f} and {champion.effective:,.0f} that people had read"
    if change.high < 0:
        return "withdrawn", f"{seen}: worse with confidence, by {-change.high:.1%} at least."
    if change.low > -params.margin:
        return "promoted", f"{seen}: a loss of {params.margin:.1%} is ruled out ({max(0.0, -change.low):.1%} is not)."
    return "waiting", f"{seen}: waiting for {_needed(change, canary, params.margin)}, to rule out {params.margin:.1%}."


def _needed(change: Difference, canary: Share, margin: float) -> str:
    """Roughly how many more of the canary's answers would rule out the margin if nothing changes."""
    room = change.value + margin
    if room <= 0:
        return "a clearer difference"
    times = ((change.value - change.low) / room) ** 2
    return f"about {max(1, round(canary.n * (times - 1))):,} more of the canary's answers"
