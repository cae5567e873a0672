"""A scorer's certificate, and the floor below which the scorer may not reward RL.

Decides what a certificate contains and when it passes; `certify` measures its figures.
"""

from components.evaluation.agreement import Share
from components.evaluation.labelled import Source
from components.params import CertificateParams
from components.records import Interval, Record


class Exploit(Record):
    """A cheap trick: its mean value on `n` examples for which it is not the right answer."""

    value: float
    passed: Share
    answer: str


class Certificate(Record):
    """The quality of a scorer as a reward.

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
        """Whether the scorer may reward RL: it is above the floor, or someone has waived it in writing."""
        return not self.reasons or self.override is not None


def below_floor(certificate: Certificate, params: CertificateParams) -> list[str]:
    """The reasons why a scorer may not reward RL, a sentence each."""
    reasons: list[str] = []

    def hold(what: str, value: float, bound: float, *, least: bool = False) -> None:
        if (value < bound) if least else (value > bound):
            reasons.append(f"{what}: {value:.3f}, {'at least' if least else 'at most'} {bound:g} allowed")

    for name, rate in (
        ("wrong answers that pass", certificate.false_positive),
        ("right answers refused", certificate.false_negative),
    ):
        bound = params.max_false_positive if rate is certificate.false_positive else params.max_false_negative
        if rate is None:
            reasons.append(f"no answers to estimate the share of {name} from")
        else:
            hold(f"{name}, upper end of {rate.low:.3f} to {rate.high:.3f} (n = {rate.n})", rate.high, bound)
    if certificate.kappa is not None:
        hold("Cohen's kappa with the labels", certificate.kappa, params.min_kappa, least=True)
    if certificate.repeatable is not None:
        hold("answers that score the same again", certificate.repeatable.value, params.min_repeatable, least=True)
    for kind, same in certificate.indifferent.items():
        hold(f"right answers that score the same with {kind}", same.value, params.min_indifferent, least=True)
    for field, lower in certificate.sensitive.items():
        hold(f"answers that score lower with {field} wrong", lower.value, params.min_sensitive, least=True)
    for name, trick in certificate.exploits.items():
        hold(f"mean value of the trick {name}", trick.value, params.max_exploit)
        hold(f"passing share of the trick {name}", trick.passed.value, params.max_false_positive)
    hold("answers on which the scorer fails", certificate.failed / max(1, certificate.scored), params.max_failed)
    return reasons
