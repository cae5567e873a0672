"""The stage `gate`: each contender has to beat the current champion on the sealed split.

It decides, and changes nothing. Who challenges whom is decided in `components.stages.climb`; the decision is carried
out in `components.stages.publish`.
"""

import logging
from datetime import UTC, date, datetime
from pathlib import Path

from components.errors import DataError
from components.evaluation import repeated
from components.params import GateParams
from components.records import GateNumbers, Record, Verdict, read_record, write_record
from components.registry import MORE_EXAMPLES
from components.stages.climb import Climb
from components.stages.evaluate import evaluated
from components.stages.run import Run
from components.stages.standing import standing_of
from components.tracking import Tracker

log = logging.getLogger(__name__)


class GateRecord(Record):
    """All verdicts in order, and who stands at the end: a rung, or the registry's version (nobody if both are None).

    `replaced` is the version that the winner replaces. `params` are the gate's settings: with the sealed numbers each
    decision can be made again. `decided_on` is the day from which the account counts its payback.
    """

    verdicts: tuple[Verdict, ...]
    champion: str | None
    version: int | None = None
    replaced: int | None = None
    params: GateParams | None = None
    decided_on: date


class SealedNumbers(Record):
    """The complete numbers by which a record's verdicts were made, in their order; only `replay` reads them."""

    numbers: tuple[GateNumbers, ...]


def gate(run: Run, tracker: Tracker) -> None:
    """Climb, let the last to stand challenge the registry's champion, and write the record."""
    climb = Climb(run, evaluated(run), standing_of(run))
    verdicts = climb.decide()
    name = climb.stands(verdicts)
    challenged = name is not None and climb.replaces(name)
    kept = challenged and verdicts[-1].decision == "kept"
    record = GateRecord(
        verdicts=tuple(verdicts),
        champion=None if kept else name,
        version=climb.standing.version if kept or name is None else None,
        replaced=climb.standing.version if challenged and not kept else None,
        params=run.gate,
        decided_on=datetime.now(UTC).date(),
    )
    write_record(sealed_file(gate_file(run)), SealedNumbers(numbers=tuple(map(climb.numbers_of, verdicts))))
    write_record(gate_file(run), record)
    _tell(run, tracker, record)


def gate_file(run: Run) -> Path:
    """The file of the gate's record."""
    return run.folder / "gate" / "gate.json"


def sealed_file(record: Path) -> Path:
    """The file of the numbers that stay sealed while the split is in use, beside a gate's record."""
    return record.with_name("sealed.json")


def decided(run: Run) -> GateRecord:
    """The gate's record."""
    return read_record(gate_file(run), GateRecord)


def replayed(path: Path) -> list[tuple[Verdict, Verdict]]:
    """Each verdict of a record, and the verdict that today's code reaches from its numbers and settings.

    Raises:
        DataError: The record was made before settings and numbers were kept, or its sealed numbers are not beside it.
    """
    record, beside = read_record(path, GateRecord), sealed_file(path)
    if record.params is None:
        raise DataError("expected a record of the gate with its settings, found one of an earlier version")
    complete = read_record(beside, SealedNumbers).numbers if beside.is_file() else None
    if complete is None and any(verdict.numbers and verdict.numbers.level is None for verdict in record.verdicts):
        raise DataError(f"expected the sealed numbers of the gate's record beside it, found no {beside}")
    numbers = complete or tuple(verdict.numbers for verdict in record.verdicts)
    if len(numbers) != len(record.verdicts):
        raise DataError(f"expected numbers of {len(record.verdicts)} verdicts, found {len(numbers)} ({beside})")
    return [
        (verdict, repeated(record.params, verdict, of_verdict))
        for verdict, of_verdict in zip(record.verdicts, numbers, strict=True)
    ]


def _tell(run: Run, tracker: Tracker, record: GateRecord) -> None:
    """Log the verdicts' reasons, and record what the next look needs; numbers go to each rung's run."""
    for verdict in record.verdicts:
        for reason in verdict.reasons:
            log.info("%s: %s", verdict.decision, reason)
    last = record.verdicts[-1]
    tracker.metrics({MORE_EXAMPLES: float(last.more_examples), "gate/look": float(last.look)})
    tracker.artifact(gate_file(run), "gate")
    tracker.artifact(sealed_file(gate_file(run)), "gate")
