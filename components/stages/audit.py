"""The stage `audit`: which demonstrations look wrong, before a model imitates them.

Writes the audit's figures, and the suspects for people to review, as JSON lines and as a table.
"""

import csv
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from components.evaluation.label_audit import Audit, Suspect, doubts, summarise, suspects
from components.evaluation.try_audit import summarise_tries, suspect_tries
from components.records import write_jsonl, write_record
from components.schema import fields_of
from components.scorers import Failures, score_all
from components.stages.run import Run
from components.stages.scoring import scorer
from components.tasks import can_be_tried, completion_of, demonstrated
from components.tracking import Tracker

SUSPECTS = "suspects.jsonl"
_FORMULA = re.compile(r"[=+\-@\t\r\n]")  # how it begins
_NUMBER = re.compile(r"[+-]\d++(?:[.,]\d++)?")
log = logging.getLogger(__name__)


def audit_folder(run: Run) -> Path:
    """The folder with `audit.json`, `suspects.jsonl` and `suspects.csv` of a run."""
    return run.folder / "audit"


def audit(run: Run, tracker: Tracker) -> None:
    """Write the train demonstrations that are probably wrong, surest first, and the ceiling that they set."""
    folder, (summary, listed) = audit_folder(run), _tries(run) if run.workload.agent else _answers(run)
    write_jsonl(folder / SUSPECTS, listed)
    write_table(folder / "suspects.csv", listed)
    write_record(folder / "audit.json", summary)
    tracker.artifact(folder, "audit")
    tracker.metrics({"audit/suspects": float(summary.suspects), "audit/expected_wrong": summary.expected_wrong})
    if summary.ceiling is not None:
        tracker.metrics({"audit/ceiling": summary.ceiling})
    log.info("%s", in_words(summary))


def _answers(run: Run) -> tuple[Audit, list[Suspect]]:
    """The audit of answers, by their fields."""
    examples, schema = run.examples("train"), run.workload.output
    opinions = doubts(examples, schema, run.columns, run.audit, run.seed)
    listed = suspects(examples, opinions, run.audit, schema)
    return summarise(examples, opinions, listed, [field.name for field in fields_of(schema).leaves]), listed


def _tries(run: Run) -> tuple[Audit, list[Suspect]]:
    """The audit of an agent's tries at tasks, by the workload's scorer, which cannot judge tries of production."""
    examples = [example for example in run.examples("train") if can_be_tried(example)]
    outcomes = score_all(scorer(run), [(example, completion_of(demonstrated(example))) for example in examples])
    Failures(run.workload.scorer.max_failed_share).add(outcomes)
    listed = suspect_tries(examples, outcomes)
    return summarise_tries(outcomes, listed), listed


def in_words(audit: Audit) -> str:
    """The audit in a sentence."""
    if audit.ceiling is None:
        return f"None of the fields can be judged by other demonstrations: {', '.join(audit.unseen)}."
    share = 100 * audit.expected_wrong / audit.demonstrations
    unseen = f"; fields that it cannot judge: {', '.join(audit.unseen)}" if audit.unseen else ""
    return (
        f"{audit.suspects:,} of {audit.demonstrations:,} demonstrations look wrong, {share:.1f} % are expected to be"
        f"{unseen}."
    )


def write_table(path: Path, listed: Sequence[Suspect]) -> None:
    """Write suspects as csv, with an empty column for a person's answer; no cell is a formula in a spreadsheet."""
    names = list(Suspect.model_fields)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*names, "right_value"])
        writer.writeheader()
        for suspect in listed:
            writer.writerow({name: _plain(cell) for name, cell in suspect.model_dump().items()} | {"right_value": ""})


def _plain(cell: str | float) -> str | float:
    """A cell that spreadsheets take for what it is: an apostrophe stands before what would be a formula."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
