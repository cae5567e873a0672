"""The stage `evaluate`: every rung on the same test split, and those that may win on the sealed one.

Decides what answers cost: an owned model by its measured throughput, the incumbent by the tokens of its prompt.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Literal

from components.economics import Demand, api_cost, calls_per_hour, owned_cost
from components.evaluation import Evaluation, Exam, Measured, Scores, evaluate_rung
from components.params import SplitName
from components.records import (
    Completion,
    Cost,
    Example,
    Record,
    Rung,
    RungResult,
    read_jsonl,
    write_jsonl,
    write_record,
)
from components.stages.answers import Answers, answer, scorer
from components.stages.run import Run
from components.stages.rungs import CLASSICAL, GRPO, SFT, best_prompt, rung
from components.tracking import Tracker

Pinned = Literal["must_pass"]  # cases of the workload's YAML, kept beside the splits
MUST_PASS: Pinned = "must_pass"
log = logging.getLogger(__name__)


class Evaluations(Record):
    """All rungs on the test split, in the order in which they climb; `contenders` also answered the sealed one."""

    rungs: tuple[RungResult, ...]
    contenders: tuple[str, ...]


def evaluate(run: Run, tracker: Tracker) -> None:
    """Completions of each rung, and a line of the record for each."""
    test, sealed = run.examples("test"), run.examples("sealed")
    allowed = run.workload.scorer.max_failed_share
    exam = Exam(test, scorer(run), run.workload.output, run.workload.slices, run.seed, allowed)
    contenders = (CLASSICAL, best_prompt(run), SFT, GRPO)
    names = (CLASSICAL, *run.workload.prompts, SFT, GRPO)
    scores: dict[str, Scores] = {}
    results: list[RungResult] = []
    for name in names:
        made = rung(run, name)
        if name == SFT:  # starts from the base model, as the prompts do, so it is compared with the best of them
            made = made.model_copy(update={"parent": best_prompt(run)})
        log.info("%s: %s test examples.", name, f"{len(test):,}")
        answers = answer(run, made, test)
        keep(run, "test", name, answers.completions)
        found = _evaluated(run, made, answers, exam, scores.get(made.parent or ""))
        scores[name] = found.scores
        results.append(found.result)
        _tell(found.result, tracker)
        if name in contenders:
            keep(run, "sealed", name, answer(run, made, sealed).completions)
            if cases := run.must_pass:
                keep(run, MUST_PASS, name, answer(run, made, cases).completions)
    done = Evaluations(rungs=tuple(results), contenders=contenders)
    write_record(run.folder / "evaluation" / "evaluation.json", done)


def keep(run: Run, split: SplitName | Pinned, name: str, completions: Sequence[Completion]) -> None:
    """Write a rung's completions on a split."""
    write_jsonl(run.folder / "evaluation" / split / f"{name}.jsonl", completions)


def kept(run: Run, split: SplitName | Pinned, name: str) -> list[Completion]:
    """A rung's completions on a split."""
    return read_jsonl(run.folder / "evaluation" / split / f"{name}.jsonl", Completion)


def _evaluated(run: Run, made: Rung, answers: Answers, exam: Exam, parent: Scores | None) -> Evaluation:
    return evaluate_rung(made, answers.completions, exam, _cost(run, made, answers, exam.examples), parent)


def _cost(run: Run, made: Rung, answers: Answers, examples: Sequence[Example]) -> Callable[[Measured], Cost]:
    """How a rung's calls are priced."""

    def cost(measured: Measured) -> Cost:
        demand = Demand(run.workload.traffic.calls_per_year, measured.accuracy)
        if made.method != "prompt":
            machine = run.prices.machine(run.profile.machine)
            return owned_cost(machine, calls_per_hour(len(answers.completions), answers.seconds), demand)
        price = run.prices.model(run.workload.incumbent)
        if run.profile.prompting is not None:
            return api_cost(price, measured.input_tokens, measured.output_tokens, demand, measured=True)
        sent, told = listed_tokens(run, made.name, examples)
        return api_cost(price, sum(sent) / len(sent), sum(told) / len(told), demand)

    return cost


def listed_tokens(run: Run, prompt: str, examples: Sequence[Example]) -> tuple[list[float], list[float]]:
    """Tokens in and out of calls that nobody made, by the length of their texts.

    Not of what our model wrote: an API is priced for answers as long as the right ones.
    """
    asked, of_a_token = run.prompt(prompt), run.prices.characters_per_token
    sent = [sum(len(message.content) for message in asked.messages(example)) / of_a_token for example in examples]
    return sent, [len(example.reference) / of_a_token for example in examples]


def _tell(result: RungResult, tracker: Tracker) -> None:
    name = result.name
    numbers = {
        "accuracy": result.accuracy.value,
        "validity": result.validity.value,
        "scorer_errors": result.scorer_errors,
        "usd_per_year": result.cost.usd_per_year,
        "usd_per_1k_calls": result.cost.usd_per_1k_calls,
        "latency_ms_p50": result.latency_ms.p50,
        "latency_ms_p95": result.latency_ms.p95,
    }
    tracker.metrics({f"test/{key}/{name}": float(value) for key, value in numbers.items()})
    log.info("%s: %.1f %% right, %.1f %% valid.", name, 100 * result.accuracy.value, 100 * result.validity.value)
