"""The watch: compares a window of production with what is usual for the champion; drift becomes an event.

For an agent's workload it compares conversations with tools, for others answers.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from components.models import folder_digest
from components.records import Observation, Trace, write_record
from components.registry import Version, open_run, reference_of, registered, whole
from components.stages.run import STATE, Run
from components.state import read_state
from monitoring import conversations
from monitoring.lake import Lake
from monitoring.reference import embedded, reference_vectors
from monitoring.tries import watch_tries
from monitoring.watch import Sides, Watched
from monitoring.watch import watch as compare
from monitoring.windows import HOUR_S, Stream, current_window, usual_window

DRIFT = "drift.detected"
WATCHED, PAGE = "watched.json", "drift.html"


@flow(name="watch", flow_run_name="{workload}")
def watch(workload: str, profile: str = "nano") -> Watched:
    """Look at the newest window; if it drifted, record it and emit `drift.detected`.

    Once for each look: if there is too little new, the last look is returned, and no event is emitted. A look after
    which that failed is made up for first.
    """
    run = Run.of(workload, profile)
    watched = look(run)
    return watched if watched.told else tell(run, watched)


def tell(run: Run, watched: Watched) -> Watched:
    """Record a judged look in MLflow and emit its drift; noted last, so that nothing is left out if this fails."""
    name, folder = run.workload.name, folder_of(run)
    record(run, watched, folder / PAGE)
    if watched.drifted:
        emit_event(
            DRIFT,
            resource={"prefect.resource.id": resource(name), "prefect.resource.name": name},
            payload={
                "workload": name,
                "profile": run.profile.name,
                "kind": "+".join(watched.kinds),
                "severity": watched.severity,
                "window": {"since": watched.since, "until": watched.until, "rows": watched.rows},
            },
        )
    told = watched.model_copy(update={"told": True})
    write_record(folder / WATCHED, told)
    return told


def resource(workload: str) -> str:
    """The id of a workload in Prefect's events."""
    return f"gradus.workload.{workload}"


def folder_of(run: Run) -> Path:
    """Where the last look at a workload is kept."""
    return STATE / "watch" / run.workload.name


@task(name="look", cache_policy=NO_CACHE)
def look(run: Run) -> Watched:
    """Compare the newest window with the champion's usual rows; writes to state/watch/.

    Returns the last look instead if there is too little new, or if that is not told yet.
    """
    name, folder = run.workload.name, folder_of(run)
    version, until = registered(name), time.time()
    page, last = folder / PAGE, read_state(folder / WATCHED, Watched)
    own = last if last is not None and last.version == version.number else None
    if own is not None and not own.told:
        return own
    hours, lake = (until - HOUR_S * run.watch.window_hours, until), Lake.of(STATE / "lake")
    began = own.began if own is not None and own.began else lake.first_answer(name, version.number)
    oldest = next((day for day, _ in lake.days(Trace, name)), 0.0)  # of weeks before, nothing is kept
    since = None if began is None else max(began, oldest)
    stream = Stream(lake, name, version.number, run.workload.serving.labelling, since)
    looked = own.looked if own is not None and own.looked <= until else 0.0
    if run.workload.agent is not None:
        talks = replace(conversations.sides(stream, hours, run.watch), looked=looked)
        watched, stale = watch_tries(talks, run.watch, page), talks.stale(run.watch)
    else:
        sides = replace(answers(run, version, stream, hours), looked=looked)
        if sides.enough(run.watch):
            sides = replace(sides, vectors=vectors_of(run, version, sides, folder))
        watched, stale = compare(sides, run.watch, page), sides.stale(run.watch)
    if last is not None and stale:
        return last  # nothing new to report
    watched = watched.model_copy(update={"began": began or 0.0, "told": not watched.judged})
    write_record(folder / WATCHED, watched)
    return watched


def answers(run: Run, version: Version, stream: Stream, hours: tuple[float, float]) -> Sides[Observation]:
    """A version's answers, and its usual ones: those of its first weeks or, while it is younger, those on the data."""
    window = current_window(stream, hours, run.watch.window_rows)
    weeks = usual_window(stream, hours, run.watch)
    usual = weeks if len(weeks) >= run.watch.min_rows else reference_of(version)
    return Sides(stream.workload, run.workload.output, usual, window, usual="weeks" if usual is weeks else "data")


def vectors_of(
    run: Run, version: Version, sides: Sides[Observation], kept: Path
) -> tuple[np.ndarray, np.ndarray] | None:
    """The embeddings of both sides' inputs, None if no local model can embed them; those of the data are cached."""
    model = embedding_model(run, version)
    if model is None:
        return None
    usual, now = sides.reference, embedded(model, sides.window.observations)
    if sides.usual == "weeks":
        return embedded(model, usual), now
    digest = version.digest if version.makes == "model" else folder_digest(model)
    return reference_vectors(model, digest, usual, kept), now


def embedding_model(run: Run, version: Version) -> Path | None:
    """The local model that embeds inputs to be compared; None if there is none."""
    if version.makes == "model":
        return whole(version).folder
    return run.base_model if version.makes == "prompt" and run.profile.prompting is None else None


def record(run: Run, watched: Watched, page: Path) -> None:
    """Record a look in MLflow: its numbers and, if something moved, the page."""
    tags = {
        "run": run.name,
        "stage": "watch",
        "version": str(watched.version),
        "drift": "+".join(watched.kinds) or "none",
    }
    with open_run(run.workload.name, f"{run.name}/watch", tags) as tracker:
        tracker.metrics({"watch/severity": watched.severity, "watch/rows": float(watched.rows)})
        tracker.artifact(page.with_name(WATCHED), "watch")
        if watched.drifted:
            tracker.artifact(page, "watch")
