"""What MLflow's pages show of a climb: each rung's figures in its own run, the outcome in the climb's.

A step of the flow and no stage: it changes no file of the run, is never cached, and safe to repeat. So rungs that DVC
took from its cache show the figures of today's evaluation too.
"""

import json
import logging
import tempfile
from pathlib import Path

from components.evaluation.sample import sample
from components.params import SPLITS
from components.records import Example, Judged, Ladder, RungResult, Verdict
from components.registry import MORE_EXAMPLES, MlflowTracker, Row, closed_run, store_rows
from components.report import drawing, frontier, markdown, standing
from components.stages.answers import answered, completions_of, judged_of
from components.stages.economics import spent_by_rung
from components.stages.evaluate import evaluated
from components.stages.figures import dataset, dev_figures, figures, gate_figures, identity, settings
from components.stages.gate import GateRecord, decided
from components.stages.published import published
from components.stages.report import ladder_of
from components.stages.run import Run
from components.tracking import Tracker

NOTE = "mlflow.note.content"  # what a run's page shows as its description
log = logging.getLogger(__name__)


def tell(run: Run, tracker: Tracker) -> None:
    """Write the figures of a climb into the runs of its rungs, and its outcome into its own, which `tracker` is.

    Raises:
        RegistryError: The record of runs is away, or refuses.
    """
    record = decided(run)
    last = {verdict.challenger: verdict for verdict in record.verdicts}
    for result in evaluated(run).rungs:
        _tell_rung(run, result, last.get(result.name))
    _tell_climb(run, tracker, ladder_of(run), record)


def _tell_rung(run: Run, result: RungResult, verdict: Verdict | None) -> None:
    made, planned = run.rung(result.name), run.planned(result.name)
    run_id = made.mlflow_run_id or f"{run.name}-{made.name}-{made.params_hash}"
    with closed_run(run.workload.name, made.name, run_id) as tracker:
        tracker.complete(settings(run, planned))
        tracker.tag(identity(run, planned))
        for split in ("train", "dev", "test"):
            tracker.dataset(dataset(run, split))
        tracker.metrics({**dev_figures(made), **figures(result), "test/seconds": answered(run, made.name).seconds})
        if verdict is not None:
            tracker.metrics(gate_figures(verdict))
            tracker.tag({"gate.decision": verdict.decision, NOTE: _reasons(verdict)})
        _tell_rows(run, made.name, tracker)


def _tell_rows(run: Run, name: str, tracker: MlflowTracker) -> None:
    """The same test examples for every rung, so that two can be compared row by row."""
    shown = sample(run.asked("test"), run.record.rows, run.seed)
    completions = {row_of.example_id: row_of for row_of in completions_of(run, "test", name)}
    judged = {row_of.example_id: row_of for row_of in judged_of(run, "test", name)}
    rows: list[Row] = []
    for example in shown:
        answer = completions[example.id]
        tokens = answer.usage.input_tokens, answer.usage.output_tokens
        rows.append(_row(example, answer.text, tokens, answer.latency_ms, judged[example.id]))
    store_rows(str(tracker.run_id), rows)


def _row(example: Example, text: str, tokens: tuple[int, int], latency_ms: float, judged: Judged) -> Row:
    verdicts: dict[str, float | bool] = {"valid": judged.valid}
    reasons: dict[str, str] = {}
    if judged.score is not None:
        verdicts |= {"right": judged.score.passed, "score": judged.score.value}
        verdicts |= {f"score/{name}": value for name, value in judged.score.parts.items()}
        reasons["right"] = judged.score.reason
    else:
        reasons["valid"] = f"the scorer could not decide: {judged.failure}"
    return Row(example.id, example.input, text, example.reference, tokens, latency_ms, verdicts, reasons)


def _tell_climb(run: Run, tracker: Tracker, ladder: Ladder, record: GateRecord) -> None:
    """The outcome: the champion's figures under the names that rungs have them, the verdict, table and picture."""
    for split in SPLITS:
        tracker.dataset(dataset(run, split))
    top = next((rung for rung in ladder.rungs if rung.name == record.champion), None)
    if top is not None:
        tracker.metrics(figures(top))
    tracker.metrics({MORE_EXAMPLES: float(record.verdicts[-1].more_examples)})  # also of a gate from DVC's cache
    done = published(run)
    version = done.version if done else record.version
    tracker.tag(
        {
            "gate.decision": record.verdicts[-1].decision,
            "gate.reasons": json.dumps(record.verdicts[-1].reasons, ensure_ascii=False),
            "champion": record.champion or "none",
            "version": "none" if version is None else str(version),
            "data_version": ladder.data.version,
            NOTE: markdown(ladder, run.workload.traffic.calls_per_year, run.workload.incumbent),
        }
    )
    _keep_picture(tracker, "ladder", drawing(ladder))
    _keep_picture(tracker, "frontier", frontier(ladder, spent_by_rung(run, ladder)))
    log.info("The record shows %s rungs; %s stands.", len(ladder.rungs), standing(ladder))


def _keep_picture(tracker: Tracker, name: str, picture: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.svg"
        path.write_text(picture, encoding="utf-8")
        tracker.artifact(path, "report")


def _reasons(verdict: Verdict) -> str:
    """Why a rung won or lost, for its description."""
    outcome = "replaced" if verdict.decision == "promoted" else "did not replace"
    lines = [f"`{verdict.challenger}` {outcome} `{verdict.champion}`:", "", *(f"- {text}" for text in verdict.reasons)]
    return "\n".join(lines)
