"""Whether a canary may become champion: when it is shown not to be worse by the margin, and not before.

Decides by a sequence that holds at every look: promoted as soon as a loss of the margin is ruled out in every measure,
withdrawn as soon as it is worse with confidence in any, else it waits, and says for what. A failure or a time-out is an
answer that is not valid. Who is asked, and when one looks, is the release's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from components.params import ReleaseParams
from components.records import Record
from monitoring.sequence import Difference, Share, difference, share_of

MEASURES = 2  # valid and right: a canary is withdrawn by each at its part of alpha (Bonferroni)
SILENT = 0.001  # chance of hearing nothing by chance, below which a canary is withdrawn for its silence


Decision = Literal["promoted", "withdrawn", "waiting"]


class Judged(Record):
    """Promoted, withdrawn or still waiting, and why."""

    decision: Decision
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """What a version gave since the canary began, each with the customer that it was given to.

    `valid` tells of every request whether there was a valid answer; `right`, of those requests alone that were drawn
    at random for labelling, whether the answer was right. `drawn` counts these, labelled or not. Where a judge reads
    them (`read`), `right` has what each is worth, `weight` what one of people's words counts, and `silent` why it is
    not heard.
    """

    valid: Sequence[tuple[str, bool]] = ()
    right: Sequence[tuple[str, float]] = ()
    drawn: int = 0
    weight: float = 1.0
    silent: str = ""
    read: bool = False


def judge(champion: Side, canary: Side, params: ReleaseParams, share: float, complete: float) -> Judged:
    """Compare both sides; `share` of the customers are the canary's, 0 while its silence says nothing yet.

    So large a share as `complete` of the requests drawn must be labelled before labels say anything.
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
    """That nothing was heard of a canary whose customers must have asked."""
    others = share_of([good for _, good in champion.valid], [who for who, _ in champion.valid]).customers
    if canary.valid or not share or share == 1 or (1 - share) ** others >= SILENT:
        return None
    return (
        f"Nothing was heard of the canary, while {others:,} customers asked the champion: {share:.0%} of all should be "
        "the canary's."
    )


def _right(champion: Side, canary: Side, params: ReleaseParams, complete: float) -> tuple[Decision, str]:
    """Of the answers drawn at random, those that were right; not while many are not labelled, for these may differ."""
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
    """One measure of both sides."""
    return compared(name, _share(before), _share(now), least, params)


def _share(answers: Sequence[tuple[str, float]], weight: float = 1.0) -> Share:
    return share_of([good for _, good in answers], [who for who, _ in answers], weight)


def compared(name: str, champion: Share, canary: Share, least: int, params: ReleaseParams) -> tuple[Decision, str]:
    """What two shares of good answers say; nothing before there are enough of them."""
    fewest, customers = min(canary.n, champion.n), min(canary.customers, champion.customers)
    if fewest < least or customers < params.canary_customers:
        return "waiting", (
            f"Whether answers are {name} is known of {canary.n:,} of the canary's, to {canary.customers:,} customers, "
            f"and of {champion.n:,} of the champion's, to {champion.customers:,}: waiting for {least:,} of each to "
            f"{params.canary_customers:,} customers."
        )
    found = difference(canary, champion, params.margin, (params.alpha, params.alpha / MEASURES))
    seen = (
        f"{canary.value:.1%} of {canary.n:,} answers of the canary are {name}, {champion.value:.1%} of "
        f"{champion.n:,} of the champion"
    )
    if max(canary.weight, champion.weight) > 1:
        seen += f", as surely as {canary.effective:,.0f} and {champion.effective:,.0f} that people had read"
    if found.high < 0:
        return "withdrawn", f"{seen}: worse with confidence, by {-found.high:.1%} at least."
    if found.low > -params.margin:
        return "promoted", f"{seen}: a loss of {params.margin:.1%} is ruled out ({max(0.0, -found.low):.1%} is not)."
    return "waiting", f"{seen}: waiting for {_needed(found, canary, params.margin)}, to rule out {params.margin:.1%}."


def _needed(found: Difference, canary: Share, margin: float) -> str:
    """About how many answers of the canary would rule the margin out if things stay as they are."""
    room = found.value + margin
    if room <= 0:
        return "a clearer difference"
    times = ((found.value - found.low) / room) ** 2
    return f"about {max(1, round(canary.n * (times - 1))):,} more of the canary's answers"
