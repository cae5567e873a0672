"""The release: approval, a canary beside the champion, then promotion or withdrawal, or it waits and says why.

A candidate answers nobody; it becomes the canary once it is approved, or at once where nobody is asked. People and
other releases may move aliases while this one waits, so that it looks again before it moves any.
"""

import logging
import math
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from uuid import UUID

import httpx
import typer
from prefect import flow, get_run_logger, pause_flow_run, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.settings import get_current_settings

from components.errors import GradusError
from components.records import write_record
from components.registry import Version, aliases, make_canary, promote, registered, registered_if_any, withdraw
from components.serving import Keys
from components.stages.judging import judge_of
from components.stages.run import STATE, Run
from components.state import State, read_state
from flows.score import asks_judge, score
from monitoring.canary import Judged, judge
from monitoring.lake import Lake
from monitoring.sides import side
from monitoring.windows import HOUR_S, Stream

log = logging.getLogger(__name__)
YES, NO, LATER = "yes", "no", "later"  # what a person may type
LOOK_S = 15.0
SCORE_S = 300.0  # between two calls of the scorer, which reads new feedback
LOADED_S = 900.0  # until a server has surely loaded the canary: before that its silence means nothing
ELSEWHERE_S = 60.0  # between two looks whether others have decided what Prefect's pages ask
PASSING = (GradusError, OSError, httpx.HTTPError)  # what may be over by the next look


class Begun(State):
    """Since when a version is the canary beside this champion, for a release that goes on from what it has seen.

    `champion` is 0, which none is, in earlier records.
    """

    version: int
    since: float
    champion: int = 0


class Approval(RunInput):
    """A person's word: the form that Prefect's pages show, or an answer on the terminal."""

    approved: bool
    comment: str = ""


@flow(name="release", flow_run_name="{workload}")
def release(workload: str, profile: str = "nano") -> Judged:
    """Promote the candidate or, without one, the canary, unless a person says no or it turns out to be worse.

    Without a decision it stays what it is; called again, the release goes on from what it has seen.
    """
    version = registered_if_any(workload, "candidate") or registered(workload, "canary")
    run, champion = Run.of(workload, profile), registered(workload)
    judged = interrupted(version, champion) or decided(run, version, champion)
    if late := overtaken(workload, version, champion):
        judged = late
    elif judged.decision == "promoted":
        promote(workload, version.number)
    elif judged.decision == "withdrawn":
        withdraw(workload, version.number)
    if judged.decision != "waiting" and begun(run, version):
        begun_path(run).unlink(missing_ok=True)
    for reason in judged.reasons:
        get_run_logger().info("version %s %s: %s", version.number, judged.decision, reason)
    return judged


def decided(run: Run, version: Version, champion: Version) -> Judged:
    """A person's decision, where one is asked for and says no, or else the canary's answers'.

    Where these could never show that it is no worse, a candidate becomes no canary; one that is out may be withdrawn.
    """
    ready(run)
    endless = never_shown(run, version)
    asks = needs_approval(run, Keys.read()) and not approved(run, version)
    judged = refused(run, version, champion) if asks else None
    judged = judged or overtaken(run.workload.name, version, champion)
    if not judged and (not endless or comparable(run, version)):
        judged = tried(run, version, champion, started(run, version, champion))
    judged = judged or Judged(decision="waiting", reasons=())
    if endless and judged.decision == "waiting":
        return Judged(decision="waiting", reasons=(*judged.reasons, endless))
    return judged


def comparable(run: Run, version: Version) -> bool:
    """Whether a version answers customers already, beside the champion, so that it may be seen to be worse."""
    return run.workload.serving.routing.canary_share < 1 and is_canary(run, version)


def is_canary(run: Run, version: Version) -> bool:
    """Whether a version is the canary now."""
    return aliases(run.workload.name).get("canary") == version.number


def ready(run: Run) -> None:
    """Refuse settings by which nobody could watch a canary, before there is one.

    Raises:
        ConfigError: The judge's rubric is missing, or the packages for a lake in a bucket.
    """
    if not run.workload.serving.routing.canary_share:
        return
    Lake.of(STATE / "lake")
    if asks_judge(run):
        judge_of(run)


def interrupted(version: Version, champion: Version) -> Judged | None:
    """An earlier release's decision, if it ended after it made the canary champion and before its last step."""
    if version.number != champion.number:
        return None
    return Judged(decision="promoted", reasons=("An earlier release had made it champion, and was interrupted.",))


def needs_approval(run: Run, keys: Keys) -> bool:
    """Whether a person must approve: as the settings say or, without a setting, if anybody may correct answers."""
    wanted = run.retraining.release.approval
    return not keys.hashes if wanted is None else wanted


def approved(run: Run, version: Version) -> bool:
    """Whether an earlier release made this version the canary: where somebody did so by hand, nobody was asked."""
    return begun(run, version) is not None and is_canary(run, version)


def refused(run: Run, version: Version, champion: Version) -> Judged | None:
    """Ask a person; None if they approve. While nobody answers, or can be asked, the version waits."""
    question = (
        f"Release version {version.number} in the place of version {champion.number}? "
        f"gradus compare {run.workload.name} {champion.number} {version.number} shows both."
    )
    if endless := never_shown(run, version):
        question = f"{question} {endless}"
    said = asked_here(run, question) if without_pages() else asked_in_pages(run, question, version, champion)
    if isinstance(said, str):
        return Judged(decision="waiting", reasons=(said,))
    if said.approved:
        return None
    return Judged(decision="withdrawn", reasons=(f"Not approved: {said.comment or 'no comment'}.",))


def without_pages() -> bool:
    """Whether Prefect's server is the one that it starts for a single command, which has no pages."""
    return get_current_settings().api.url is None


def asked_in_pages(run: Run, question: str, version: Version, champion: Version) -> Approval | str:
    """What a person says in Prefect's pages, or why the version waits."""
    hours = run.retraining.release.approval_hours
    form = Approval.with_initial_data(description=question)
    log.info("%s Prefect's pages ask, for at most %g hours.", question, hours)
    try:
        with ended_elsewhere(run, version, champion) as why:
            said = pause_flow_run(wait_for_input=form, timeout=math.ceil(HOUR_S * hours))
    except FlowPauseTimeout:
        name = run.workload.name
        return f"Nobody approved or refused it within {hours:g} hours; gradus release {name} asks again."
    return why[0] if why else said


@contextmanager
def ended_elsewhere(run: Run, version: Version, champion: Version) -> Generator[list[str]]:
    """End the pause of this flow run once nobody has to be asked any more; yields a list that why is put into then.

    It answers the form. One pause is for all hours: Prefect takes no second one after one that was not resumed.
    """
    why, over, paused = list[str](), threading.Event(), flow_run.id

    def watch() -> None:
        while not over.wait(ELSEWHERE_S):
            try:
                if reason := elsewhere(run, version, champion):
                    why[:] = [reason]  # first, so that nobody takes the answer for a person's
                    get_client(sync_client=True).resume_flow_run(UUID(paused), {"approved": False, "comment": reason})
            except PASSING as error:
                log.warning("Whether it is still to be asked for is not known now: %s", error)

    threading.Thread(target=copy_context().run, args=(watch,), daemon=True).start()
    try:
        yield why
    finally:
        over.set()


def elsewhere(run: Run, version: Version, champion: Version) -> str | None:
    """Why nobody has to be asked any more: others approved the version or decided on it; None if they did not."""
    if approved(run, version):
        return "It was approved elsewhere, where its release goes on."
    late = overtaken(run.workload.name, version, champion)
    return late and late.reasons[0]


def asked_here(run: Run, question: str) -> Approval | str:
    """What a person says on the terminal, or why the version waits."""
    name = run.workload.name
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):  # None is one that was closed
        return (
            "A person has to approve it, and nobody can be asked: Prefect's server of a single command has no pages, "
            f"and there is no terminal. On one, gradus release {name} asks; in Prefect's pages the deployment "
            f"release/{name} of gradus up does, or this command with PREFECT_API_URL and PREFECT_API_AUTH_STRING."
        )
    said = ""
    while said not in (YES, NO, LATER):
        try:
            said = typer.prompt(f"{question}\nRelease it ({YES}, {NO}, {LATER})", err=True).strip().lower()
        except typer.Abort:
            said = LATER
    if said == LATER:
        return f"Nobody approved or refused it; gradus release {name} asks again."
    return Approval(approved=said == YES)


def overtaken(workload: str, version: Version, champion: Version) -> Judged | None:
    """What others made of a version while its release waited; None while it is this release's to decide.

    Its comparison with a champion that has been replaced says nothing of the one in service.
    """
    named = aliases(workload)
    stands, tried_now = named.get("champion"), [alias for alias in ("candidate", "canary") if alias in named]
    if stands == version.number != champion.number:
        return Judged(decision="promoted", reasons=("Somebody has made it champion meanwhile.",))
    if version.number not in [named[alias] for alias in tried_now]:
        others = " and ".join(f"version {named[alias]} is the {alias}" for alias in tried_now) or "no version is tried"
        return Judged(decision="withdrawn", reasons=(f"Somebody has moved its alias meanwhile: {others} now.",))
    if stands != champion.number:
        why = f"Version {champion.number} is champion no longer: gradus release {workload} compares with the new one."
        return Judged(decision="waiting", reasons=(why,))
    return None


def begun_path(run: Run) -> Path:
    """The file that says when the canary began, until there is a decision."""
    return STATE / "release" / f"{run.workload.name}.json"


def begun(run: Run, version: Version) -> Begun | None:
    """The record of this version's start as the canary; None if there is none."""
    kept = read_state(begun_path(run), Begun)
    return kept if kept is not None and kept.version == version.number else None


def started(run: Run, version: Version, champion: Version) -> float:
    """Make this version the canary, if it is not; since when it is beside this champion, in seconds since 1970.

    Beside another champion it begins anew: both are compared over the same time.
    """
    name, now = run.workload.name, time.time()
    before, known = aliases(name).get("canary"), begun(run, version)
    if known is None or before != version.number or known.champion != champion.number or known.since > now:
        known = Begun(version=version.number, since=now, champion=champion.number)
        write_record(begun_path(run), known)  # first: a disk that is full lets no canary out
    make_canary(name, version.number)
    if before not in (None, version.number):
        log.warning("Version %s is the canary in the place of version %s.", version.number, before)
    return known.since


@task(name="canary", cache_policy=NO_CACHE)
def tried(run: Run, version: Version, champion: Version, since: float) -> Judged:
    """Compare the canary with the champion until there is a decision, or its time is up."""
    params = run.retraining.release
    if not run.workload.serving.routing.canary_share:
        return Judged(decision="promoted", reasons=("No share of the traffic is a canary's (serving.routing).",))
    log.info(
        "Version %s is the canary: waiting for %s of its answers, at most %g hours.",
        version.number, params.canary_answers, params.canary_hours,
    )  # fmt: skip
    ends, scored = time.time() + HOUR_S * params.canary_hours, 0.0
    while True:
        now = time.time()
        if now > scored + SCORE_S or now > ends:
            rescored(run, (now - since) / HOUR_S)
            scored = now
        try:
            late = overtaken(run.workload.name, version, champion)
            judged = late or compared(run, version, champion, (since, now), loaded=now > min(ends, since + LOADED_S))
        except PASSING as error:
            log.warning("Nothing is known at this look: %s", error)
            late, judged = None, Judged(decision="waiting", reasons=(f"Nothing was known at the last look: {error}",))
        if late or judged.decision != "waiting" or now > ends:
            return judged
        time.sleep(LOOK_S)


def compared(run: Run, version: Version, champion: Version, window: tuple[float, float], *, loaded: bool) -> Judged:
    """What the answers of both in a window [since, until) say, and, once servers have `loaded` the canary, silence."""
    lake, serving = Lake.of(STATE / "lake"), run.workload.serving
    before, canary = (
        side(
            Stream(lake, run.workload.name, number, serving.labelling),
            window,
            strangers=serving.routing.unit == "request",
        )
        for number in (champion.number, version.number)
    )
    share = serving.routing.canary_share if loaded else 0.0
    return judge(before, canary, run.retraining.release, share, serving.labelling.complete)


def never_shown(run: Run, version: Version) -> str | None:
    """Why a canary is never shown to be no worse, however long one waits; None if it may be."""
    release, serving = run.retraining.release, run.workload.serving
    if not serving.routing.canary_share:
        return None
    if serving.routing.canary_share == 1:
        return "serving.routing.canary_share is 1: nobody is left to ask the champion, which a canary is compared with."
    if release.judged_by == "right" and run.workload.agent is not None:
        return (
            "No conversations are drawn for labelling, so that nothing tells whether an agent's canary is right: set "
            "retraining.release.judged_by: valid, or promote it by hand "
            f"(gradus promote {run.workload.name} {version.number})."
        )
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
    except PASSING as error:
        log.warning("Scores are not recorded yet: %s", error)
