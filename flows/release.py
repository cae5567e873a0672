"""The release: approval, a canary beside the champion, then champion or withdrawn."""

import time

from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.cache_policies import NO_CACHE
from prefect.input import RunInput

from components.registry import Version, promote, registered, withdraw
from components.stages.run import STATE, Run
from monitoring.canary import Judged, judge
from monitoring.lake import Lake
from monitoring.windows import Window, current_window

LOOK_S = 15.0
SECONDS_PER_HOUR = 3600


class Approval(RunInput):
    """The form that a person fills in, in Prefect's pages."""

    approved: bool
    comment: str = ""


@flow(name="release", flow_run_name="{workload}")
def release(workload: str, profile: str = "nano") -> Judged:
    """Let the version with the alias `canary` become champion, unless a person says no or it turns out to be worse."""
    run, version, champion = Run.load(f"{workload}-{profile}"), registered(workload, "canary"), registered(workload)
    refusal = refused(version) if run.retraining.release.approval else None
    found = refusal or tried(run, version, champion)
    if found.decision == "promoted":
        promote(workload, version.number)
    else:
        withdraw(workload, "canary")
    for reason in found.reasons:
        get_run_logger().info("version %s %s: %s", version.number, found.decision, reason)
    return found


def refused(version: Version) -> Judged | None:
    """Ask a person; None where they approve."""
    said = pause_flow_run(wait_for_input=Approval.with_initial_data(description=f"Release version {version.number}?"))
    if said.approved:
        return None
    return Judged(decision="withdrawn", reasons=(f"Not approved: {said.comment or 'no comment'}.",))


@task(name="canary", cache_policy=NO_CACHE)
def tried(run: Run, version: Version, champion: Version) -> Judged:
    """Wait for the canary's answers, and compare them with the champion's of the same time."""
    name, params, started = run.workload.name, run.retraining.release, time.time()
    if not run.workload.serving.routing.canary_share:
        return Judged(decision="promoted", reasons=("No share of the traffic is a canary's (serving.routing).",))
    lake, ends = Lake(STATE / "lake"), started + SECONDS_PER_HOUR * params.canary_hours

    def answers(number: int) -> Window:
        return current_window(lake, name, number, (started, time.time()), 100_000)

    while answers(version.number).total < params.canary_answers and time.time() < ends:
        time.sleep(LOOK_S)
    return judge(answers(champion.number).observations, answers(version.number).observations, params.alpha)
