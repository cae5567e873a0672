"""What a run's advice may use besides demonstrations and a scorer, and what rungs would take on this machine.

Looks for what is available, tries examples in the prompt once, and estimates costs from measurements on this machine.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from components.advice import AtHand, Feedback, Rung, Shown, Standing, Takes, Teacher
from components.advice.ways import COSTS
from components.data.opinions import LOGS, PREFERENCES, THUMBS
from components.economics import SECONDS_PER_HOUR, Case
from components.evaluation.metrics import wilson
from components.evaluation.off_policy import Limits, off_policy
from components.evaluation.paired import mean_of
from components.ladder import PlannedRung
from components.methods import ADVISED, advised_as, method_of
from components.methods.weighted_sft import WeightedSftParams, log_weights_of
from components.params import GeneratedSource, LadderParams, load
from components.records import (
    AnyRecord,
    Example,
    Logged,
    Preference,
    Thumb,
    read_jsonl,
    read_record,
    write_record,
)
from components.stages.evaluate import incumbent, listed_tokens
from components.stages.run import LADDERS, STATE, Run, digest
from components.stages.rungs import feedback_files, job_of
from components.tracking import NullTracker

Named = dict[Rung, tuple[str, dict[str, Any]]]
FIRST = ("standard", "feedback")  # the pairs of the latter are people's, as in the advice
UPDATES = 2.0  # RL takes about as long for its updates as for its rollouts (triage on two cores)
LONG_PROMPT = 1.5  # times the tokens of the trained models' prompt
# Rungs that draw their own answers, and rungs that train on all demonstrations.
DRAWING: tuple[Rung, ...] = ("rejection_sampling", "reward", "judged_grpo", "on_policy_distillation")
TRAINING: tuple[Rung, ...] = ("imitate", "relabel", "synthetic", "label", "teacher_answers", "rejection_sampling")


@dataclass(frozen=True)
class Speed:
    """Measured on this machine: answers an hour, and the seconds of a training on all demonstrations.

    `usd_setup` is people's work for the first owned model, `teacher_usd` the price of one teacher's answer.
    """

    calls_per_hour: float
    training_seconds: float
    usd_setup: float = 0.0
    teacher_usd: float = 0.0


def at_hand(run: Run, standing: Standing, feedback: Feedback, speed: Speed | None) -> AtHand:
    """Everything that advice may use."""
    api, named = run.profile.prompting is not None, _named()
    return AtHand(
        shown=shown(run, standing) if run.advice.try_examples and standing.makes == "prompt" else None,
        reflects=api,
        teacher=teacher(run, standing) if api else None,
        invents=isinstance(run.workload.source, GeneratedSource),
        takes=takes(run, speed, feedback, named) if speed else {},
        ladders={rung: ladder for rung, (ladder, _) in named.items()},
        usd_per_point=worth(run),
    )


def worth(run: Run) -> float | None:
    """The value of a point of accuracy over the horizon, in US dollars; None if no price of errors is declared."""
    economics = run.workload.economics
    calls = run.workload.traffic.calls_per_year * economics.horizon_years
    return economics.usd_per_error * calls / 100 or None


def shown(run: Run, standing: Standing) -> Shown:
    """The best prompt with the most similar train examples, scored once on as much of dev as other prompts."""
    made = run.rung(standing.name)
    method = method_of("few_shot")
    settings = method.params.model_validate({"dev_examples": run.profile.dev_examples})
    planned = PlannedRung("shown", "few_shot", settings, None, None)
    answers = (run.profile.model, run.profile.engine, run.profile.prompting or "", run.workload.incumbent)
    key = digest(
        settings, *answers, run.workload.scorer, run.prompt_of(made).version, run.data_version, run.seed
    )  # fmt: skip
    folder = STATE / "advice" / run.name
    path = folder / f"examples-{key}.json"
    if not path.is_file():
        out = folder / "shown"
        job = replace(job_of(run, planned), start=run.artifact(made), out=out, work=folder / "work")
        tried = planned.make(job, NullTracker())
        shutil.rmtree(out, ignore_errors=True)
        n = tried.dev_examples
        write_record(path, Shown(accuracy=wilson(round(tried.dev_score * n), n), n=n))
    return read_record(path, Shown)


def teacher(run: Run, standing: Standing) -> Teacher | None:
    """The API's model with the best prompt, as a possible teacher."""
    best = incumbent(run)
    made = run.rung(best) if best else None
    if made is None or made.dev_score is None:
        return None
    n = made.dev_examples
    return Teacher(
        name=run.workload.incumbent, accuracy=wilson(round(made.dev_score * n), n), n=n,
        inputs=len(run.examples("train")), stands=standing.name == made.name,
    )  # fmt: skip


def feedback_of(run: Run) -> Feedback:
    """How much feedback there is, and what scored logs promise."""

    def lines(kind: str, record: type[AnyRecord]) -> list[AnyRecord]:
        files = (path for path in feedback_files(run, kind) if path.is_file())
        return [line for path in files for line in read_jsonl(path, record)]

    thumbs, logs = lines(THUMBS, Thumb), lines(LOGS, Logged)
    return log_evidence(logs).model_copy(update={
        "pairs": len(lines(PREFERENCES, Preference)),
        "good": sum(thumb.good for thumb in thumbs),
        "bad": sum(not thumb.good for thumb in thumbs),
    })  # fmt: skip


def log_evidence(logs: list[Logged]) -> Feedback:
    """Evidence from scored logs: their mean score, and the estimated score of the policy that their weights favour."""
    scores = [answer.score for answer in logs]
    counted = Feedback(logs=len(logs), uneven_logs=len(set(scores)) > 1)
    if len(logs) < 2 or not counted.uneven_logs:
        return counted
    params = WeightedSftParams.model_construct()  # only for its default weighting
    blank = Example(id="", input={}, demonstration="", reference="", group="")
    limits = Limits(float("inf"), params.least_effective, params.least_answers)
    estimate = off_policy(scores, log_weights_of([(blank, answer) for answer in logs], params), limits)
    mean = mean_of(np.array(scores), None, (0.0, 1.0))
    update = {"logged": mean, "leans": estimate.value, "effective": estimate.effective, "silent": estimate.silent}
    return counted.model_copy(update=update)


def shortening(run: Run, standing: Standing, dev: list[Example], calls_per_hour: float | None) -> Case | None:
    """The cost of an owned model's long prompt against the short, trained one's.

    None if an API answers prompts, if no prompt stands, or if it is not long. Assumes that time is proportional to
    tokens.
    """
    if run.profile.prompting is not None or standing.makes != "prompt" or calls_per_hour is None:
        return None
    machine, economics = run.prices.machine(run.profile.machine), run.workload.economics
    (long, answered), (short, _) = (
        listed_tokens(run, prompt, dev) for prompt in (run.prompt_of(run.rung(standing.name)), run.trained_prompt)
    )
    if sum(long) < LONG_PROMPT * sum(short):
        return None
    owned = machine.usd_per_hour / (calls_per_hour * machine.utilisation)
    around_the_clock = machine.usd_per_hour if economics.own_machine else 0.0  # of one machine, under either prompt
    return Case(
        incumbent_usd=owned * (sum(long) + sum(answered)) / (sum(short) + sum(answered)),
        owned_usd=owned,
        calls_per_year=float(run.workload.traffic.calls_per_year),
        growth_per_year=run.workload.traffic.growth_per_year,
        investment_usd=economics.usd_setup,
        machine_usd_per_hour=around_the_clock,
        incumbent_usd_per_hour=around_the_clock,
        usd_per_error=economics.usd_per_error,
    )


def takes(run: Run, speed: Speed, feedback: Feedback, named: Named) -> dict[Rung, Takes]:
    """What rungs would take: draws at the measured speed of answers, trainings at that of trials, teachers' prices."""
    machine, n = run.prices.machine(run.profile.machine), max(1, len(run.examples("train")))
    seconds: dict[Rung, float] = {rung: speed.training_seconds for rung in TRAINING}
    opinions: dict[Rung, int] = {
        "pairs": 2 * feedback.pairs,
        "thumbs": feedback.good + feedback.bad,
        "weighted_sft": feedback.logs,
    }
    seconds |= {rung: speed.training_seconds * count / n for rung, count in opinions.items() if count}
    for rung in DRAWING:
        draws = drawn(_settings(run, rung, named))
        if draws:
            asked = draws / speed.calls_per_hour * SECONDS_PER_HOUR
            seconds[rung] = seconds[rung] + asked if rung in TRAINING else UPDATES * asked
    usd = {rung: machine.usd(taken) + speed.usd_setup for rung, taken in seconds.items()}
    usd["label"] += run.workload.economics.usd_per_label * n
    usd["teacher_answers"] += speed.teacher_usd * n
    return {rung: Takes(seconds=taken, usd=usd[rung]) for rung, taken in seconds.items()}


def draws_of(run: Run, rung: Rung) -> int:
    """How many answers a rung draws by its settings on the profile; 0 where they do not say."""
    return drawn(_settings(run, rung, _named()))


def drawn(settings: Mapping[str, Any]) -> int:
    """How many answers a method draws by its settings, before training or at every step."""
    each = settings.get("generations", 1)
    if "sampled_prompts" in settings:
        return settings["sampled_prompts"] * each
    return settings.get("steps", 0) * settings.get("prompts_per_step", 0) * each


def _settings(run: Run, rung: Rung, named: Named) -> dict[str, Any]:
    """A method's settings on the profile, with the changes of the ladder that has it."""
    name = ADVISED.get(rung, rung)
    method, given = method_of(name), run.profile.methods
    usual = {key: field.default for key, field in method.params.model_fields.items() if not field.is_required()}
    _, own = named.get(rung, ("", {}))
    return {**usual, **given.get(getattr(method, "inherits", ""), {}), **given.get(name, {}), **own}


def _named() -> Named:
    """Rung → a ladder that has its method, preferably one of `FIRST`, and the settings there."""
    ladders = {path.stem: load(path, LadderParams) for path in sorted(LADDERS.glob("*.yaml"))}
    ladder_of = dict[str, tuple[str, dict[str, Any]]]()
    for name in sorted(ladders, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        for params in ladders[name].rungs.values():
            ladder_of.setdefault(advised_as(params), (name, params.settings))
    return {rung: ladder_of[rung] for rung in COSTS if rung in ladder_of}
