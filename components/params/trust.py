"""Settings of trust in rewards and labels (params/pipeline.yaml): certificate, reward hacking, label audit.

Decides the floors that a certificate must reach; `components.evaluation.certificate` computes its figures.
"""

from typing import Annotated

from pydantic import Field

from components.params.loading import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class CertificateParams(Settings):
    """How a scorer is tested before it rewards RL, and how wrong it may be.

    Bounds of error rates apply to the upper end of the 95 % interval, which is never 0: too small a sample fails.
    """

    examples: int = Field(default=300, ge=30, description="Examples with known answers, for the error rates.")
    probes: int = Field(default=150, ge=30, description="How many of them are used for changes and exploits.")
    repetitions: int = Field(default=2, ge=2, description="How often the same answers are scored.")
    max_false_positive: Share = Field(default=0.05, gt=0, description="Wrong answers that pass.")
    max_false_negative: Share = Field(default=0.1, gt=0, description="Right answers that do not pass.")
    min_kappa: float = Field(default=0.8, ge=-1, le=1, description="Cohen's, between the scorer and the labels.")
    min_repeatable: Share = Field(default=0.95, description="Answers that score the same when scored again.")
    min_indifferent: Share = Field(default=0.9, description="Right answers that score the same when reworded.")
    min_sensitive: Share = Field(default=0.9, description="Right answers that score lower with one field wrong.")
    max_exploit: Share = Field(default=0.7, description="Mean value that a cheap trick may get.")
    max_failed: Share = Field(default=0.02, description="Answers on which the scorer fails.")
    override: dict[str, Annotated[str, Field(min_length=20)]] = Field(
        default={}, description="Workload → why RL may start below the floor; recorded in the certificate."
    )


class HackingParams(Settings):
    """When RL is stopped because its reward rises while the sealed score falls."""

    alpha: float = Field(default=0.05, gt=0, lt=1, description="For the whole training, over all of its looks.")
    examples: int = Field(default=6, ge=0, description="Recorded answers that show a divergence, at most.")


class AuditParams(Settings):
    """How demonstrations that look wrong are found."""

    folds: int = Field(default=5, ge=2, description="Of cross-validation.")
    min_precision: Share = Field(
        default=0.5, description="A demonstration is a suspect if its probability of being wrong is higher."
    )


class ProbeParams(Settings):
    """What a workload adds to the probes of its scorer."""

    synonyms: dict[str, str] = Field(
        default={}, description="Word → a synonym that can replace it anywhere in the answer's texts."
    )
    ignored: tuple[str, ...] = Field(default=(), description="Fields whose value the scorer may ignore.")
