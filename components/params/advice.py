"""Settings of the advice (`advice` in params/pipeline.yaml): what is measured, and which thresholds apply."""

from typing import Annotated

from pydantic import Field, model_validator

from components.params.loading import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Closed = tuple[Share, Share, Annotated[float, Field(ge=0)]]  # low, expected, high
CLOSED = (
    "closed_by_rl", "closed_by_sampling", "closed_by_search", "mended_by_relabelling", "closed_by_feedback",
    "closed_by_logs", "taught", "filled",
)  # fmt: skip


class AdviceParams(Settings):
    """How the next rung is chosen. Accuracies and gains are shares in [0, 1]."""

    min_gain: float = Field(default=0.01, gt=0, lt=1, description="A smaller gain is not worth a rung.")
    min_agreement: Share = Field(
        default=0.7, description="Agreement of people on answers; with less, answers cannot be written yet."
    )
    max_false_positives: Share = Field(
        default=0.1, gt=0, description="Share of wrong answers that RL's scorer may pass."
    )
    max_false_negatives: Share = Field(
        default=0.2, gt=0, description="Share of right answers that RL's scorer may refuse."
    )
    checked_examples: int = Field(default=200, ge=20, description="References that the scorer is tested on.")
    sampled_examples: int = Field(default=200, ge=20, description="Dev examples that the current rung answers again.")
    samples: int = Field(default=8, ge=2, description="Answers to each: the k of pass@k.")
    temperature: float = Field(default=1.0, gt=0, description="Temperature at which they are drawn.")
    trial_demonstrations: int = Field(
        default=2000, ge=0, description="Of the largest trial training; others use a half and a quarter. 0: no trials."
    )
    try_examples: bool = Field(default=True, description="Whether the best prompt is tried with examples in it.")
    closed_by_rl: Closed = Field(
        default=(0.2, 0.8, 2.5),
        description="Share of the gap from the standing rung to pass@k that RL closes: low, expected, high (above 1: "
        "it finds answers that k draws did not show). Seven climbs of five workloads closed 0.4 to 1.4 of it.",
    )
    closed_by_sampling: Closed = Field(
        default=(0.1, 0.6, 2.0), description="Share of the same gap that rejection sampling closes. Assumed."
    )
    closed_by_search: Closed = Field(
        default=(0.0, 0.6, 4.0),
        description="Share of the same gap that a searched prompt closes. Assumed.",
    )
    mended_by_relabelling: Closed = Field(
        default=(0.0, 0.6, 1.1),
        description="Share of the demonstrations' errors that relabelling corrects: those that the label audit "
        "expects, bounded by what dev's references show. Assumed.",
    )
    closed_by_feedback: Closed = Field(
        default=(0.0, 0.4, 1.0),
        description="Share of the standing rung's errors that pairs correct, if there are many more than "
        "`telling_opinions`. Thumbs, of which only bad ones say something new, count half. Assumed.",
    )
    telling_opinions: int = Field(
        default=300, ge=1, description="Number of opinions that reach half of that share. Assumed."
    )
    closed_by_logs: Closed = Field(
        default=(0.0, 0.4, 1.0),
        description="Share of the off-policy gain promised by logs that training on them reaches. Assumed.",
    )
    taught: Closed = Field(
        default=(0.9, 0.99, 1.02), description="Share of a teacher's accuracy that its pupil reaches. Assumed."
    )
    filled: Closed = Field(
        default=(0.0, 0.6, 1.1),
        description="Share of a thin slice's lag that new examples of it make up; at most all its errors. Assumed.",
    )
    thin_share: Share = Field(default=0.05, description="Share of train below which a slice is thin.")
    min_judge_agreement: float = Field(
        default=0.75, gt=0.5, lt=1, description="A judge's agreement with people's pairs, at the interval's lower end."
    )
    min_judged_pairs: int = Field(default=50, ge=1, description="Pairs that a judge must have been tested on.")
    most_movement: float = Field(
        default=0.1, gt=0, lt=1, description="Of labels (total variation); a task that moved more counts as a new one."
    )

    @model_validator(mode="after")
    def _is_ordered(self) -> "AdviceParams":
        for name in CLOSED:
            if list(closed := getattr(self, name)) != sorted(closed):
                raise ValueError(f"{name} must ascend, found {closed}")
        return self
