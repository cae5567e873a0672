"""Scoring: recent traces → scores in the lake, including a judge's → assessments in MLflow."""

import logging
import time
from functools import partial

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from components.records import Scored
from components.registry import assess
from components.scorers import build
from components.stages.judging import judge_of, judge_usd
from components.stages.run import STATE, Run
from monitoring.judging import Bench, Judged, judge_window
from monitoring.lake import Lake
from monitoring.scoring import Scoring, score_window
from monitoring.upkeep import compact
from monitoring.windows import HOUR_S

log = logging.getLogger(__name__)


@flow(name="score", flow_run_name="{workload}")
def score(workload: str, profile: str = "nano", hours: float = 168) -> Scoring:
    """Score the traces of the last hours by people's feedback, skipping those already scored."""
    run, now = Run.of(workload, profile), time.time()
    since = now - hours * HOUR_S
    scoring = into_lake(run, since, now)
    log.info("Traces of the last %g hours: %s.", hours, scoring)
    if asks_judge(run):
        log.info("Of a share of %g: %s.", run.workload.serving.judge_share, by_judge(run, since, now))
    merged(now)
    log.info("New assessments in MLflow: %s.", f"{into_mlflow(workload, since):,}")
    return scoring


def asks_judge(run: Run) -> bool:
    """Whether the workload's judge marks a share of the answers, or reads those that people do not."""
    serving = run.workload.serving
    return serving.judge_share > 0 or serving.labelling.checked < 1


@task(cache_policy=NO_CACHE)
def into_lake(run: Run, since: float, until: float) -> Scoring:
    """Score traces that have evidence and no score yet."""
    workload = run.workload
    make = partial(build, workload.scorer, workload.output, workload.agent)
    return score_window(Lake.of(STATE / "lake"), workload.name, make, since, until)


@task(cache_policy=NO_CACHE)
def merged(now: float) -> int:
    """Merge the lake's small files: a server writes one every few seconds."""
    return compact(Lake.of(STATE / "lake"), now)


@task(cache_policy=NO_CACHE)
def by_judge(run: Run, since: float, until: float) -> Judged:
    """Let the workload's judge mark a share of the answers and those that it reads for people, and log the cost."""
    judge, serving = judge_of(run), run.workload.serving
    aside = serving.labelling.share if serving.labelling.checked < 1 else 0.0
    bench = Bench(run.workload.name, judge, serving.judge_share, aside)
    judged = judge_window(Lake.of(STATE / "lake"), bench, since, until)
    log.info("The judge's verdicts cost $%.4f.", judge_usd(run, judge))
    return judged


@task(cache_policy=NO_CACHE)
def into_mlflow(workload: str, since: float) -> int:
    """Add assessments to MLflow's traces for all scores in the window, including those missed while it was unavailable.

    Raises:
        RegistryError: It is unavailable; the scores stay in the lake, and the next run tries again.
    """
    return assess(Lake.of(STATE / "lake").read(Scored, workload, since))
