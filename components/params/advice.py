"""Settings of the advice (`advice` in params/pipeline.yaml): what is measured, and from when on it counts."""

from typing import Annotated

from pydantic import Field, model_validator

from components.params.loading import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class AdviceParams(Settings):
    """How the next rung is chosen. Accuracies and gains are shares in [0, 1]."""

    min_gain: float = Field(default=0.01, gt=0, lt=1, description="Less is not worth a rung.")
    min_agreement: Share = Field(
        default=0.7, description="Of people about an answer; where they agree less often, it cannot be written yet."
    )
    max_false_positives: Share = Field(default=0.1, description="Of wrong answers that a scorer RL may use lets pass.")
    max_false_negatives: Share = Field(default=0.2, description="Of right answers that it refuses.")
    checked_examples: int = Field(default=200, ge=20, description="References that the scorer is tried on.")
    sampled_examples: int = Field(default=200, ge=20, description="Dev examples that the current rung answers again.")
    samples: int = Field(default=8, ge=2, description="Answers of each: k of pass@k.")
    temperature: float = Field(default=1.0, gt=0, description="At which they are drawn.")
    trial_demonstrations: int = Field(
        default=2000, ge=0, description="Of the largest trial training; others take a half and a quarter. 0: none."
    )
    closed_by_rl: tuple[Share, Share, Annotated[float, Field(ge=0)]] = Field(
        default=(0.2, 0.8, 2.5),
        description="Share of the gap from what stands to pass@k that RL closes: low, expected, high (beyond 1: it "
        "finds what k answers did not show). Seven climbs of five workloads closed 0.4 to 1.4 of it.",
    )
    most_movement: float = Field(
        default=0.1, gt=0, lt=1, description="Of labels (total variation): a task that moved more has become another."
    )

    @model_validator(mode="after")
    def _is_ordered(self) -> "AdviceParams":
        if list(self.closed_by_rl) != sorted(self.closed_by_rl):
            raise ValueError(f"closed_by_rl must ascend, found {self.closed_by_rl}")
        return self
