"""The release: approval, a canary beside the champion, then promotion or withdrawal, or it waits and says why."""

import logging
import time
from pathlib import Path

from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.cache_policies import NO_CACHE
from prefect.input import RunInput

from components.errors import RegistryError
from components.records import write_record
from components.registry import Version, promote, registered, withdraw
from components.serving import Keys
from components.stages.run import STATE, Run
from components.state import State, read_state
from flows.score import score
from monitoring.canary import Judged, judge
from monitoring.lake import Lake
from monitoring.sides import side
from monitoring.windows import HOUR_S, Stream

log = logging.getLogger(__name__)
LOOK_S = 15.0
SCORE_S = 300.0  # between two calls of the scorer, which reads new feedback
LOADED_S = 900.0  # until a server has surely loaded the canary: before that its silence means nothing


class Begun(State):
    """When a version became the canary, so that a release that waited goes on from what it has seen."""

    version: int
    since: float


class Approval(RunInput):
    """The form that a person fills in, in Prefect's pages."""

    approved: bool
    comment: str = ""


@flow(name="release", flow_run_name="{workload}")
def release(workload: str, profile: str = "nano") -> Judged:
    """Promote the version with the alias `canary`, unless a person says no or it turns out to be worse.

    Without a decision it stays the canary; called again, the release goes on from what it has seen.
    """
    run, version, champion = Run.of(workload, profile), registered(workload, "canary"), registered(workload)
    judged = interrupted(version, champion)
    if judged is None and needs_approval(run, Keys.read()):
        judged = refused(version)
    judged = judged or tried(run, version, champion, started(run, version))
    if judged.decision == "promoted":
        promote(workload, version.number)
    elif judged.decision == "withdrawn":
        withdraw(workload, "canary")
    if judged.decision != "waiting":
        begun_path(run).unlink(missing_ok=True)
    for reason in judged.reasons:
        get_run_logger().info("version %s %s: %s", version.number, judged.decision, reason)
    return judged


def interrupted(version: Version, champion: Version) -> Judged | None:
    """An earlier release's decision, if it ended after it made the canary champion and before its last step."""
    if version.number != champion.number:
        return None
    return Judged(decision="promoted", reasons=("An earlier release had made it champion, and was interrupted.",))


def needs_approval(run: Run, keys: Keys) -> bool:
    """Whether a person must approve: as the settings say or, without a setting, if anybody may correct answers."""
    wanted = run.retraining.release.approval
    return not keys.hashes if wanted is None else wanted


def refused(version: Version) -> Judged | None:
    """Ask a person; None if they approve."""
    said = pause_flow_run(wait_for_input=Approval.with_initial_data(description=f"Release version {version.number}?"))
    if said.approved:
        return None
    return Judged(decision="withdrawn", reasons=(f"Not approved: {said.comment or 'no comment'}.",))


def begun_path(run: Run) -> Path:
    """The file that says when the canary began, until there is a decision."""
    return STATE / "release" / f"{run.workload.name}.json"


def started(run: Run, version: Version) -> float:
    """When this version became the canary, in seconds since 1970; the first call is its start."""
    path = begun_path(run)
    begun = read_state(path, Begun)
    if begun is None or begun.version != version.number or begun.since > time.time():
        begun = Begun(version=version.number, since=time.time())
        write_record(path, begun)
    return begun.since


@task(name="canary", cache_policy=NO_CACHE)
def tried(run: Run, version: Version, champion: Version, since: float) -> Judged:
    """Compare the canary with the champion until there is a decision, or its time is up."""
    params, serving = run.retraining.release, run.workload.serving
    share = serving.routing.canary_share
    if not share:
        return Judged(decision="promoted", reasons=("No share of the traffic is a canary's (serving.routing).",))
    if endless := never_shown(run):
        return Judged(decision="waiting", reasons=(endless,))
    log.info(
        "Version %s is the canary: waiting for %s of its answers, at most %g hours.",
        version.number, params.canary_answers, params.canary_hours,
    )  # fmt: skip
    ends, scored, lake = time.time() + HOUR_S * params.canary_hours, 0.0, Lake.of(STATE / "lake")
    while True:
        now = time.time()
        if now > scored + SCORE_S or now > ends:
            rescored(run, (now - since) / HOUR_S)
            scored = now
        strangers, loaded = serving.routing.unit == "request", now > ends or now >= since + LOADED_S
        before, canary = (
            side(Stream(lake, run.workload.name, compared.number, serving.labelling), (since, now), strangers=strangers)
            for compared in (champion, version)
        )
        judged = judge(before, canary, params, share if loaded else 0.0, serving.labelling.complete)
        if judged.decision != "waiting" or now > ends:
            return judged
        time.sleep(LOOK_S)


def never_shown(run: Run) -> str | None:
    """Why no decision on a canary is possible, however long one waits; None if one is."""
    release, serving = run.retraining.release, run.workload.serving
    if serving.routing.canary_share == 1:
        return "serving.routing.canary_share is 1: nobody is left to ask the champion, which a canary is compared with."
    if release.judged_by == "right" and not serving.labelling.share:
        return (
            "serving.labelling.share is 0: no answers are drawn for labelling, which tell whether a canary is right; "
            "set it, or retraining.release.judged_by: valid."
        )
    return None


def rescored(run: Run, hours: float) -> None:
    """Score the answers of the last hours; scores that cannot be recorded now are recorded next time."""
    try:
        score(run.workload.name, run.profile.name, hours=hours)
    except RegistryError as error:
        log.warning("Scores are not recorded yet: %s", error)
