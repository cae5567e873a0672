"""Advice on a run: the evidence that there is, the rung that follows from it, and afterwards whether that was right.

No stage of DVC's graph: it may be asked for at any point, also before the first stage, and changes no result.
"""

import logging
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
    """Whether there was advice to settle. Always written: the report depends on the folder."""

    advised: bool


def advise_run(run: Run, tracker: Tracker, params: AdviceParams) -> Advice:
    """The next rung of a run; the advice is kept in `artifacts/<run>/advice/` and in the record.

    Where the data stage has not run yet, the data are prepared first.

    Raises:
        ConfigError: The workload is an agent's: what is measured here are answers.
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
    found = advise(gather(RunBench(run), params, run.seed), params, asked)
    write_record(run.advice_folder / FILE, found)
    tracker.artifact(run.advice_folder / FILE, "advice")
    tracker.params({"advice.rung": found.choice.rung, "advice.stands": found.evidence.standing.name})
    gain = found.choice.gain
    tracker.metrics({"advice/gain": gain.value, "advice/gain_low": gain.low, "advice/gain_high": gain.high})
    return found


def advised(run: Run) -> Advice | None:
    """The last advice on a run, None where nobody asked for one."""
    path = run.advice_folder / FILE
    return read_record(path, Advice) if path.is_file() else None


def settle(run: Run, tracker: Tracker) -> None:
    """Write down what became of the last advice, by the rungs that were measured since.

    A step of the flow and no stage: it goes on in the folder that the report reads.
    """
    found = advised(run)
    write_record(run.advice_folder / "settled.json", Settled(advised=found is not None))
    if found is None or found.outcome is not None:
        return
    known = outcome(found, evaluated(run).rungs, run.advice.min_gain)
    if known is None:
        return
    settled = found.model_copy(update={"outcome": known})
    write_record(run.advice_folder / FILE, settled)
    tracker.params({"advice.outcome": "right" if known.right else "wrong"})
    tracker.metrics({"advice/gain_made": known.gain.value, "advice/right": float(known.right)})
    log.info("The advice was %s: %s", "right" if known.right else "wrong", known.sentence)
