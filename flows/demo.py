"""A demo of the whole loop: serve → traffic → drift → event → retraining → gate → release → new champion.

Decides what is sent when, and what is reported. Everything that reacts is what runs in production: the services of
`gradus up`, their deployments, and the automation that starts a retraining when drift is detected.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from components.errors import ConfigError, RegistryError, ServiceError
from components.records import Record, read_record
from components.registry import registered, registered_if_any
from components.serving.access import REVIEWER, VARIABLE, Keys, new_key
from components.stages.run import STATE, Run
from flows.health import Services
from flows.services import status
from monitoring.traffic import KEY_VARIABLE, Plan, Reply, Target, replay
from monitoring.watch import Watched

if TYPE_CHECKING:
    from rich.table import Table

DONE = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
MOST_SECONDS = 3 * 3600  # for a retraining, which climbs the ladder
STORED_S = 12.0  # until traces have moved from the spool to the lake
LOOK_S = 5.0
CANARY_BATCH = 100  # requests at once during a canary


@dataclass(frozen=True)
class Story:
    """The script: the drift, the requests before and after it, and the share that people correct."""

    drift: str
    before: int
    after: int
    feedback_share: float
    seed: int
    clients: int = 8


class Chapter(Record):
    """An event, and its time in seconds since the beginning."""

    at_s: float
    what: str


class Ending(Record):
    """The timeline, and the shares of right answers."""

    drift: str
    timeline: tuple[Chapter, ...]
    accuracy_before: float
    accuracy_during: float
    accuracy_after: float
    accuracy_old_traffic: float
    requests: int
    failures: int
    version_before: int
    version_after: int

    @property
    def regained(self) -> float:
        """The share of the drift's loss that the new champion regained."""
        lost = self.accuracy_before - self.accuracy_during
        return (self.accuracy_after - self.accuracy_during) / lost if lost > 0 else 0.0


class DemoRun:
    """The running services, and the events so far."""

    def __init__(self, run: Run, services: Services, story: Story, report: Callable[[str], None]) -> None:
        self.run, self.story, self._report = run, story, report
        self.target = Target(
            f"{services.addresses['serve']}/v1", run.workload.name,
            run.trained_prompt.placeholders, story.clients,
        )  # fmt: skip
        self.started, self.chapters, self.replies = time.time(), list[Chapter](), list[Reply]()

    def add_event(self, what: str) -> None:
        """Add an event to the timeline and report it."""
        self.chapters.append(Chapter(at_s=round(time.time() - self.started, 1), what=what))
        self._report(f"{datetime.now(UTC):%H:%M:%S}  {what}")

    def send(self, plan: Plan) -> list[Reply]:
        """Send a part of the traffic; people label everything that is set aside for labelling."""
        plan = replace(plan, labelled=self.run.workload.serving.labelling.share)
        replies = replay(self.run.workload, plan, self.target)
        self.replies += replies
        return replies


def play(run: Run, services: Services, story: Story, report: Callable[[str], None]) -> Ending:
    """Play the loop against running services.

    Raises:
        ServiceError: A flow fails, or drift is not noticed.
    """
    demo, first = DemoRun(run, services, story, report), registered(run.workload.name).number
    demo.add_event(f"version {first} is champion; {story.before} usual tickets are sent")
    usual = Plan(story.before, "none", story.before, story.feedback_share, story.seed)
    before = demo.send(usual)
    demo.add_event(f"{right(before):.1%} right; the drift {story.drift} begins")
    drifted = Plan(story.after, story.drift, 0, story.feedback_share, story.seed + 1)
    during = demo.send(drifted)
    demo.add_event(f"{right(during):.1%} right on {story.after} drifted tickets")
    time.sleep(STORED_S)
    noticed = noticed_drift(demo)
    demo.add_event(noticed)
    ends = wait_for(demo, "retrain", since=demo.started)
    demo.add_event(f"the retraining ended: {ends}")
    version = registered(run.workload.name).number
    time.sleep(2 * run.workload.serving.follow_s)
    after = demo.send(replace(drifted, seed=story.seed + 2, feedback_share=0.0))
    demo.add_event(f"version {version} answers: {right(after):.1%} right on drifted tickets")
    old = demo.send(replace(usual, seed=story.seed + 3, feedback_share=0.0))
    demo.add_event(f"{right(old):.1%} right on usual ones")
    return Ending(
        drift=story.drift, timeline=tuple(demo.chapters), accuracy_before=right(before), accuracy_during=right(during),
        accuracy_after=right(after), accuracy_old_traffic=right(old), requests=len(demo.replies),
        failures=sum(reply.error is not None for reply in demo.replies), version_before=first, version_after=version,
    )  # fmt: skip


def noticed_drift(demo: DemoRun) -> str:
    """Run the deployed flows for scoring and watching, as their schedules would within the hour."""
    from prefect.deployments import run_deployment

    name = demo.run.workload.name
    run_deployment(f"score/{name}", timeout=None)
    looked: Any = run_deployment(f"watch/{name}", timeout=None)
    if not looked.state or not looked.state.is_completed():
        raise ServiceError(f"expected the watch to complete, found {looked.state}")
    watched = read_record(STATE / "watch" / name / "watched.json", Watched)
    if not watched.drifted:
        raise ServiceError(f"expected the watch to notice {demo.story.drift}, found nothing that moved")
    moved = ", ".join(column.column for column in watched.moved[:4])
    return f"drift.detected: {'+'.join(watched.kinds)} ({moved}), {watched.severity:.1f} times the limit"


def wait_for(demo: DemoRun, flow: str, since: float) -> str:
    """Wait for the end of a flow that an event started; during a canary, send requests."""
    ends = time.time() + MOST_SECONDS
    number = 0
    while time.time() < ends:
        state = state_of(flow, since)
        if state in DONE:
            return state.lower()
        if registered_if_any(demo.run.workload.name, "canary"):
            number += 1
            plan = Plan(CANARY_BATCH, demo.story.drift, 0, demo.story.feedback_share, demo.story.seed + 100 + number)
            demo.send(plan)
            if number == 1:
                demo.add_event("a canary answers its share of the traffic")
        time.sleep(LOOK_S)
    raise ServiceError(f"expected the flow {flow} to end within {MOST_SECONDS / 3600:g} hours, found it running")


def state_of(flow: str, since: float) -> str | None:
    """The state of a flow's first run since a time, None if there is none yet; later runs are cancelled."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterStartTime
    from prefect.client.schemas.sorting import FlowRunSort

    after: Any = datetime.fromtimestamp(since, UTC)
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
            flow_run_filter=FlowRunFilter(start_time=FlowRunFilterStartTime(after_=after)),
            sort=FlowRunSort.START_TIME_ASC,
            limit=1,
        )
    return str(runs[0].state_type.value) if runs and runs[0].state_type else None


def right(replies: list[Reply]) -> float:
    """The share of right answers among answered tickets."""
    answered = [reply.right for reply in replies if reply.error is None]
    return sum(answered) / len(answered) if answered else 0.0


def reviewing(environment: Mapping[str, str]) -> dict[str, str]:
    """A reviewer's key for the simulated people, and its hash for the server; {} if keys are set already.

    Raises:
        ConfigError: Services are running that do not know the key.
    """
    if Keys.read(environment).hashes:
        return {}
    if status():
        raise ConfigError(
            "expected no running services, because the server has to learn a new key; `make down` stops them"
        )
    key, its_hash = new_key()
    return {VARIABLE: f"{its_hash} {REVIEWER}", KEY_VARIABLE: key}


def ensure_champion(run: Run) -> None:
    """Climb the ladder if there is no champion yet."""
    try:
        registered(run.workload.name)
    except RegistryError:
        command = [sys.executable, "-m", "flows.cli", "run", run.workload.name, "--profile", run.profile.name]
        if code := subprocess.run(command, check=False).returncode:
            raise ServiceError(f"expected the ladder to be climbed, found that it ended with code {code}") from None


def endings(ending: Ending) -> "Table":
    """The quality before, during and after the drift, for a terminal."""
    from rich.table import Table

    table = Table(
        "traffic", "champion", "right", title=f"Drift {ending.drift}: {ending.regained:.0%} of the loss regained"
    )
    old, new = f"version {ending.version_before}", f"version {ending.version_after}"
    table.add_row("usual, before", old, f"{ending.accuracy_before:.1%}")
    table.add_row("drifted, before the retraining", old, f"{ending.accuracy_during:.1%}")
    table.add_row("drifted, after it", new, f"{ending.accuracy_after:.1%}")
    table.add_row("usual, after it", new, f"{ending.accuracy_old_traffic:.1%}")
    table.add_row(f"failed requests, of {ending.requests:,}", "", str(ending.failures))
    return table
