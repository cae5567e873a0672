"""The retraining: production's right answers → a new data version → the ladder → the gate → a release."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client

from components.data.harvest import Candidate, Harvested, answering, harvest
from components.data.opinions import taught
from components.data.versions import DataVersion, Origin, earlier_harvests, new_version, refuse_changes
from components.errors import ServiceError
from components.params import SPLITS, SplitName
from components.records import Example, Record, read_record, write_record
from components.registry import aliases, examples_asked_for, open_run, registered, tracking_uri
from components.serving import forgotten_in
from components.stages.command import alone
from components.stages.gate import GateRecord
from components.stages.publish import Published
from components.stages.run import STATE, Run
from components.state import State, read_state
from flows.release import release
from flows.score import score
from flows.serve import FORGOTTEN
from monitoring.canary import Judged
from monitoring.candidates import Terms, candidates, obeying
from monitoring.lake import Lake
from monitoring.opinions import opinions
from monitoring.right_tries import Asked, began_with, right_tries
from monitoring.watch import Watched
from monitoring.windows import HOUR_S

BY_HAND = "by hand"
MOST_REFUSED_TOLD = 20
Known = Mapping[SplitName, Sequence[Example]]


class Retrained(State):
    """The result of a retraining; `outcome` is a sentence. `ended` is None until it ends, and in earlier records."""

    workload: str
    reason: str
    started: float
    outcome: str
    examples: int = 0
    branch: str = ""
    version: int | None = None
    ended: float | None = None

    @property
    def until(self) -> float:
        """Until when it is known to have gone on, in seconds since 1970."""
        return self.started if self.ended is None else self.ended


@flow(name="retrain", flow_run_name="{workload}")
def retrain(workload: str, profile: str = "nano", reason: str = BY_HAND) -> Retrained:
    """Train a candidate with production's right answers, and release it if the gate agrees."""
    run, started = Run.of(workload, profile), time.time()
    with alone(f"{workload}-retrain"):
        if why := held_up(run, reason, started):
            return told(run, Retrained(workload=workload, reason=reason, started=started, outcome=why))
        score(workload, profile, hours=run.retraining.harvest.window_hours)
        origin = Origin(registered(workload).git_commit, run.retraining.push)
        known, what = known_at(run, origin), "answers" if run.workload.agent is None else "tries"
        harvested = gather(run, known, started)
        if len(harvested) < (least := run.retraining.harvest.min_examples):
            return told(run, Retrained(
                workload=workload, reason=reason, started=started, examples=len(harvested),
                outcome=f"Expected at least {least} right {what} to learn from, found {len(harvested)}.",
            ))  # fmt: skip
        refuse_changes(Path.cwd())
        begun = Retrained(
            workload=workload, reason=reason, started=started, examples=len(harvested), outcome="It has not ended."
        )
        return told(run, climbed(run, begun, lambda: version_data(run, harvested, known, origin, started)))


def climbed(run: Run, begun: Retrained, version: Callable[[], DataVersion]) -> Retrained:
    """Make a data version, climb with it and release the winner; the result.

    Recorded from the start to the end, also of what fails, so that drift does not start the same again at once.
    """
    write_record(record_path(run), begun)
    result = begun.model_copy(update={"outcome": "It failed."})
    try:
        data = version()
        begun, result = (record.model_copy(update={"branch": data.branch}) for record in (begun, result))
        write_record(record_path(run), begun)
        gate, made = climb_in(data.folder, run)
        judged = release(run.workload.name, run.profile.name) if made.alias == "candidate" else None
        last = judged.reasons if judged else gate.verdicts[-1].reasons
        outcome = f"{ending(made, judged)}: {' '.join(last)}"
        result = result.model_copy(update={"outcome": outcome, "version": made.version})
    finally:
        result = result.model_copy(update={"ended": time.time()})
        write_record(record_path(run), result)
    return result


def ending(made: Published, judged: Judged | None) -> str:
    """Which version answers after the retraining, in words."""
    if made.alias is None or (judged is not None and judged.decision == "withdrawn"):
        return "The old champion stays"
    waits = judged is not None and judged.decision == "waiting"
    return f"Version {made.version} {'waits' if waits else 'is champion'}"


def held_up(run: Run, reason: str, now: float) -> str | None:
    """Why drift may not start a retraining; None if it may, or if a person starts one.

    A version that waits for its release would make way for another one, and what is known of it would be lost.
    """
    if reason == BY_HAND:
        return None
    if wait_h := cooling_h(run, reason, now):
        return f"Cooling down for {wait_h:.1f} h more."
    name, named = run.workload.name, aliases(run.workload.name)
    waiting = next((alias for alias in ("candidate", "canary") if alias in named), None)
    return waiting and f"Version {named[waiting]}, the {waiting}, waits for its release (gradus release {name})."


def cooling_h(run: Run, reason: str, now: float) -> float:
    """Hours until drift may start a retraining again; 0 for one that a person starts."""
    last = None if reason == BY_HAND else read_state(record_path(run), Retrained)
    if last is None or last.until > now:  # the clock was set back, so that nobody knows how long ago that was
        return 0.0
    return max(0.0, run.retraining.cooldown_hours - (now - last.until) / HOUR_S)


def record_path(run: Run) -> Path:
    """The file with the last retraining that had enough answers to learn from."""
    return STATE / "retrain" / f"{run.workload.name}.json"


def told(run: Run, retrained: Retrained) -> Retrained:
    """Tell the log and MLflow the result of a retraining; returns it."""
    get_run_logger().info(retrained.outcome)
    tags = {
        "run": run.name,
        "stage": "retrain",
        "reason": retrained.reason,
        "branch": retrained.branch,
        "outcome": retrained.outcome,
    }
    with open_run(run.workload.name, f"{run.name}/retrain", tags) as tracker:
        tracker.metrics({"retrain/examples": float(retrained.examples)})
    return retrained


def known_at(run: Run, origin: Origin) -> Known:
    """The source's examples, and those of the harvests that the next data version or the champion's begins with.

    The project itself does not have the harvests, which are on the branches of earlier retrainings.
    """
    earlier = earlier_harvests(Path.cwd(), run.workload.name, replace(origin, forgotten=forgotten()))
    return {
        split: [*run.examples(split), *(line.example for line in earlier if line.split == split)] for split in SPLITS
    }


def forgotten() -> Callable[[str], bool]:
    """Whether an example of production is forgotten by now, by its trace's id; a further try goes with its request."""
    noted = forgotten_in(FORGOTTEN)
    return lambda name: noted(name) or noted(began_with(name))


@task(name="harvest", cache_policy=NO_CACHE)
def gather(run: Run, known: Known, now: float) -> list[Harvested]:
    """Production's right answers that are new to the data: in none of its splits, and none twice."""
    name, params = run.workload.name, run.retraining.harvest
    since = now - HOUR_S * params.window_hours
    watched = STATE / "watch" / name / "watched.json"
    seen = read_state(watched, Watched)
    moved = [] if seen is None else [shift.slice for shift in seen.slices]
    lake = Lake.of(STATE / "lake")
    terms = Terms(params.min_score, moved, run.workload.output, run.workload.serving.labelling)
    if run.workload.agent is None:
        right = obeying(candidates(lake, name, since, terms), run.workload.output)
    else:
        right = tries(run, lake, since, terms)
    every = [example for examples in known.values() for example in examples]
    names = {example.id for example in every}
    drawn = sum(candidate.drawn and candidate.name not in names for candidate in right)
    params = answering(params, examples_asked_for(name), drawn)
    return harvest(right, every, run.workload.validation.near_duplicate_similarity, params)


def tries(run: Run, lake: Lake, since: float, terms: Terms) -> Sequence[Candidate]:
    """An agent's right conversations; those that cannot be learnt from are logged, with why."""
    names = dict.fromkeys((run.workload.trained_prompt, *run.workload.prompts))
    asked = Asked([run.prompt(name) for name in names], run.columns)
    right, logger = right_tries(lake, run.workload.name, since, terms, asked), get_run_logger()
    for why in right.refused[:MOST_REFUSED_TOLD]:
        logger.warning("Left out: %s.", why)
    if (more := len(right.refused) - MOST_REFUSED_TOLD) > 0:
        logger.warning("Left out as well: %d tries.", more)
    return right.candidates


@task(name="data version", cache_policy=NO_CACHE)
def version_data(run: Run, harvested: list[Harvested], known: Known, origin: Origin, now: float) -> DataVersion:
    """A new data version: a commit on a branch of its own, checked out under state/retrain/.

    What is forgotten by now is in none of its harvests, though the lake or an earlier version had it.
    """
    name = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    said = feedback(run, harvested, known, now)
    origin = replace(origin, forgotten=forgotten())
    return new_version(Path.cwd(), run.workload.name, harvested, name, origin, said)


def feedback(run: Run, harvested: list[Harvested], known: Known, now: float) -> dict[str, list[Record]]:
    """Production's preferences and thumbs, except on inputs that rungs are judged by, before or after this harvest.

    None for an agent: feedback on its turns is not an opinion on answers.
    """
    if run.workload.agent is not None:
        return {}
    params, name = run.retraining.harvest, run.workload.name
    terms = Terms(params.min_score, schema=run.workload.output, labelling=run.workload.serving.labelling)
    said = opinions(Lake.of(STATE / "lake"), name, now - HOUR_S * params.window_hours, terms)
    judged = [example for split, examples in known.items() if split != "train" for example in examples]
    judged += [line.example for line in harvested if line.split != "train"]
    similarity = run.workload.validation.near_duplicate_similarity
    return taught(said, judged, similarity, params.most_by_sender)


@task(name="ladder", cache_policy=NO_CACHE)
def climb_in(folder: Path, run: Run) -> tuple[GateRecord, Published]:
    """`gradus run` in the checked-out branch, with this project's record; its winner becomes the candidate."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": tracking_uri(),
        "PREFECT_API_URL": str(get_client(sync_client=True).api_url),
        "PYTHONPATH": str(folder),
    }
    command = [sys.executable, "-m", "flows.cli", "run", run.workload.name, "--profile", run.profile.name]
    command += ["--ladder", run.ladder, "--alias", "candidate"]
    if code := subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise ServiceError(f"expected the ladder to be climbed, found that it ended with code {code} ({folder})")
    gate, made = folder / run.folder / "gate" / "gate.json", folder / run.folder / "published.json"
    return read_record(gate, GateRecord), read_record(made, Published)
