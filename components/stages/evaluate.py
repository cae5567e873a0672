"""The stage `evaluate`: a line of the record for each rung, from its answers and their scores. Asks no model.

Decides what answers cost: an owned model by its measured throughput, the incumbent by the tokens of its prompt, of an
agent's by those of all its turns.
"""

from collections.abc import Callable, Sequence

from components.economics import Demand, api_cost, calls_per_hour, owned_cost
from components.evaluation import EvalSet, Measured, Scores, evaluate_rung, scores_in
from components.prompts import Prompt
from components.records import Cost, Example, Record, Rung, RungResult, Trajectory, read_record, write_record
from components.stages.answers import answered, completions_of, judged_of
from components.stages.run import Run
from components.tasks import demonstrated, under
from components.tracking import Tracker


class Evaluations(Record):
    """All rungs on the test split, in the order in which they climb; `contenders` also answered the sealed one.

    `incumbent` is the prompt that the workload would be answered by today, None where the ladder has none.
    """

    rungs: tuple[RungResult, ...]
    contenders: tuple[str, ...]
    incumbent: str | None


def evaluate(run: Run, _: Tracker) -> None:
    """Accuracy, validity, slices, latency and cost of each rung, beside the rung that it is compared with."""
    test = run.asked("test")
    measured_by = EvalSet(test, run.workload.output, run.workload.slices, run.seed)
    scores: dict[str, Scores] = {}
    results: list[RungResult] = []
    for planned in run.rungs:
        made, judged = run.rung(planned.name), judged_of(run, "test", planned.name)
        made = made.model_copy(update={"compared_with": run.resolved(made.compared_with)})
        answers = completions_of(run, "test", made.name), judged
        parent = scores.get(made.compared_with or "")
        result = evaluate_rung(made, answers, measured_by, _cost(run, made, test), parent)
        scores[made.name] = scores_in(judged)
        results.append(result)
    write_record(run.folder / "evaluation" / "evaluation.json", Evaluations(
        rungs=tuple(results),
        contenders=tuple(one.name for one in run.rungs if answered(run, one.name).contends),
        incumbent=incumbent(run),
    ))  # fmt: skip


def evaluated(run: Run) -> Evaluations:
    """What the stage wrote."""
    return read_record(run.folder / "evaluation" / "evaluation.json", Evaluations)


def incumbent(run: Run) -> str | None:
    """The prompt that was best on dev, of equals the most valid, of those the last; None where no rung is a prompt."""
    prompts = [made for made in run.made.values() if made.makes == "prompt"]
    best = max(reversed(prompts), key=lambda one: (one.dev_score or 0.0, one.dev_validity or 0.0), default=None)
    return best.name if best else None


def _cost(run: Run, made: Rung, examples: Sequence[Example]) -> Callable[[Measured], Cost]:
    """How a rung's calls are priced."""

    def cost(measured: Measured) -> Cost:
        demand = Demand(run.workload.traffic.calls_per_year, measured.accuracy)
        if made.makes != "prompt":
            machine, seconds = run.prices.machine(run.profile.machine), answered(run, made.name).seconds
            return owned_cost(machine, calls_per_hour(len(examples), seconds), demand)
        price = run.prices.model(run.workload.incumbent)
        if run.profile.prompting is not None:
            return api_cost(price, measured.input_tokens, measured.output_tokens, demand, measured=True)
        sent, told = listed_tokens(run, run.prompt_of(made), examples)
        return api_cost(price, sum(sent) / len(sent), sum(told) / len(told), demand)

    return cost


def listed_tokens(run: Run, asked: Prompt, examples: Sequence[Example]) -> tuple[list[float], list[float]]:
    """Tokens in and out of calls that nobody made, by the length of their texts.

    Not of what our model wrote: an API is priced for answers as long as the right ones, and for tries as the
    demonstrated ones, in which each turn is sent all that stands before it.
    """
    of_a_token = run.prices.characters_per_token
    if run.workload.agent is not None:
        tries = [under(asked.messages(example), demonstrated(example)) for example in examples]
        counted = [characters(attempt) for attempt in tries]
        return [sent / of_a_token for sent, _ in counted], [told / of_a_token for _, told in counted]
    sent = [sum(len(message.content) for message in asked.messages(example)) / of_a_token for example in examples]
    return sent, [len(example.reference) / of_a_token for example in examples]


def characters(attempt: Trajectory) -> tuple[int, int]:
    """Characters that are sent and told in a try: at each turn the tools and all messages before it are sent."""
    sent = told = 0
    before = sum(len(tool.model_dump_json()) for tool in attempt.tools)
    for message in attempt.messages:
        written = len(message.content) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
        if message.role == "assistant":
            sent, told = sent + before, told + written
        before += written
    return sent, told
