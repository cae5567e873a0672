"""Settings of the advice (`advice` in params/pipeline.yaml): what is measured, and from when on it counts."""

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
    try_examples: bool = Field(default=True, description="Whether the best prompt is tried with examples in it.")
    closed_by_rl: Closed = Field(
        default=(0.2, 0.8, 2.5),
        description="Share of the gap from what stands to pass@k that RL closes: low, expected, high (beyond 1: it "
        "finds what k answers did not show). Seven climbs of five workloads closed 0.4 to 1.4 of it.",
    )
    closed_by_sampling: Closed = Field(
        default=(0.1, 0.6, 2.0), description="Of the same gap, by training once on own answers that pass. Assumed."
    )
    closed_by_search: Closed = Field(
        default=(0.0, 0.6, 4.0),
        description="Of the same gap, by rewording a prompt, which may say what no answer did. Assumed.",
    )
    mended_by_relabelling: Closed = Field(
        default=(0.0, 0.6, 1.1),
        description="Share of the demonstrations' errors that a committee mends: those of the label audit, as far as "
        "dev's references do not contradict it. Assumed.",
    )
    closed_by_feedback: Closed = Field(
        default=(0.0, 0.4, 1.0),
        description="Share of what stands' errors that pairs mend, where there are many more than "
        "`telling_opinions`. Thumbs, of which only bad ones say something new, tell half as much. Assumed.",
    )
    telling_opinions: int = Field(
        default=300, ge=1, description="Opinions that tell half of what can be told by them. Assumed."
    )
    closed_by_logs: Closed = Field(
        default=(0.0, 0.4, 1.0),
        description="Share of what logs promise by their weights, off-policy, that training on them brings. Assumed.",
    )
    taught: Closed = Field(
        default=(0.9, 0.99, 1.02), description="Share of a teacher's accuracy that its pupil reaches. Assumed."
    )
    filled: Closed = Field(
        default=(0.0, 0.6, 1.1),
        description="Share of how far a thin slice is behind that new examples of it bring; at most all that is wrong "
        "there. Assumed.",
    )
    thin_share: Share = Field(default=0.05, description="Of train, below which a slice is thin.")
    min_judge_agreement: float = Field(
        default=0.75, gt=0.5, le=1, description="With people's pairs, by the lower end of the interval."
    )
    min_judged_pairs: int = Field(default=50, ge=1, description="That a judge has been tried on.")
    most_movement: float = Field(
        default=0.1, gt=0, lt=1, description="Of labels (total variation): a task that moved more has become another."
    )

    @model_validator(mode="after")
    def _is_ordered(self) -> "AdviceParams":
        for name in CLOSED:
            if list(closed := getattr(self, name)) != sorted(closed):
                raise ValueError(f"{name} must ascend, found {closed}")
        return self
