"""A run's economics, from what its stages measured; no model is called again.

Decides how calls are priced, and what was spent on a rung; `components.economics` draws the conclusions.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np

from components.economics import Account, Calls, Setting, draw_up, owned_usd
from components.errors import DataError
from components.evaluation import Scores, scores_in
from components.records import Completion, Example, Ladder, Rung, RungResult, read_record
from components.stages.answers import completions_of, judged_of
from components.stages.evaluate import evaluated, listed_tokens, throughput
from components.stages.run import Run, StageRecord


def account(run: Run, today: date) -> Account:
    """The account of an evaluated run, with its best prompt as the incumbent.

    Raises:
        DataError: The run was not evaluated yet, or its ladder has no prompt to compare with.
    """
    results, incumbent = evaluated(run).rungs, evaluated(run).incumbent
    if incumbent is None:
        raise DataError(f"expected a rung that is a prompt, which others are compared with, found none ({run.name})")
    examples = run.asked("test")
    answered = {result.name: completions_of(run, "test", result.name) for result in results}
    scores = {result.name: scores_in(judged_of(run, "test", result.name)) for result in results}
    # An example that the scorer failed on for one rung is left out for all: they are compared on the same calls.
    common = [result for result in examples if all(result.id in decided for decided in scores.values())]
    calls = [_calls(run, result, common, answered[result.name], scores[result.name]) for result in results]
    return draw_up(
        calls, incumbent, replace(setting(run, today), groups=[result.group or result.id for result in common])
    )


def setting(run: Run, today: date) -> Setting:
    """The assumptions of the run's account."""
    machine = run.prices.machine(run.profile.machine)
    return Setting(run.workload.traffic, run.workload.economics, machine, today, run.seed)


def spent_usd(run: Run, name: str) -> dict[str, float]:
    """One-off costs of a rung and those that it was made from, by purpose; for a prompt only APIs' answers.

    Seconds of prompts among them are no training. Labels count if a rung read demonstrations, or was rewarded by a
    scorer that is tested on them.
    """
    made = run.rung(name)
    rungs = lineage(run, made)
    answers = {"answers": usd} if (usd := sum(answers_usd(run, rung) for rung in rungs)) else {}
    if made.makes == "prompt":
        return answers
    machine, economics = run.prices.machine(run.profile.machine), run.workload.economics
    labelled = any({"demonstrations", "reward"} & {*rung.needs} for rung in rungs)
    return {
        "training": machine.usd(sum(rung.seconds for rung in rungs if rung.makes != "prompt")),
        "labels": economics.usd_per_label * len(run.examples("train")) if labelled else 0.0,
        "set-up": economics.usd_setup,
        "judging": judging_usd(run, made),
        **answers,
    }


def spent_by_rung(run: Run, ladder: Ladder) -> dict[str, float]:
    """One-off costs by rung."""
    return {rung.name: sum(spent_usd(run, rung.name).values()) for rung in ladder.rungs}


def answers_usd(run: Run, made: Rung) -> float:
    """What APIs were paid for answers while a rung was made, those to prompts at the incumbent's present price."""
    prompted = made.prompted
    return made.paid_usd + run.prices.model(run.workload.incumbent).usd(prompted.input_tokens, prompted.output_tokens)


def lineage(run: Run, made: Rung) -> list[Rung]:
    """The rungs that a rung was made from, its teacher among them, each once, and itself last."""
    origins = [name for name in (made.starts_from, run.resolved(run.planned(made.name).teacher)) if name is not None]
    before = {rung.name: rung for name in origins for rung in lineage(run, run.rung(name))}
    return [*before.values(), made]


def judging_usd(run: Run, made: Rung) -> float:
    """The measured cost of judges' verdicts for making a rung and for its scorer's certificate."""
    names = [rung.name for rung in lineage(run, made)]
    stages = [f"rung-{name}" for name in names]
    if any(run.planned(name).rewarded for name in names):
        stages.append("certify")
    paths = [run.folder / "stages" / f"{stage}.json" for stage in stages]
    return sum(read_record(path, StageRecord).judge_usd for path in paths if path.is_file())


def _calls(
    run: Run, result: RungResult, examples: Sequence[Example], answered: Sequence[Completion], scores: Scores
) -> Calls:
    """A rung's calls on the test split, at today's prices."""
    owned, usage = result.makes != "prompt", {example.example_id: example.usage for example in answered}
    if owned:
        machine = run.prices.machine(run.profile.machine)
        usd = np.full(len(examples), owned_usd(machine, throughput(run, result.name, len(answered))))
    else:
        sent, out = listed_tokens(run, run.prompt_of(run.rung(result.name)), examples)
        if result.cost.measured:
            sent = [float(usage[example.id].input_tokens) for example in examples]
            out = [float(usage[example.id].output_tokens) for example in examples]
        price = run.prices.model(run.workload.incumbent)
        usd = np.array([price.usd(*tokens) for tokens in zip(sent, out, strict=True)])
    return Calls(
        name=result.name,
        usd=usd,
        right=np.array([float(scores[example.id].passed) for example in examples]),
        owned=owned,
        measured=result.cost.measured,
        spent_usd=spent_usd(run, result.name),
    )
