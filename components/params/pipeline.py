"""Settings of the pipeline (params/pipeline.yaml): what all runs share, what some change, when a challenger wins."""

from typing import Any, Literal

from pydantic import Field, model_validator

from components.params.advice import AdviceParams
from components.params.loading import Settings
from components.params.trust import AuditParams, CertificateParams, HackingParams
from components.params.workload import SplitShares


class RunParams(Settings):
    """What a run does otherwise than its workload, profile and ladder say; a run without an entry changes nothing."""

    ladder: str = Field(default="standard", description="Of params/ladders/, where the command names none.")
    rungs: dict[str, dict[str, Any]] = Field(
        default={}, description="Rung → what differs from the settings that profile and ladder give it."
    )
    gate: dict[str, Any] = Field(default={}, description="What differs from the pipeline's gate.")
    seed: int | None = Field(default=None, description="None: the pipeline's.")


class SliceGateParams(Settings):
    """When a challenger that is better on the whole is refused for what it does to a slice."""

    alpha: float = Field(default=0.05, gt=0, lt=1, description="Of the tests for slices that got worse, Holm over all.")
    margin: float = Field(
        default=0.1, gt=0, le=1, description="A loss so large must be ruled out on every large slice (95 % interval)."
    )
    large_share: float = Field(default=0.1, gt=0, le=1, description="Of the sealed split, from which a slice is large.")


class GateParams(Settings):
    """When a challenger replaces the champion on the sealed split."""

    test: Literal["superiority", "non_inferiority"] = Field(
        default="superiority", description="Better than the champion, or not worse by the margin."
    )
    measure: Literal["accuracy", "score"] = Field(
        default="accuracy", description="Answers that are right in whole (McNemar), or mean scores (permutation)."
    )
    margin: float = Field(
        default=0.02, gt=0, lt=1, description="Gain worth finding (superiority), or loss that is tolerated."
    )
    power: float = Field(
        default=0.9, gt=0, lt=1, description="Chance to find such a gain with the examples that the gate asks for."
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=1, description="Two-sided, at the first look at a sealed split; the later ones share it."
    )
    looks: int = Field(default=10, ge=1, description="Challenges that one sealed split may decide.")
    min_delta: float = Field(default=0.0, description="Least gain that was measured, in [−1, 1].", ge=-1, le=1)
    min_validity: float = Field(default=0.95, ge=0, le=1)
    min_examples: int = Field(default=200, ge=1)
    max_latency_ms_p95: float | None = Field(default=None, gt=0, description="None: no bound.")
    max_usd_per_1k_calls: float | None = Field(default=None, gt=0, description="None: no bound.")
    slices: SliceGateParams = SliceGateParams()


class WatchParams(Settings):
    """How a window of production is compared with what the champion was made from."""

    window_hours: float = Field(default=24.0, gt=0, description="How far back a window reaches at most.")
    window_rows: int = Field(default=1000, ge=50, description="Answers of a window; of more, a sample of so many.")
    min_rows: int = Field(default=200, ge=30, description="With fewer answers a window is not judged.")
    false_alarms: float = Field(
        default=0.002, gt=0, lt=0.5,
        description="Share of windows without drift that may be called drifted, by any look at their answers.",
    )  # fmt: skip
    weeks: int = Field(
        default=2, ge=0, le=8,
        description="First weeks in service whose same hours a window is compared with; 0: always with the data.",
    )  # fmt: skip
    resamples: int = Field(default=2000, ge=100, description="Of the reference, to see how far chance goes.")
    embedding_columns: int = Field(default=8, ge=0, description="Principal components of the inputs' embeddings.")

    @model_validator(mode="after")
    def _resolves_false_alarms(self) -> "WatchParams":
        if self.resamples * self.false_alarms < 1:
            raise ValueError(f"resamples must be at least {1 / self.false_alarms:g} for false_alarms")
        return self


class HarvestParams(Settings):
    """Which answers of production join the data, and which split each of them serves."""

    window_hours: float = Field(default=168.0, gt=0, description="How far back answers are looked for.")
    min_examples: int = Field(default=100, ge=1, description="With fewer answers nothing is retrained.")
    min_score: float = Field(default=1.0, gt=0, le=1, description="Of an uncorrected answer that counts as right.")
    most_corrected: int = Field(default=2000, ge=0, description="Corrected answers, at most.")
    most_scored: int = Field(default=1000, ge=0, description="Answers that were scored as right, at most.")
    most_by_sender: int = Field(
        default=500, ge=0, description="By the word of one sender, who is no reviewer; the anonymous are one."
    )
    splits: SplitShares = SplitShares(dev=0.1, test=0.15, sealed=0.2)


class ReleaseParams(Settings):
    """How the winner of a retraining becomes champion."""

    approval: bool | None = Field(
        default=None,
        description="A person has to say yes in Prefect's pages first; None: where feedback is open, without API keys.",
    )
    canary_answers: int = Field(default=200, ge=1, description="That the canary and the champion each give at least.")
    canary_customers: int = Field(default=30, ge=10, description="That each of them answers at least.")
    canary_labelled: int = Field(
        default=100, ge=1, description="Of each one's answers, drawn (serving.labelling) and labelled, at least."
    )
    canary_hours: float = Field(default=24.0, gt=0, description="After which a release waits no longer by itself.")
    judged_by: Literal["right", "valid"] = Field(
        default="right",
        description="Whether labels of a random sample must show a canary to be no worse, or valid answers and "
        "failures suffice.",
    )
    margin: float = Field(default=0.05, gt=0, lt=1, description="A loss so large must be ruled out.")
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5,
        description="Of canaries worse by the margin that may be promoted, and of equal ones that may be withdrawn, at "
        "any of the looks.",
    )  # fmt: skip


class RecordParams(Settings):
    """How much of a climb MLflow's pages show."""

    rows: int = Field(
        default=50, ge=0, le=10_000,
        description="Test examples that each rung's run shows answer by answer; the same ones for all rungs.",
    )  # fmt: skip


class RetentionParams(Settings):
    """What `gradus prune` lets go, by age in days or by number; None keeps everything."""

    lake_days: float | None = Field(default=365.0, gt=0, description="Of traces, feedback and scores in the lake.")
    trace_days: float | None = Field(default=90.0, gt=0, description="Of traces in MLflow.")
    broken_days: float | None = Field(default=90.0, gt=0, description="Of files that were set aside.")
    compared_days: float | None = Field(default=90.0, gt=0, description="Of answers kept for `gradus compare`.")
    branches: int | None = Field(default=10, ge=0, description="Newest branches of retrainings of each workload.")
    versions: int | None = Field(default=10, ge=1, description="Newest registered versions without an alias.")
    dvc_cache: bool = Field(default=True, description="Drop from DVC's cache what no branch or tag names.")


class RetrainingParams(Settings):
    """When production's own answers make a new candidate."""

    cooldown_hours: float = Field(default=24.0, ge=0, description="After a retraining, until drift starts another one.")
    push: bool = Field(default=False, description="Send branches to git's remote and production's answers to DVC's.")
    harvest: HarvestParams = HarvestParams()
    release: ReleaseParams = ReleaseParams()


class Pipeline(Settings):
    """What all runs share, and what some of them do otherwise."""

    seed: int
    runs: dict[str, RunParams] = Field(
        default={}, description="By name: WORKLOAD-PROFILE, or WORKLOAD-PROFILE-LADDER for another ladder."
    )
    gate: GateParams
    advice: AdviceParams = AdviceParams()
    certificate: CertificateParams = CertificateParams()
    hacking: HackingParams = HackingParams()
    audit: AuditParams = AuditParams()
    watch: WatchParams = WatchParams()
    retraining: RetrainingParams = RetrainingParams()
    retention: RetentionParams = RetentionParams()
    record: RecordParams = RecordParams()
