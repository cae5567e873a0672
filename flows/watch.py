"""The watch: a window of production against what is usual of the champion; what moved becomes an event.

Of an agent's workload conversations with tools are compared, of others answers.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from components.records import Observation, write_record
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


@flow(name="watch", flow_run_name="{workload}")
def watch(workload: str, profile: str = "nano") -> Watched:
    """Look at the newest window; where it drifted, record it and emit `drift.detected`.

    Once for each look: one that has nothing new to tell gives the last one's findings.
    """
    run, began = Run.of(workload, profile), time.time()
    found = look(run)
    if found.drifted and found.until >= began:
        emit_event(
            DRIFT,
            resource={"prefect.resource.id": resource(workload), "prefect.resource.name": workload},
            payload={
                "workload": workload,
                "profile": profile,
                "kind": "+".join(found.kinds),
                "severity": found.severity,
                "window": {"since": found.since, "until": found.until, "rows": found.rows},
            },
        )
    return found


def resource(workload: str) -> str:
    """The name by which Prefect's events speak of a workload."""
    return f"gradus.workload.{workload}"


@task(name="look", cache_policy=NO_CACHE)
def look(run: Run) -> Watched:
    """Compare the newest window with the champion's reference; both are written to state/watch/ and to the record."""
    name, folder = run.workload.name, STATE / "watch" / run.workload.name
    version, until = registered(name), time.time()
    hours = until - HOUR_S * run.watch.window_hours, until
    stream = Stream(Lake.of(STATE / "lake"), name, version.number, run.workload.serving.labelling)
    page, last = folder / "drift.html", read_state(folder / "watched.json", Watched)
    looked = last.looked if last is not None and last.version == version.number and last.looked <= until else 0.0
    if run.workload.agent is not None:
        talks = replace(conversations.sides(stream, hours, run.watch), looked=looked)
        found, stale = watch_tries(talks, run.watch, page), talks.stale(run.watch)
    else:
        sides = replace(answers(run, version, stream, hours), looked=looked)
        if sides.enough(run.watch):
            sides = replace(sides, vectors=vectors_of(run, version, sides, folder / str(version.number)))
        found, stale = compare(sides, run.watch, page), sides.stale(run.watch)
    if last is not None and stale:
        return last  # nothing new to be told of it
    write_record(folder / "watched.json", found)
    if found.judged:
        record(run, found, page)
    return found


def answers(run: Run, version: Version, stream: Stream, hours: tuple[float, float]) -> Sides[Observation]:
    """What a version answers, beside its first weeks, or until it is so old, what it answered on the data."""
    window = current_window(stream, hours, run.watch.window_rows)
    weeks = usual_window(stream, hours, run.watch.window_rows, run.watch.weeks)
    usual = weeks if len(weeks) >= run.watch.min_rows else reference_of(version)
    return Sides(stream.workload, run.workload.output, usual, window, usual="weeks" if usual is weeks else "data")


def vectors_of(
    run: Run, version: Version, sides: Sides[Observation], kept: Path
) -> tuple[np.ndarray, np.ndarray] | None:
    """The embeddings of both sides' inputs, if anything can embed them; those of the version's data are kept."""
    model = embedding_model(run, version)
    if model is None:
        return None
    usual = sides.reference
    before = embedded(model, usual) if sides.usual == "weeks" else reference_vectors(model, usual, kept)
    return before, embedded(model, sides.window.observations)


def embedding_model(run: Run, version: Version) -> Path | None:
    """The local model whose embeddings inputs are compared in; None where there is none to ask."""
    if version.makes == "model":
        return whole(version).folder
    return run.base_model if version.makes == "prompt" and run.profile.prompting is None else None


def record(run: Run, found: Watched, page: Path) -> None:
    """Keep a look in MLflow: its numbers, and where something moved, the page."""
    tags = {"run": run.name, "stage": "watch", "version": str(found.version), "drift": "+".join(found.kinds) or "none"}
    with open_run(run.workload.name, f"{run.name}/watch", tags) as tracker:
        tracker.metrics({"watch/severity": found.severity, "watch/rows": float(found.rows)})
        tracker.artifact(page.with_name("watched.json"), "watch")
        if found.drifted:
            tracker.artifact(page, "watch")
