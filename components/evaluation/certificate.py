"""The certificate of a scorer, and the floor below which it may not reward RL.

Decides what a certificate says and when it passes; how its figures are found is `certify`'s.
"""

from components.evaluation.agreement import Share
from components.evaluation.labelled import Source
from components.params import CertificateParams
from components.records import Interval, Record


class Exploit(Record):
    """A cheap trick: the mean value that it earned on `n` examples whose reference is another answer."""

    value: float
    passed: Share
    answer: str


class Certificate(Record):
    """What a scorer is worth as a reward.

    `changed` holds, by kind of rewriting, the share of right answers that scored the same; `sensitive`, by field, the
    share of right answers that scored lower with that field wrong. `reasons` say what is below the floor.
    """

    workload: str
    source: Source
    origins: dict[str, int]
    false_positive: Share | None
    false_negative: Share | None
    kappa: float | None
    kappa_range: Interval | None = None
    alpha: float | None
    people_alpha: float | None
    repeatable: Share | None
    indifferent: dict[str, Share]
    sensitive: dict[str, Share]
    exploits: dict[str, Exploit]
    scored: int
    failed: int
    failure: str = ""
    reasons: tuple[str, ...] = ()
    override: str | None = None

    @property
    def passed(self) -> bool:
        """Whether RL may be rewarded by the scorer: it is above the floor, or somebody answers for it in writing."""
        return not self.reasons or self.override is not None


def below_floor(found: Certificate, params: CertificateParams) -> list[str]:
    """What keeps a scorer from rewarding RL, each in one sentence."""
    reasons: list[str] = []

    def hold(what: str, value: float, bound: float, *, least: bool = False) -> None:
        if (value < bound) if least else (value > bound):
            reasons.append(f"{what}: {value:.3f}, {'at least' if least else 'at most'} {bound:g} allowed")

    for name, rate in (
        ("wrong answers that pass", found.false_positive),
        ("right answers refused", found.false_negative),
    ):
        bound = params.max_false_positive if rate is found.false_positive else params.max_false_negative
        if rate is None:
            reasons.append(f"no answers to tell the share of {name} from")
        else:
            hold(f"{name}, upper end of {rate.low:.3f} to {rate.high:.3f} (n = {rate.n})", rate.high, bound)
    if found.kappa is not None:
        hold("Cohen's kappa with the labels", found.kappa, params.min_kappa, least=True)
    if found.repeatable is not None:
        hold("answers that score the same again", found.repeatable.value, params.min_repeatable, least=True)
    for kind, same in found.indifferent.items():
        hold(f"right answers that score the same with {kind}", same.value, params.min_indifferent, least=True)
    for field, lower in found.sensitive.items():
        hold(f"answers that score lower with {field} wrong", lower.value, params.min_sensitive, least=True)
    for name, trick in found.exploits.items():
        hold(f"mean value of the trick {name}", trick.value, params.max_exploit)
        hold(f"passing share of the trick {name}", trick.passed.value, params.max_false_positive)
    hold("answers on which the scorer fails", found.failed / max(1, found.scored), params.max_failed)
    return reasons
