"""Advice on a run: the evidence so far, the rung that it suggests, and later whether that was right.

It is no stage of DVC's graph: it may be asked for at any time, even before the first stage, and changes no result.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime

from components.advice import Advice, Asked, advise, gather, outcome
from components.data.report import DataReport
from components.errors import ConfigError
from components.params import AdviceParams
from components.records import Record, read_record, write_record
from components.stages.data import data
from components.stages.evaluate import evaluated
from components.stages.run import Run
from components.stages.workbench import RunBench
from components.tracking import NullTracker, Tracker

FILE = "advice.json"
log = logging.getLogger(__name__)


class Settled(Record):
    """Whether there was advice to settle. Always written, because the report depends on the folder."""

    advised: bool


def advise_run(run: Run, tracker: Tracker, params: AdviceParams) -> Advice:
    """Advise the next rung of a run; the advice is kept in `artifacts/<run>/advice/` and in the record.

    If the data stage has not run yet, the data are prepared first.

    Raises:
        ConfigError: The workload is an agent's, which advice does not support.
    """
    if run.workload.agent is not None:
        raise ConfigError(
            f"expected a workload that answers, found an agent's ({run.workload.name}): it has no advice yet"
        )
    report = run.folder / "data" / "report.json"
    if not report.is_file():
        data(run, NullTracker())
    asked = Asked(
        workload=run.workload.name,
        profile=run.profile.name,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        data_version=read_record(report, DataReport).summary.version,
        mlflow_run_id=tracker.run_id,
    )
    given = advise(gather(RunBench(run), params, run.seed), params, asked)
    write_record(run.advice_folder / FILE, given)
    tracker.artifact(run.advice_folder / FILE, "advice")
    tracker.params({"advice.rung": given.choice.rung, "advice.stands": given.evidence.standing.name})
    gain = given.choice.gain
    tracker.metrics({"advice/gain": gain.value, "advice/gain_low": gain.low, "advice/gain_high": gain.high})
    return given


def advised(run: Run) -> Advice | None:
    """The last advice on a run; None if there is none."""
    path = run.advice_folder / FILE
    return read_record(path, Advice) if path.is_file() else None


def settle(run: Run, tracker: Tracker) -> None:
    """Record whether the last advice was right, by the rungs that were measured since.

    If a run follows advice up the ladder that it named, both keep the outcome. This is a step of the flow and no stage:
    it updates the folder that the report reads.
    """
    usual = replace(run, name=f"{run.workload.name}-{run.profile.name}")  # the run that `gradus advise` advises
    candidates = (advised(run), _followed(run, usual))
    given = max((each for each in candidates if each is not None), key=lambda advice: advice.at, default=None)
    write_record(run.advice_folder / "settled.json", Settled(advised=given is not None))
    became = outcome(given, evaluated(run).rungs, run.advice.min_gain) if given and given.outcome is None else None
    if given is None or became is None:
        return
    settled = given.model_copy(update={"outcome": became})
    write_record(run.advice_folder / FILE, settled)
    if advised(usual) == given:
        write_record(usual.advice_folder / FILE, settled)
    tracker.params({"advice.outcome": "right" if became.right else "wrong"})
    tracker.metrics({"advice/gain_made": became.gain.value, "advice/right": float(became.right)})
    log.info("The advice was %s: %s", "right" if became.right else "wrong", became.sentence)


def _followed(run: Run, usual: Run) -> Advice | None:
    """The usual run's advice, if it named this run's ladder for the same data."""
    given = advised(usual)
    if given is None or given.evidence.at_hand.ladders.get(given.choice.rung) != run.ladder:
        return None
    return given if given.data_version == run.data_version else None
