"""The stage `evaluate`: each rung's result, from its answers and their scores. Calls no model.

Decides what answers cost: those of an owned model by its measured throughput, the incumbent's by the tokens of its
prompt, for an agent by those of all its turns.
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
    """All rungs on the test split, in the ladder's order; `contenders` also answered the sealed split.

    `incumbent` is the prompt that would answer the workload today, None if the ladder has none.
    """

    rungs: tuple[RungResult, ...]
    contenders: tuple[str, ...]
    incumbent: str | None


def evaluate(run: Run, _: Tracker) -> None:
    """Write accuracy, validity, slices, latency and cost of each rung, and its comparison with another."""
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
        contenders=tuple(rung.name for rung in run.rungs if answered(run, rung.name).contends),
        incumbent=incumbent(run),
    ))  # fmt: skip


def evaluated(run: Run) -> Evaluations:
    """The stage's output."""
    return read_record(run.folder / "evaluation" / "evaluation.json", Evaluations)


def incumbent(run: Run) -> str | None:
    """The best prompt on dev, ties broken by validity, then by being later; None if no rung is a prompt."""
    prompts = [made for made in run.made.values() if made.makes == "prompt"]
    best = max(
        reversed(prompts),
        key=lambda made_rung: (made_rung.dev_score or 0.0, made_rung.dev_validity or 0.0),
        default=None,
    )
    return best.name if best else None


def _cost(run: Run, made: Rung, examples: Sequence[Example]) -> Callable[[Measured], Cost]:
    """A function that prices a rung's calls."""

    def cost(measured: Measured) -> Cost:
        own_machine = run.workload.economics.own_machine
        demand = Demand(run.workload.traffic.calls_per_year, measured.accuracy, own_machine)
        if made.makes != "prompt":
            machine = run.prices.machine(run.profile.machine)
            return owned_cost(machine, throughput(run, made.name, len(examples)), demand)
        price = run.prices.model(run.workload.incumbent)
        if run.profile.prompting is not None:
            return api_cost(price, measured.input_tokens, measured.output_tokens, demand, measured=True)
        sent, out = listed_tokens(run, run.prompt_of(made), examples)
        return api_cost(price, sum(sent) / len(sent), sum(out) / len(out), demand)

    return cost


def throughput(run: Run, name: str, calls: int) -> float:
    """The calls that an owned rung answers in a busy hour, from the time that so many answers to test took."""
    return calls_per_hour(calls, answered(run, name).seconds)


def listed_tokens(run: Run, asked: Prompt, examples: Sequence[Example]) -> tuple[list[float], list[float]]:
    """Input and output tokens of hypothetical API calls, estimated from the length of their texts.

    Not from what our model wrote: answers are taken to be as long as the right ones, tries as the demonstrated ones,
    where each turn is sent everything before it.
    """
    of_a_token = run.prices.characters_per_token
    if run.workload.agent is not None:
        tries = [under(asked.messages(example), demonstrated(example)) for example in examples]
        counted = [characters(attempt) for attempt in tries]
        return [sent / of_a_token for sent, _ in counted], [out / of_a_token for _, out in counted]
    sent = [sum(len(message.content) for message in asked.messages(example)) / of_a_token for example in examples]
    return sent, [len(example.reference) / of_a_token for example in examples]


def characters(attempt: Trajectory) -> tuple[int, int]:
    """Input and output characters of a try: each turn is sent the tools and all earlier messages."""
    sent = out = 0
    before = sum(len(tool.model_dump_json()) for tool in attempt.tools)
    for message in attempt.messages:
        written = len(message.content) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
        if message.role == "assistant":
            sent, out = sent + before, out + written
        before += written
    return sent, out
