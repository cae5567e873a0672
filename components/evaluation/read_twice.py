"""Right answers counted by a judge who errs, where people have read a random share of the same answers.

Each answer is worth the judge's verdict; one that people have read is worth, beside it, what they say otherwise over
the share that they read (the difference estimator: Horvitz and Thompson 1952; Särndal, Swensson and Wretman 1992;
lately prediction-powered inference, Angelopoulos et al. 2023). The mean has no bias, however the judge errs, and
whether it errs in the same way of all models or favours one: what it errs widens the variance. Pure.
"""

from collections.abc import Mapping

from components.evaluation.metrics import share_of
from components.records import Interval


def worth(verdicts: Mapping[str, bool], truths: Mapping[str, bool], share: float) -> dict[str, float]:
    """What each answer that the judge read is worth: between 1 − 1/share and 1/share.

    `truths` are people's words on a random `share`, in (0, 1], of those answers.
    """
    values = {name: float(passed) for name, passed in verdicts.items()}
    for name in truths.keys() & values.keys():
        values[name] += (float(truths[name]) - values[name]) / share
    return values


def misread(verdicts: Mapping[str, bool], truths: Mapping[str, bool], customers: Mapping[str, str]) -> Interval | None:
    """The share of answers that both have read which the judge reads otherwise than people; None without any.

    Answers to one of `customers` count as what they are worth together; unnamed customers count as different.
    """
    both = [name for name in verdicts if name in truths]
    groups = [customers.get(name) or name for name in both]
    return share_of([verdicts[name] != truths[name] for name in both], groups) if both else None
