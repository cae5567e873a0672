"""The money of a run, from what its stages measured: nothing is asked of a model again.

Decides which calls are priced how, and what was spent on a rung; what follows from that is `components.economics`'s.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from components.economics import Account, Calls, Setting, draw_up
from components.evaluation import Scores
from components.records import Completion, Example, RungResult, read_record
from components.stages.answers import score
from components.stages.evaluate import Evaluations, kept, listed_tokens
from components.stages.run import Run, StageRecord
from components.stages.rungs import CLASSICAL, GRPO, SFT, best_prompt, rung


def account(run: Run, today: date, scores: Mapping[str, Scores] | None = None) -> Account:
    """The account of an evaluated run, its best prompt being the incumbent; `scores` are those on test, where known.

    Raises:
        DataError: The run was not evaluated yet.
    """
    results = read_record(run.folder / "evaluation" / "evaluation.json", Evaluations).rungs
    examples = run.examples("test")
    answered = {one.name: kept(run, "test", one.name) for one in results}
    scores = scores or {name: score(run, examples, found) for name, found in answered.items()}
    # What a scorer could not decide for one rung is left out for all: they are compared on the same calls.
    common = [one for one in examples if all(one.id in found for found in scores.values())]
    calls = [_calls(run, one, common, answered[one.name], scores[one.name]) for one in results]
    return draw_up(calls, best_prompt(run), setting(run, today))


def setting(run: Run, today: date) -> Setting:
    """What the run's money is counted under."""
    machine = run.prices.machine(run.profile.machine)
    return Setting(run.workload.traffic, run.workload.economics, machine, today, run.seed)


def spent_usd(run: Run, name: str) -> dict[str, float]:
    """What was paid once for a rung and those that it was made from, by what for."""
    if name not in (CLASSICAL, SFT, GRPO):
        return {}
    machine = run.prices.machine(run.profile.machine)
    made = [rung(run, one) for one in ((SFT, GRPO) if name == GRPO else (name,))]
    economics = run.workload.economics
    return {
        "training": machine.usd(sum(one.seconds for one in made)),
        "labels": economics.usd_per_label * len(run.examples("train")),
        "set-up": economics.usd_setup,
        "judging": judging_usd(run, name),
    }


def judging_usd(run: Run, name: str) -> float:
    """What a judge's verdicts cost that the trainings of a rung and its scorer's certificate asked for, as measured."""
    stages = {CLASSICAL: ("classical",), SFT: ("sft",), GRPO: ("sft", "certify", "rl")}[name]
    paths = [run.folder / "stages" / f"{stage}.json" for stage in stages]
    return sum(read_record(path, StageRecord).judge_usd for path in paths if path.is_file())


def _calls(
    run: Run, result: RungResult, examples: Sequence[Example], answered: Sequence[Completion], scores: Scores
) -> Calls:
    """A rung's calls on the test split."""
    owned, usage = result.method != "prompt", {one.example_id: one.usage for one in answered}
    if owned:
        usd = np.full(len(examples), result.cost.usd_per_1k_calls / 1000)
    else:
        sent, told = listed_tokens(run, result.name, examples)
        if result.cost.measured:
            sent = [float(usage[one.id].input_tokens) for one in examples]
            told = [float(usage[one.id].output_tokens) for one in examples]
        price = run.prices.model(run.workload.incumbent)
        usd = np.array([price.usd(*tokens) for tokens in zip(sent, told, strict=True)])
    return Calls(
        name=result.name,
        method=result.method,
        usd=usd,
        right=np.array([float(scores[one.id].passed) for one in examples]),
        owned=owned,
        measured=result.cost.measured,
        spent_usd=spent_usd(run, result.name),
    )
