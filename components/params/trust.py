"""Settings of trust in rewards and labels (params/pipeline.yaml): when a scorer may reward RL, and what is looked at.

Decides the floors that a certificate must reach; how its figures are found is `components.evaluation.certificate`'s.
"""

from typing import Annotated

from pydantic import Field

from components.params.loading import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class CertificateParams(Settings):
    """What a scorer is tried on before it rewards RL, and how wrong it may be.

    Bounds of error rates hold for the upper end of their 95 % interval, so that too small a sample fails them.
    """

    examples: int = Field(default=300, ge=30, description="Whose known answers give the error rates.")
    probes: int = Field(default=150, ge=30, description="Of those, how many changes and exploits are tried on.")
    repetitions: int = Field(default=2, ge=2, description="Times that the same answers are scored.")
    max_false_positive: Share = Field(default=0.05, description="Wrong answers that pass.")
    max_false_negative: Share = Field(default=0.1, description="Right answers that do not pass.")
    min_kappa: float = Field(default=0.8, ge=-1, le=1, description="Cohen's, between the scorer and the labels.")
    min_repeatable: Share = Field(default=0.95, description="Answers that score the same when scored again.")
    min_indifferent: Share = Field(default=0.9, description="Right answers that score the same, written otherwise.")
    min_sensitive: Share = Field(default=0.9, description="Right answers that score lower with one field wrong.")
    max_exploit: Share = Field(default=0.7, description="Mean value that a cheap trick may earn.")
    max_failed: Share = Field(default=0.02, description="Answers on which the scorer fails.")
    override: dict[str, Annotated[str, Field(min_length=20)]] = Field(
        default={}, description="Workload → why RL goes on below the floor, in words; kept on the certificate."
    )


class HackingParams(Settings):
    """When RL is stopped because its reward rises while the sealed scorer's falls."""

    alpha: float = Field(default=0.05, gt=0, lt=1, description="Of the whole training, over all of its looks.")
    examples: int = Field(default=6, ge=0, description="Answers that show a divergence, at most.")


class AuditParams(Settings):
    """How demonstrations that look wrong are found."""

    folds: int = Field(default=5, ge=2, description="Of the classifier that judges what it has not seen.")
    min_precision: Share = Field(
        default=0.5, description="A demonstration is a suspect where it is more likely wrong than this."
    )


class ProbeParams(Settings):
    """What a workload adds to the probes of its scorer."""

    synonyms: dict[str, str] = Field(
        default={}, description="Word → another that means the same wherever it stands in a text of the answer."
    )
    ignored: tuple[str, ...] = Field(default=(), description="Fields whose value the scorer may ignore.")
