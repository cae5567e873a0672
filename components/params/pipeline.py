"""Settings of the pipeline (params/pipeline.yaml): what all runs share, what some change, and the gate."""

from typing import Any, Literal

from pydantic import Field, model_validator

from components.params.advice import AdviceParams
from components.params.loading import Settings
from components.params.trust import AuditParams, CertificateParams, HackingParams
from components.params.workload import SplitShares


class RunParams(Settings):
    """What a run changes in the settings of its workload, profile and ladder; without an entry nothing."""

    ladder: str = Field(default="standard", description="A ladder of params/ladders/, if the command names none.")
    rungs: dict[str, dict[str, Any]] = Field(
        default={}, description="Rung → what differs from its settings in profile and ladder."
    )
    gate: dict[str, Any] = Field(default={}, description="What differs from the pipeline's gate.")
    seed: int | None = Field(default=None, description="None: the pipeline's.")


class SliceGateParams(Settings):
    """When a challenger that is better overall is refused because of a slice."""

    alpha: float = Field(default=0.05, gt=0, lt=1, description="Of the tests for worse slices, Holm over all of them.")
    margin: float = Field(
        default=0.1, gt=0, le=1, description="Such a loss must be ruled out on every large slice (95 % interval)."
    )
    large_share: float = Field(default=0.1, gt=0, le=1, description="Share of the sealed split of a large slice.")


class GateParams(Settings):
    """When a challenger replaces the champion on the sealed split."""

    test: Literal["superiority", "non_inferiority"] = Field(
        default="superiority", description="Better than the champion, or not worse by the margin."
    )
    measure: Literal["accuracy", "score"] = Field(
        default="accuracy", description="Entirely right answers (McNemar), or mean scores (permutation)."
    )
    margin: float = Field(
        default=0.02, gt=0, lt=1, description="Gain worth detecting (superiority), or tolerated loss."
    )
    power: float = Field(
        default=0.9, gt=0, lt=1, description="To detect such a gain, for the number of examples that the gate asks for."
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=1, description="Two-sided, for the first look at a sealed split; later looks share it."
    )
    looks: int = Field(default=10, ge=1, description="Challenges that one sealed split may decide.")
    min_delta: float = Field(default=0.0, description="Least measured gain, in [−1, 1].", ge=-1, le=1)
    min_validity: float = Field(
        default=0.95, ge=0, lt=1, description="Of valid answers, at the interval's lower end, which is never 1."
    )
    min_examples: int = Field(default=200, ge=1)
    max_latency_ms_p95: float | None = Field(default=None, gt=0, description="None: no bound.")
    max_usd_per_1k_calls: float | None = Field(default=None, gt=0, description="None: no bound.")
    slices: SliceGateParams = SliceGateParams()


class WatchParams(Settings):
    """How a window of production is compared with the champion's usual answers."""

    window_hours: float = Field(default=24.0, gt=0, description="How far back a window reaches at most.")
    window_rows: int = Field(default=1000, ge=50, description="Most answers of a window; of more, a sample is taken.")
    min_rows: int = Field(default=200, ge=30, description="With fewer answers a window is not judged.")
    false_alarms: float = Field(
        default=0.002, gt=0, lt=0.5,
        description="Share of windows without drift that any look may report as drifted.",
    )  # fmt: skip
    weeks: int = Field(
        default=2, ge=0, le=8,
        description="First weeks in service whose same hours a window is compared with; 0: always with the data.",
    )  # fmt: skip
    resamples: int = Field(default=2000, ge=100, description="Resamples of the reference, to set limits by chance.")
    embedding_columns: int = Field(default=8, ge=0, description="Principal components of the inputs' embeddings.")

    @model_validator(mode="after")
    def _resolves_false_alarms(self) -> "WatchParams":
        if self.resamples * self.false_alarms < 1:
            raise ValueError(f"resamples must be at least {1 / self.false_alarms:g} for false_alarms")
        return self


class HarvestParams(Settings):
    """Which of production's answers join the data, and in which split."""

    window_hours: float = Field(default=168.0, gt=0, description="How far back answers are looked for.")
    min_examples: int = Field(default=100, ge=1, description="With fewer answers nothing is retrained.")
    min_score: float = Field(default=1.0, gt=0, le=1, description="Score from which an uncorrected answer is right.")
    most_corrected: int = Field(default=2000, ge=0, description="Corrected answers, at most.")
    most_scored: int = Field(default=1000, ge=0, description="Answers scored as right, at most.")
    most_by_sender: int = Field(
        default=500,
        ge=0,
        description="From feedback of one sender who is not a reviewer; the anonymous are one sender.",
    )
    splits: SplitShares = SplitShares(dev=0.1, test=0.15, sealed=0.2)


class ReleaseParams(Settings):
    """How the winner of a retraining becomes champion."""

    approval: bool | None = Field(
        default=None,
        description="Whether a person must approve, in Prefect's pages or on the terminal; None: only if feedback is "
        "open, without API keys.",
    )
    approval_hours: float = Field(
        default=168.0, gt=0, le=2160,
        description="How long a release waits for that; later on `gradus release` asks again.",
    )  # fmt: skip
    canary_answers: int = Field(default=200, ge=1, description="Least answers of the canary and of the champion.")
    canary_customers: int = Field(default=30, ge=10, description="Least customers of the canary and of the champion.")
    canary_labelled: int = Field(
        default=100, ge=1, description="Least labelled answers of either, drawn by serving.labelling."
    )
    canary_hours: float = Field(default=24.0, gt=0, description="After which a release stops waiting by itself.")
    judged_by: Literal["right", "valid"] = Field(
        default="right",
        description="Whether labels of a random sample must show that a canary is no worse, or valid answers suffice.",
    )
    margin: float = Field(default=0.05, gt=0, lt=1, description="Such a loss must be ruled out.")
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5,
        description="Probability, over all looks, that a canary worse by the margin is promoted, or that an equal one "
        "is withdrawn.",
    )  # fmt: skip


class RecordParams(Settings):
    """How much of a climb MLflow's pages show."""

    rows: int = Field(
        default=50, ge=0, le=10_000,
        description="Test examples whose answers each rung's run shows; the same ones for all rungs.",
    )  # fmt: skip


class RetentionParams(Settings):
    """What `gradus prune` keeps, by age in days or by number; None keeps everything."""

    lake_days: float | None = Field(default=365.0, gt=0, description="Of traces, feedback and scores in the lake.")
    trace_days: float | None = Field(default=90.0, gt=0, description="Of traces in MLflow.")
    flow_run_days: float | None = Field(
        default=90.0,
        ge=1,
        description="Of flow runs and their logs, which the Prefect server of `make up` deletes.",
    )
    broken_days: float | None = Field(default=90.0, gt=0, description="Of files that were set aside.")
    compared_days: float | None = Field(default=90.0, gt=0, description="Of answers kept for `gradus compare`.")
    branches: int | None = Field(default=10, ge=0, description="Newest branches of retrainings of each workload.")
    versions: int | None = Field(default=10, ge=1, description="Newest registered versions without an alias.")
    dvc_cache: bool = Field(default=True, description="Delete from DVC's cache what no branch or tag refers to.")


class RetrainingParams(Settings):
    """When production's answers are used to train a new candidate."""

    cooldown_hours: float = Field(
        default=24.0, ge=0, description="After the end of a retraining and its release, until drift may start another."
    )
    push: bool = Field(default=False, description="Send branches to git's remote and production's answers to DVC's.")
    harvest: HarvestParams = HarvestParams()
    release: ReleaseParams = ReleaseParams()


class Pipeline(Settings):
    """What all runs share, and what some of them change."""

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
