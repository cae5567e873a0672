"""The release: approval, a canary beside the champion, then champion or withdrawn."""

import logging
import time

from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.cache_policies import NO_CACHE
from prefect.input import RunInput

from components.registry import Version, promote, registered, withdraw
from components.serving import Keys
from components.stages.run import STATE, Run
from flows.score import score
from monitoring.canary import Judged, judge
from monitoring.lake import Lake
from monitoring.windows import HOUR_S, Window, current_window

log = logging.getLogger(__name__)
LOOK_S = 15.0
MOST_ANSWERS = 20_000  # of each side; of more, a sample


class Approval(RunInput):
    """The form that a person fills in, in Prefect's pages."""

    approved: bool
    comment: str = ""


@flow(name="release", flow_run_name="{workload}")
def release(workload: str, profile: str = "nano") -> Judged:
    """Let the version with the alias `canary` become champion, unless a person says no or it turns out to be worse."""
    run, version, champion = Run.of(workload, profile), registered(workload, "canary"), registered(workload)
    found = refused(version) if needs_approval(run, Keys.read()) else None
    if found is None:
        started = time.time()
        await_answers(run, version, started)
        score(workload, profile, hours=(time.time() - started) / HOUR_S)
        found = compared(run, version, champion, started)
    if found.decision == "promoted":
        promote(workload, version.number)
    else:
        withdraw(workload, "canary")
    for reason in found.reasons:
        get_run_logger().info("version %s %s: %s", version.number, found.decision, reason)
    return found


def needs_approval(run: Run, keys: Keys) -> bool:
    """Whether a person has to say yes: as the settings have it, and where anybody may correct answers."""
    wanted = run.retraining.release.approval
    return not keys.hashes if wanted is None else wanted


def refused(version: Version) -> Judged | None:
    """Ask a person; None where they approve."""
    said = pause_flow_run(wait_for_input=Approval.with_initial_data(description=f"Release version {version.number}?"))
    if said.approved:
        return None
    return Judged(decision="withdrawn", reasons=(f"Not approved: {said.comment or 'no comment'}.",))


@task(name="canary", cache_policy=NO_CACHE)
def await_answers(run: Run, version: Version, started: float) -> None:
    """Wait until the canary has given enough answers, or has had its time; not at all where it gets no requests."""
    params = run.retraining.release
    if not run.workload.serving.routing.canary_share:
        return
    log.info(
        "Version %s is the canary: waiting for %s of its answers, at most %g hours.",
        version.number, params.canary_answers, params.canary_hours,
    )  # fmt: skip
    while answers(run, version, started).total < params.canary_answers:
        if time.time() > started + HOUR_S * params.canary_hours:
            return
        time.sleep(LOOK_S)


@task(name="compare", cache_policy=NO_CACHE)
def compared(run: Run, version: Version, champion: Version, started: float) -> Judged:
    """The canary's answers against the champion's of the same time."""
    if not run.workload.serving.routing.canary_share:
        return Judged(decision="promoted", reasons=("No share of the traffic is a canary's (serving.routing).",))
    before, now = (answers(run, one, started).observations for one in (champion, version))
    return judge(before, now, run.retraining.release.alpha)


def answers(run: Run, version: Version, since: float) -> Window:
    """What callers got from a version since a time."""
    return current_window(Lake(STATE / "lake"), run.workload.name, version.number, (since, time.time()), MOST_ANSWERS)
